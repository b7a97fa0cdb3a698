"""Writes to stdout and stderr; a slow, stopped or missing reader never harms the run.

Status goes to stderr and payload to stdout. No other module of procsup writes to either. Status may
be lost; payload is written whole, or its loss is reported. No control character of foreign text
reaches a terminal: status shows such characters as escapes, and so does payload if stdout is a
terminal.
"""

import io
import os
import select
import sys
import time
from contextlib import contextmanager
from typing import IO, Iterable, Iterator, Optional, TextIO, cast

from procsup.core.text import HarmlessBytes, make_harmless, make_visible
from procsup.errors import RecordError
from procsup.host import files

STDERR_FD = 2
_RETRY_S = 0.02
_LOOK_S = 1.0  # after this time the write is tried again, even if select does not return


class ReaderGone(Exception):
    """The reader of stdout has closed it. This is no error; nothing more is written."""


def write_stderr(*lines: str) -> None:
    """Write lines of status to stderr; a closed or full stderr does not affect the run."""
    _write_text(sys.stderr, "".join(make_visible(line) + "\n" for line in lines))


def _write_text(stream: Optional[TextIO], text: str) -> bool:
    if stream is None:
        return False
    try:
        stream.write(escape_for_stream(stream, text))
        stream.flush()
    except (OSError, ValueError):  # closed, full, no reader: only status is lost
        return False
    return True


def escape_for_stream(stream: TextIO, text: str) -> str:
    """Return the text with escapes for characters that the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding, "replace")


def write_stdout(*lines: str) -> None:
    """Write lines of payload to stdout, whole, even to a slow reader.

    Raises ReaderGone if its reader has closed it, RecordError if it cannot be written.
    """
    with _report_reader_gone() as stream:
        text = "".join(line + "\n" for line in lines)
        if is_terminal(stream):
            text = make_harmless(text)
        raw = _find_raw(stream)
        if raw is None:  # not a file of the system, but an object that a program has set
            stream.write(escape_for_stream(stream, text))
            stream.flush()
            return
        data = text.replace("\n", os.linesep).encode(stream.encoding, "backslashreplace")
        write_whole(raw, data)


class Screen:
    """Makes the bytes for stdout harmless if it is a terminal.

    With `raw`, or if stdout is not a terminal, they are unchanged.
    """

    def __init__(self, *, raw: bool = False) -> None:
        self._text = HarmlessBytes() if is_terminal(sys.stdout) and not raw else None

    def fit(self, data: bytes, *, last: bool = False) -> bytes:
        """Return the bytes to write for `data`; with `last` no more bytes of this log follow."""
        if self._text is None:
            return data
        return self.encode(self._text.add(data, last=last))

    @staticmethod
    def encode(text: str) -> bytes:
        """Return our own text in the encoding of stdout, to be written between those bytes."""
        return text.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "backslashreplace")


def write_stdout_bytes(chunks: Iterable[bytes]) -> None:
    """Write bytes to stdout unchanged; raises as `write_stdout`, and exceptions of the iterator."""
    for chunk in chunks:
        with _report_reader_gone() as stream:
            raw = _find_raw(stream)
            if raw is None:
                stream.buffer.write(chunk)
                stream.buffer.flush()
            else:
                write_whole(raw, chunk)


def write_whole(raw: io.RawIOBase, data: bytes) -> None:
    """Write all of `data`; OSError if that fails.

    A pipe that another program has made non-blocking accepts a part of it, or refuses it while
    the pipe is full: then this waits for its reader.
    """
    view = memoryview(data)
    while view:
        count = raw.write(view)
        if count is None:
            _wait_until_writable(raw.fileno())
        else:
            view = view[count:]


def _wait_until_writable(fd: int) -> None:
    try:
        select.select((), (fd,), (), _LOOK_S)
    except (OSError, ValueError):  # select: on Windows sockets only, elsewhere below 1024
        time.sleep(_RETRY_S)


@contextmanager
def _report_reader_gone() -> Iterator[TextIO]:
    """Give stdout to the body; its OSErrors become ReaderGone or RecordError."""
    stream = sys.stdout
    if stream is None:  # closed at the start; see `open_standard_streams`
        raise RecordError("stdout is closed: the output could not be written")
    try:
        yield stream
    except BrokenPipeError:
        give_up_stdout()
        raise ReaderGone from None
    except (OSError, ValueError) as error:
        give_up_stdout()
        said = getattr(error, "strerror", None) or error
        raise RecordError(f"stdout: {said}: the output could not be written") from error


def _find_raw(stream: TextIO) -> Optional[io.RawIOBase]:
    """Return the raw file below a stream, after a flush of its buffers; None if there is none.

    How a buffer handles a refused write depends on how the interpreter was started.
    """
    stream.flush()
    try:
        stream.fileno()
    except (OSError, AttributeError):
        return None
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # under `python -u` there is no buffer
    return raw if isinstance(raw, io.RawIOBase) else None


def give_up_stdout() -> None:
    """Write no more to stdout.

    The rest of its buffer would fail again when the interpreter flushes it at exit, with a
    traceback and exit code 120.
    """
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError, AttributeError):  # not a real file: nothing is flushed at exit
        pass


class DirectText(io.TextIOBase):
    """A text stream that writes directly to a file descriptor: no buffer, no lock, no exception.

    A thread that is blocked in its `write` (the terminal is stopped by Ctrl-S) holds no lock of
    the interpreter's own stderr, so that the process can still end. Text that cannot be written is
    dropped; after a permanent failure `gone` is true and nothing more is written.
    """

    def __init__(self, fd: int = STDERR_FD, encoding: Optional[str] = None) -> None:
        super().__init__()
        self._fd = fd
        self._encoding = encoding or getattr(sys.stderr, "encoding", None) or "utf-8"
        self.gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute here
        """The encoding of the stream that it replaces."""
        return self._encoding

    def fileno(self) -> int:
        """Return the file descriptor it writes to."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return files.is_terminal(self._fd)
        except OSError:
            return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write all of the text, or drop it."""
        data = memoryview(text.encode(self._encoding, "backslashreplace"))
        while data and not self.gone:
            data = data[self._try_write(data) :]
        return len(text)

    def _try_write(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            # A child may have switched the terminal that we share to non-blocking.
            time.sleep(_RETRY_S)
        except OSError:
            self.gone = True
        return 0


def open_direct_stderr() -> IO[str]:
    """Return a stream that writes directly to stderr, for a side thread."""
    return cast("IO[str]", DirectText())


def is_terminal(stream: Optional[TextIO]) -> bool:
    """Whether the stream is open and a terminal."""
    try:
        if stream is None or not stream.isatty():
            return False
        return files.is_terminal(stream.fileno())
    except io.UnsupportedOperation:  # an object that a program has set, without a descriptor
        return True
    except (OSError, ValueError):  # closed
        return False

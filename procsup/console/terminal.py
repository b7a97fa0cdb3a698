"""Writing to stdout and stderr so that nothing a reader does can hurt the run.

Status goes to stderr and payload to stdout. Nobody else in procsup writes to either.
"""

import io
import os
import sys
import time
from typing import IO, Iterable, Optional, TextIO, cast

from procsup.errors import RecordError

STDERR_FD = 2
_RETRY_S = 0.02


class ReaderGone(Exception):
    """Whoever read our stdout has closed it: there is nothing left to say, and it is no error."""


def say(*lines: str) -> None:
    """Write lines of status to stderr; a closed or full stderr is none of the run's business."""
    _write_text(sys.stderr, "".join(line + "\n" for line in lines))


def _write_text(stream: Optional[TextIO], text: str) -> bool:
    if stream is None:
        return False
    try:
        stream.write(fit_for(stream, text))
        stream.flush()
    except (OSError, ValueError):  # closed, full, gone: status is lost, the work is not
        return False
    return True


def fit_for(stream: TextIO, text: str) -> str:
    """Return the text with what the stream's encoding cannot write as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding, "replace")


def pay(*lines: str) -> None:
    """Write lines of payload to stdout.

    Raises ReaderGone if its reader has closed it, RecordError if it cannot be written.
    """
    stream = sys.stdout
    if stream is None:
        raise ReaderGone
    try:
        stream.write(fit_for(stream, "".join(line + "\n" for line in lines)))
        stream.flush()
    except BrokenPipeError:
        give_up_stdout()
        raise ReaderGone from None
    except (OSError, ValueError) as error:
        give_up_stdout()
        raise RecordError(f"stdout: {error}: what was asked for could not be written") from error


def pay_bytes(chunks: Iterable[bytes]) -> None:
    """Write bytes to stdout unchanged; raises as `pay` does."""
    stream = sys.stdout
    raw = getattr(stream, "buffer", None)
    if stream is None or raw is None:
        raise ReaderGone
    try:
        stream.flush()
        for chunk in chunks:
            raw.write(chunk)
        raw.flush()
    except BrokenPipeError:
        give_up_stdout()
        raise ReaderGone from None
    except OSError as error:
        give_up_stdout()
        raise RecordError(f"stdout: {error}: what was asked for could not be written") from error


def give_up_stdout() -> None:
    """Write no more to stdout.

    What is left in its buffer would fail again when the interpreter flushes it at exit, and that
    would end in a traceback and exit code 120.
    """
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError, AttributeError):  # not a real file: nothing is flushed at exit
        pass


class DirectText(io.TextIOBase):
    """A text stream straight onto a file descriptor: no buffer, no lock, no exception.

    A thread that is blocked in its `write` (the terminal is stopped by Ctrl-S) holds no lock of
    the interpreter's own stderr, so that the process can still end. What cannot be written is
    dropped; after a failure that will not pass `gone` is true and nothing more is tried.
    """

    def __init__(self, fd: int = STDERR_FD, encoding: Optional[str] = None) -> None:
        super().__init__()
        self._fd = fd
        self._encoding = encoding or getattr(sys.stderr, "encoding", None) or "utf-8"
        self.gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute here
        """The encoding of the stream it stands for."""
        return self._encoding

    def fileno(self) -> int:
        """Return the file descriptor it writes to."""
        return self._fd

    def isatty(self) -> bool:
        """Whether a terminal is there."""
        try:
            return os.isatty(self._fd)
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


def direct_stderr() -> IO[str]:
    """Return a stream straight onto stderr, for a thread of its own."""
    return cast("IO[str]", DirectText())


def is_terminal(stream: Optional[TextIO]) -> bool:
    """Whether the stream is open and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False

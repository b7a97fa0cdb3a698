"""Copies the logs of units, whole or up to the last line end, to stdout and stderr."""

import errno
import io
import os
import sys
from functools import partial
from typing import BinaryIO, Callable, Dict, Optional

from procsup.console.terminal import write_whole
from procsup.core.outcome import Part
from procsup.host.logfiles import LogPlaces, open_log
from procsup.host.shortages import PAUSES_S, retry_on_shortage

STDOUT_FD, STDERR_FD = 1, 2
_CHUNK_BYTES = 1 << 16
_PAUSES_S = (*PAUSES_S, *[2.0] * 30)  # while descriptors are short: for a minute


class LogCopy:
    """What is printed of one log; it is read again from there, so it is never held in memory.

    `path` and `part` may change with the end of the attempt; the content stays.
    """

    __slots__ = ("fd", "in_line", "part", "path", "printed", "seen", "size")

    def __init__(self, fd: int, path: Optional[str], part: Optional[Part] = None) -> None:
        self.fd = fd
        self.path = path
        self.part = part
        self.printed = 0  # bytes
        self.seen = 0  # bytes in which line ends were searched
        self.size = 0  # when it was looked at
        self.in_line = False  # the last printed line has no end yet

    def has_grown(self) -> bool:
        """Whether a log has another size than at the last look."""
        before = self.size
        try:
            self.size = 0 if self.path is None else os.stat(self.path).st_size
        except OSError:  # not made yet, or removed
            return False
        return self.size != before

    def find_end(self, file: BinaryIO, *, by_line: bool) -> int:
        """Return up to where to print: the end, or with `by_line` behind the last line end."""
        size = file.seek(0, os.SEEK_END)
        if not by_line:
            return size
        end = self.printed
        file.seek(self.seen)
        while self.seen < size:
            chunk = file.read(min(_CHUNK_BYTES, size - self.seen))
            if not chunk:
                break
            at = chunk.rfind(b"\n")
            end = end if at < 0 else self.seen + at + 1
            self.seen += len(chunk)
        return end


class Streams:
    """Stdout and stderr, to which the logs are copied; `before` is called before each write.

    With `by_line` no line has text of two logs: a line that a unit did not end is ended before
    other output.
    """

    def __init__(
        self, places: LogPlaces, *, by_line: bool, before: Callable[[int], None] = lambda _fd: None
    ) -> None:
        self._places = places
        self._by_line = by_line
        self._before = before
        self._is_one = _are_one_file()
        self._open_lines: Dict[int, LogCopy] = {}  # whose last line has no end yet, by stream

    def copy(self, log: LogCopy, *, tag: bytes = b"", whole_lines: bool = False) -> None:
        """Print what is new of a log, each line behind the tag; OSError if that fails."""
        if log.path is None:
            return
        # Descriptors may be short for a while: the run's own units use them.
        opened = partial(open_log, log.path, log.part, **self._places._asdict())
        with retry_on_shortage(opened, pauses_s=_PAUSES_S) as file:
            end = log.find_end(file, by_line=whole_lines)
            file.seek(log.printed)
            while log.printed < end:
                chunk = file.read(min(_CHUNK_BYTES, end - log.printed))
                if not chunk:
                    break
                self._write_chunk(log, chunk, tag)
                log.printed += len(chunk)

    def _write_chunk(self, log: LogCopy, chunk: bytes, tag: bytes) -> None:
        key = self._get_key(log.fd)
        other = self._open_lines.pop(key, log)
        head = b"\n" if self._by_line and other is not log else b""
        ends = chunk.endswith(b"\n")
        if tag:
            head += b"" if log.in_line else tag
            lines = chunk[:-1] if ends else chunk
            chunk = lines.replace(b"\n", b"\n" + tag) + (b"\n" if ends else b"")
        self._write(log.fd, head + chunk if head else chunk)
        log.in_line = not ends
        if log.in_line:
            self._open_lines[key] = log

    def write_own(self, data: bytes) -> None:
        """Write whole lines of ours to stderr; OSError if that fails."""
        is_open = self._open_lines.pop(self._get_key(STDERR_FD), None) is not None
        self._write(STDERR_FD, b"\n" + data if is_open else data)

    def end_lines(self) -> None:
        """End the line on the screen that has no end yet; OSError if that fails."""
        if self._open_lines.pop(self._get_key(STDERR_FD), None) is not None:
            self._write(STDERR_FD, b"\n")

    def _get_key(self, fd: int) -> int:
        return STDOUT_FD if self._is_one else fd

    def _write(self, fd: int, data: bytes) -> None:
        if fd == STDOUT_FD and sys.stdout is None:  # its number is that of the null device
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._before(fd)
        # No lock, which a stalled write would hold.
        write_whole(io.FileIO(fd, "w", closefd=False), data)


def _are_one_file() -> bool:
    """Whether stdout and stderr are the same terminal, pipe or file."""
    try:
        return os.path.sameopenfile(STDOUT_FD, STDERR_FD)
    except OSError:  # one is closed
        return False

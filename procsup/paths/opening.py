"""Opens files in folders where other users may put or hide things.

Only regular files are opened, and no call blocks (on a FIFO, for example). A path that the system
refuses to show does not count as absent.
"""

import errno
import io
import os
import stat
from typing import Any, BinaryIO, Optional, Union

from procsup.paths.reader import refuse_private

AnyPath = Union[str, "os.PathLike[str]"]
MISSING = (FileNotFoundError, NotADirectoryError)

# A FIFO does not block, and no terminal becomes our controlling one; Windows lacks these flags.
_SAFE_OPEN = (
    getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOINHERIT", 0)
    | getattr(os, "O_BINARY", 0)
)
_CAN_LOOK = hasattr(os, "O_PATH")
_OWN_DESCRIPTORS = "/proc/self/fd"
_LOOK = getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0)
_BUFFER_BYTES = 1 << 16
_WITHOUT_SIZE_BYTES = 1 << 20  # the most that is read of a file in /proc, whose size is 0


class _PartOfFile(io.RawIOBase):
    """A part of an open file, read like a whole file; see `read_part`."""

    def __init__(self, fd: int, offset: int, length: Optional[int]) -> None:
        self._file = io.FileIO(fd, "rb")
        self._offset, self._at = offset, 0
        there = max(os.fstat(fd).st_size - offset, 0)
        self._length = there if length is None else max(min(length, there), 0)
        self._most = self._length if self._length or length is not None else _WITHOUT_SIZE_BYTES

    def readable(self) -> bool:
        """Return true; `io` calls this."""
        return True

    def seekable(self) -> bool:
        """Return true; `io` calls this."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the part; return how many bytes there were."""
        self._file.seek(self._offset + self._at)
        most = max(self._most - self._at, 0)
        found = self._file.readinto(memoryview(buffer)[:most]) or 0
        self._at += found
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset from the start of the part, or from where `whence` says."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = start + offset
        return self._at

    def close(self) -> None:
        """Close the file, too."""
        self._file.close()
        super().close()


def read_part(fd: int, offset: int = 0, length: Optional[int] = None) -> BinaryIO:
    """Return a part of an open file as a file, which closes the descriptor.

    `length` None: up to the end that the file has now, since a file that grows may have no other
    end. The part is shorter if the file ends earlier.
    """
    return io.BufferedReader(_PartOfFile(fd, offset, length), _BUFFER_BYTES)


def open_regular(path: str, flags: int = os.O_RDONLY) -> int:
    """Open an existing regular file and return its descriptor; also an `opener` for `open`.

    Its kind is checked before it is opened, since opening a device may have effects (a watchdog).
    Links are followed. OSError if it is a folder, a FIFO, a device or a socket (the message says
    which), and if we read for a user who may not read it.
    """
    fd = _open_seen(path, flags) if _CAN_LOOK else _open_named(path, flags)
    try:
        refuse_irregular(fd, path)
        refuse_private(fd, path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open_seen(path: str, flags: int) -> int:
    """Open the file that was checked, even if another file has its name now (Linux)."""
    seen = os.open(path, _LOOK)  # O_PATH: the file itself is not opened
    try:
        refuse_irregular(seen, path)
        place = f"{_OWN_DESCRIPTORS}/{seen}"
        try:
            return os.open(place, flags | _SAFE_OPEN)
        except OSError as error:
            if not _leads_to(place, seen):
                return _open_named(path, flags)  # there is no /proc
            error.filename = path
            raise
    finally:
        os.close(seen)


def _open_named(path: str, flags: int) -> int:
    refuse_irregular(path, path)
    return os.open(path, flags | _SAFE_OPEN)


def _leads_to(place: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(place), os.fstat(fd))
    except OSError:
        return False


def refuse_irregular(what: Union[int, str], path: str) -> None:
    """Raise OSError, which names its kind, unless a path or descriptor is of a regular file."""
    refuse_kind(os.stat(what).st_mode, path)


def refuse_kind(mode: int, path: str) -> None:
    """Raise the same error for a mode (`st_mode`) that was read already."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {describe_kind(mode)}, not a regular file", path)


def is_absent(path: AnyPath) -> bool:
    """Whether nothing is at a path, or a broken link.

    False if the system refuses to look: the call that opens the path then raises the reason.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no such name
        return True
    except OSError:
        return False
    return False


def is_folder(path: AnyPath) -> bool:
    """Whether a folder is at a path; PermissionError if the system refuses to look."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError:
        raise
    except (OSError, ValueError):  # not there, or no name that a file can have
        return False


def describe_kind(mode: int) -> str:
    """Return the kind of file that a mode (`st_mode`) shows: ``a FIFO``."""
    for is_kind, words in _KINDS:
        if is_kind(mode):
            return words
    return "a device"


_KINDS = (
    (stat.S_ISREG, "a regular file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
)

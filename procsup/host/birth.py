"""Reads when a file was created. A copy is younger, and no system call can set this time."""

import os
import sys
from typing import Optional

from procsup.paths.opening import AnyPath

_HERE, _BIRTH = -100, 0x800  # AT_FDCWD, STATX_BTIME
_BYTES, _AT_MASK, _AT_SECONDS, _AT_NANOSECONDS = 256, 0, 80, 88  # of struct statx


def read_born_ns(path: AnyPath, *, dir_fd: Optional[int] = None) -> Optional[int]:
    """Return a file's creation time in nanoseconds since 1970; None if it is not known.

    `dir_fd` as in `host.files`.
    """
    name = path if dir_fd is None else os.path.basename(path)
    if sys.platform == "linux":
        return _ask_statx(name, _HERE if dir_fd is None else dir_fd)
    try:
        status = os.stat(name, dir_fd=dir_fd)
    except OSError:
        return None
    if sys.platform == "win32":
        born: int = getattr(status, "st_birthtime_ns", status.st_ctime_ns)  # before 3.12: ctime
        # A file system without creation times (some shares) returns the time of the last write.
        return None if born == status.st_mtime_ns else born
    seconds = getattr(status, "st_birthtime", None)
    return None if not seconds else round(seconds * 1e6) * 1000


def _ask_statx(path: AnyPath, dir_fd: int) -> Optional[int]:
    """Read the creation time by statx(2), for which Python has no call before 3.15."""
    import ctypes

    buffer = ctypes.create_string_buffer(_BYTES)
    try:
        statx = ctypes.CDLL(None).statx
    except (OSError, AttributeError):
        return None  # an old C library
    if statx(dir_fd, os.fsencode(path), 0, _BIRTH, buffer) != 0:
        return None

    def number(at: int, size: int) -> int:
        return int.from_bytes(buffer.raw[at : at + size], sys.byteorder)

    if not number(_AT_MASK, 4) & _BIRTH:
        return None
    return number(_AT_SECONDS, 8) * 1_000_000_000 + number(_AT_NANOSECONDS, 4)

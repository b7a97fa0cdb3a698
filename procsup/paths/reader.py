"""Reads for the user of a run only what that user may read.

We may be allowed to read more files than the user of the run, and that user's run file may name any
file. So a file of another user is read for a run only if modes allow it to the run's user: the mode
of the file, and of all folders that lead to it. Access lists are not read.
"""

import contextlib
import errno
import os
import threading
from typing import Collection, Dict, Iterator, Optional, Set

_READ, _ENTER = 4, 1  # bits of a mode
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


def describe_foreign(uid: int, owner: int) -> str:
    """Describe a file of the user `uid`, where the run belongs to `owner`."""
    return f"belongs to uid {uid}, and the run to uid {owner}"


class Reader:
    """A user, with the numbers of their groups; `name` as in messages."""

    def __init__(self, name: str, uid: int, groups: Collection[int]) -> None:
        self._name, self._uid, self._groups = name, uid, groups
        self._entered: Dict[str, bool] = {}

    def refuse_private(self, fd: int, path: str) -> None:
        """Raise PermissionError unless this user may read an open file or folder."""
        status = os.fstat(fd)
        if status.st_uid == self._uid:
            return
        if not (
            self._may(_READ, status) and self._may_enter(os.path.dirname(_find_place(fd, path)))
        ):
            raise PermissionError(
                errno.EACCES, f"{self._name}, whose run it is, may not read it", path
            )

    def _may(self, what: int, status: os.stat_result) -> bool:
        if status.st_uid == self._uid:
            return True
        return bool((status.st_mode >> (3 if status.st_gid in self._groups else 0)) & what)

    def _may_enter(self, folder: str) -> bool:
        if folder not in self._entered:
            above = os.path.dirname(folder)
            try:
                may = self._may(_ENTER, os.stat(folder))
            except OSError:
                may = False
            self._entered[folder] = may and (above == folder or self._may_enter(above))
        return self._entered[folder]


class _Present(threading.local):
    reader: Optional[Reader] = None


_present = _Present()


@contextlib.contextmanager
def read_as(reader: Optional[Reader]) -> Iterator[None]:
    """Let this thread read only files that this user may read; None: all files that we may read."""
    before, _present.reader = _present.reader, reader
    try:
        yield
    finally:
        _present.reader = before


def refuse_private(fd: int, path: str) -> None:
    """Raise PermissionError unless the user for whom we read may read an open file."""
    reader = _present.reader
    if reader is not None:
        reader.refuse_private(fd, path)


def list_names(folder: str) -> Optional[Set[str]]:
    """Return the names in a folder, for the user for whom we read; None if that is ourselves.

    PermissionError if they may not list it.
    """
    reader = _present.reader
    if reader is None:
        return None
    fd = os.open(folder, _FOLDER)
    try:
        reader.refuse_private(fd, folder)
        return set(os.listdir(fd))
    finally:
        os.close(fd)


def _find_place(fd: int, path: str) -> str:
    """Return the path of an open file, without links."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return os.path.realpath(path)

"""The lock that shows whether a unit of any sitting may still be alive.

The supervisor takes it exclusively, which succeeds when no process of an earlier sitting holds it,
and then makes it shared; a process that starts units for it takes it shared, too. Each unit gets
its own open file with a shared lock: so the kernel shows when the last one has closed it, and no
unit can release it for the others.
"""

import os
import sys
from typing import Optional, Tuple

from procsup.errors import RecordError
from procsup.host.files import AnyPath, describe_error
from procsup.host.locks import FileLock

__all__ = ["UnitsLock"]

_READ_ONLY = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class UnitsLock:
    """The lock as one process holds it; `share` opens it once more for a unit."""

    def __init__(self, path: AnyPath) -> None:
        self.path = os.fspath(path)
        self._lock = FileLock(path)
        self._is_shared = False

    def open(self, *, dir_fd: Optional[int] = None) -> None:
        """Open the file without a lock, if the file system has none: units inherit none then."""
        self._lock.open(dir_fd=dir_fd)

    def try_take(self, *, dir_fd: Optional[int] = None) -> bool:
        """Take the lock and share it; False if a process holds it. Otherwise as `FileLock`."""
        if not self._lock.try_exclusive(dir_fd=dir_fd):
            return False
        # Children do not inherit locks on Windows: there only the supervisor holds it.
        self._is_shared = sys.platform != "win32" and self._lock.try_share()
        if not self._is_shared and sys.platform != "win32":
            self._lock.close()  # another process was faster: the caller reports its owner
            return False
        return True

    def join(self) -> None:
        """Share the lock that a supervisor has taken: this process starts units for it.

        RecordError if it is missing, or another process holds it alone: the supervisor is dead.
        """
        try:
            fd = os.open(self.path, _READ_ONLY)
        except FileNotFoundError as error:
            raise RecordError(f"{self.path} was removed during the run") from error
        self._lock.fd = fd
        if not self._lock.try_share():
            self._lock.close()
            raise RecordError(f"{self.path} is held by another supervisor")
        self._is_shared = True

    @property
    def shared_path(self) -> Optional[str]:
        """The path with which another process can `join`; None if units inherit no lock."""
        return self.path if self._is_shared else None

    def share(self) -> Tuple[int, ...]:
        """Open the descriptor with which a unit holds the lock; the caller closes its own copy.

        Empty if units inherit no locks. RecordError if the file was removed or replaced: a live
        unit would then be taken for ended. OSError in a shortage.
        """
        if not self._is_shared:
            return ()
        try:
            fd = os.open(self.path, _READ_ONLY)  # `is_same` checks that it is our own file
        except FileNotFoundError as error:
            raise RecordError(f"{self.path} was removed during the run") from error
        try:
            if not self._lock.is_same(fd) or not FileLock.share_open(fd):
                raise RecordError(f"{self.path} was replaced during the run")
        except BaseException:
            os.close(fd)
            raise
        return (fd,)

    def is_held(self) -> bool:
        """Whether a process holds it, exclusively or shared; takes it for an instant if not.

        RecordError if that cannot be found out.
        """
        try:
            return FileLock(self.path).is_held_or_shared()
        except OSError as error:
            raise RecordError(f"{self.path} cannot be locked: {describe_error(error)}") from error

    def close(self) -> None:
        """Release it; live units keep their shared locks."""
        self._lock.close()
        self._is_shared = False

"""The lock that tells whether a unit of any sitting may still live.

The supervisor takes it alone, which it gets when nothing of an earlier sitting holds it, and then
shares it; a process that starts units for it joins in. Each unit is given an open file of its own
with a shared lock, so that the kernel says when the last one has closed it, and none can free it
for the others.
"""

import os
import sys
from typing import Optional, Tuple

from procsup.errors import RecordError
from procsup.host.files import AnyPath, reason
from procsup.host.locks import FileLock

__all__ = ["UnitsLock"]

_READ_ONLY = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class UnitsLock:
    """One process' end of the lock; `share` makes a unit's."""

    def __init__(self, path: AnyPath) -> None:
        self.path = os.fspath(path)
        self._lock = FileLock(path)
        self._is_shared = False

    def open(self) -> None:
        """Open the file without a lock, where the file system has none: units get nothing then."""
        self._lock.open()

    def try_take(self) -> bool:
        """Take the lock and share it; False if a process holds it. OSError as `FileLock`."""
        if not self._lock.try_exclusive():
            return False
        # Windows' locks do not go to children: there the supervisor keeps it for itself.
        self._is_shared = sys.platform != "win32" and self._lock.try_share()
        if not self._is_shared and sys.platform != "win32":
            self._lock.close()  # another process was faster: the caller looks at its owner
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
        """What another process can `join` by; None where units inherit no lock."""
        return self.path if self._is_shared else None

    def share(self) -> Tuple[int, ...]:
        """Open what a unit inherits, and keeps the lock by; the caller closes it after the start.

        Nothing where units inherit no locks. RecordError if the file is not there any more, or
        another is: a unit would be believed to be gone while it lives. OSError in a shortage.
        """
        if not self._is_shared:
            return ()
        try:
            fd = os.open(self.path, _READ_ONLY)  # what it is, is_same tells: our own file
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
        """Tell whether a process holds it, alone or shared; takes it for an instant if not.

        RecordError if that cannot be found out.
        """
        if not os.path.lexists(self.path):
            return False
        probe = FileLock(self.path)
        try:
            return not probe.try_exclusive()
        except OSError as error:
            raise RecordError(f"{self.path} cannot be locked: {reason(error)}") from error
        finally:
            probe.close()

    def close(self) -> None:
        """Release it; live units keep theirs."""
        self._lock.close()
        self._is_shared = False

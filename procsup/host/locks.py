"""Locks that the kernel releases when their holder ends, and how to wait for them.

flock on POSIX: it belongs to the open file, so a child can inherit it; lockf would be lost when
any descriptor of the file is closed. LockFileEx on Windows, on bytes far behind the text, so that
the file stays readable.
"""

import errno
import os
import sys
import threading
from typing import Callable, Optional

from procsup.errors import RecordError
from procsup.host.files import AnyPath, open_private, set_mode

_SLICE_S = 0.2  # Windows does not interrupt a waiting thread for Ctrl-C
_LONGEST_WAIT_S = 24 * 3600.0  # some systems overflow beyond
# These errors do not show whether a file system has locks.
_NOT_THE_LOCKS_FAULT = frozenset(
    (
        errno.EACCES,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EINTR,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ESTALE,
    )
)

if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _EXCLUSIVE, _NOWAIT = 2, 1
    _FAR_OFFSET = 1 << 62
    _LOCK_VIOLATION = 33

    class _Overlapped(ctypes.Structure):
        _fields_ = (
            ("Internal", ctypes.c_void_p),
            ("InternalHigh", ctypes.c_void_p),
            ("Offset", wintypes.DWORD),
            ("OffsetHigh", wintypes.DWORD),
            ("hEvent", wintypes.HANDLE),
        )

    def _where() -> _Overlapped:
        return _Overlapped(None, None, _FAR_OFFSET & 0xFFFFFFFF, _FAR_OFFSET >> 32, None)

    def _lock(fd: int, *, exclusive: bool, wait: bool) -> bool:
        """Lock the file; False if another process holds it."""
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        flags = (_EXCLUSIVE if exclusive else 0) | (0 if wait else _NOWAIT)
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(fd))
        where = _where()
        if kernel32.LockFileEx(handle, flags, 0, 1, 0, ctypes.byref(where)):
            return True
        code = ctypes.get_last_error()
        if code == _LOCK_VIOLATION:
            return False
        raise OSError(0, ctypes.FormatError(code).strip(), None, code)

    def _unlock(fd: int) -> None:
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(fd))
        where = _where()
        kernel32.UnlockFileEx(handle, 0, 1, 0, ctypes.byref(where))

    def process_exists(pid: int) -> bool:
        """Whether a process of that number is alive."""
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel32.OpenProcess.restype = wintypes.HANDLE
        synchronize, timeout, access_denied = 0x100000, 0x102, 5
        handle = kernel32.OpenProcess(synchronize, False, pid)
        if not handle:
            return ctypes.get_last_error() == access_denied
        try:
            return bool(kernel32.WaitForSingleObject(wintypes.HANDLE(handle), 0) == timeout)
        finally:
            kernel32.CloseHandle(wintypes.HANDLE(handle))

else:
    import fcntl

    def _lock(fd: int, *, exclusive: bool, wait: bool) -> bool:
        """Lock the file; False if another process holds it."""
        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(fd, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)

    def process_exists(pid: int) -> bool:
        """Whether a process of that number is alive."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True  # it belongs to another user
        return True


class FileLock:
    """A kernel lock on a file, which is created if it is missing and never removed by this class.

    One object is one open file: either it holds the lock exclusively, or it waits for others.
    """

    def __init__(self, path: AnyPath, *, mode: int = 0o600) -> None:
        self.path = os.fspath(path)
        self.fd = -1
        self._mode = mode
        self._waiting: Optional[_Waiting] = None

    def open(self) -> None:
        """Open the file without a lock, if the file system has no locks."""
        if self.fd < 0:
            self.fd = open_private(self.path, os.O_RDWR | os.O_CREAT)
            if self._mode != 0o600:
                set_mode(self.fd, self._mode)

    def try_exclusive(self) -> bool:
        """Take the lock; False if another open file holds it, in this process or elsewhere.

        RecordError if the path is not a regular file of ours, OSError if the file system
        has no locks.
        """
        for _attempt in range(100):
            self.open()
            try:
                if not _lock(self.fd, exclusive=True, wait=False):
                    self.close()
                    return False
            except BaseException:
                self.close()
                raise
            if self.is_in_place():
                return True
            self.close()  # it was removed or replaced between our opening and our locking
        raise RecordError(f"{self.path} is replaced again and again")

    def try_share(self) -> bool:
        """Turn an exclusive lock into a shared one; False, and unlocked, if another has it."""
        return self.share_open(self.fd)

    @staticmethod
    def share_open(fd: int) -> bool:
        """Take a shared lock by a descriptor; False if another process holds it exclusively."""
        return _lock(fd, exclusive=False, wait=False)

    def is_in_place(self) -> bool:
        """Whether the path still names the file that is open here."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except OSError:
            return False

    def is_same(self, fd: int) -> bool:
        """Whether a descriptor is of the file that is open here."""
        return os.path.samestat(os.fstat(fd), os.fstat(self.fd))

    def is_held(self) -> bool:
        """Whether a process holds the lock; takes it shared for an instant if none does."""
        try:
            fd = open_private(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _lock(fd, exclusive=False, wait=False)
        finally:
            os.close(fd)

    def wait_shared(
        self, timeout_s: Optional[float] = None, *, unless: Callable[[], bool] = lambda: False
    ) -> bool:
        """Block until no process holds the lock exclusively; False if that took too long.

        The kernel wakes us within a millisecond of the holder's release or death. True if there
        is no such file, or if `unless` returns true once the file is open: another lock may have
        replaced the intended one. Ctrl-C and signal handlers work during the wait.
        """
        if self._waiting is None:
            try:
                fd = open_private(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return True
            if _try_shared(fd):
                return True
            if (timeout_s is not None and timeout_s <= 0) or unless():
                os.close(fd)
                return unless()
            if timeout_s is None and sys.platform != "win32":
                return _block_shared(fd)
            self._waiting = _Waiting(fd)
        while not self._waiting.join(_LONGEST_WAIT_S if timeout_s is None else timeout_s):
            if timeout_s is not None:
                return False
        self._waiting = None
        return True

    def release(self) -> None:
        """Release the lock, also for children that inherited it; the file stays open."""
        if self.fd >= 0:
            _unlock(self.fd)

    def close(self) -> None:
        """Close the file, and so release the lock, unless a child that inherited it keeps it."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


def _try_shared(fd: int) -> bool:
    """Close the descriptor and return True if no process holds the lock; else keep it open."""
    try:
        free = _lock(fd, exclusive=False, wait=False)
    except BaseException:
        os.close(fd)
        raise
    if free:
        os.close(fd)
    return free


def _block_shared(fd: int) -> bool:
    """Block in this thread, which wakes sooner than a helper thread; close the descriptor."""
    try:
        return _lock(fd, exclusive=False, wait=True)
    finally:
        os.close(fd)


class _Waiting:
    """A thread that blocks in the kernel; its callers may give up while it still waits."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._free = threading.Event()
        self._error: Optional[OSError] = None
        threading.Thread(target=self._block, name="procsup-wait", daemon=True).start()

    def _block(self) -> None:
        try:
            _lock(self._fd, exclusive=False, wait=True)
        except OSError as error:
            self._error = error
        finally:
            os.close(self._fd)
            self._free.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False if it still waits after that time."""
        slice_s = _SLICE_S if sys.platform == "win32" else timeout_s
        while timeout_s > 0 and not self._free.wait(min(slice_s, timeout_s)):
            timeout_s -= slice_s
        if self._error is not None:
            raise self._error
        return self._free.is_set()


def locks_work(folder: AnyPath) -> bool:
    """Whether locks exclude in this folder: of two open files the second must fail.

    OSError if that cannot be tried: a temporary error must not count as a file system without
    locks, on which two supervisors would not exclude each other.
    """
    path = os.path.join(folder, f".procsup-{os.getpid()}-lock.part")
    first, second = FileLock(path), FileLock(path)
    try:
        return first.try_exclusive() and not second.try_exclusive()
    except OSError as error:
        if error.errno in _NOT_THE_LOCKS_FAULT:
            raise
        return False
    finally:
        first.close()
        second.close()
        try:
            os.unlink(path)
        except OSError:
            pass  # it was never made, or a later start removes it


def locks_reach(folder: AnyPath) -> bool:
    """Whether other hosts see locks in this folder, as far as Linux shows it.

    Network mounts with ``nolock`` and the like give locks that only this host sees.
    """
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split() for line in file]
    except OSError:
        return True
    place, best = os.path.realpath(folder), ("", "")
    for words in mounts:
        point = words[4].encode().decode("unicode_escape")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, words[-1])
    return _HOST_ONLY.isdisjoint(best[1].split(","))


_HOST_ONLY = frozenset(["nolock", "local_lock=all", "local_lock=flock", "localflock", "nobrl"])

"""Locks that the kernel releases when their holder ends, and how to wait for them.

flock on POSIX: it belongs to the open file, so a child can inherit it; lockf would be lost when
any descriptor of the file is closed. LockFileEx on Windows, on bytes far behind the text, so that
the file stays readable.

A user who may read a file may also hold these locks on it, even exclusively. So if others may read
the file, waiters on Linux use a second kind: an open-file-description lock (fcntl(2)). It belongs
to the open file, too, but only a writer can hold it exclusively. The holder has both kinds, for
waiters of older versions. macOS has no second kind that works: there a flock excludes the others.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING, Callable, ClassVar, Dict, Optional, Tuple

from procsup.errors import RecordError
from procsup.host.clock import LONGEST_WAIT_S
from procsup.host.files import AnyPath, make_temporary_name, open_private, remove, replace, set_mode
from procsup.host.mounts import Mount, list_mounts

_SLICE_S = 0.2  # Windows does not interrupt a waiting thread for Ctrl-C
_NO_PID = 1 << 31
_GREEN_LOOK_S = 0.02
_LOOK_S = 1.0  # interval of calls of `unless` while another process holds the lock
# These errors do not show whether a file system has locks.
_NOT_THE_LOCKS_FAULT = frozenset(
    (
        errno.EACCES,
        errno.EAGAIN,  # from opening the file; a lock held elsewhere raises no error
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

if TYPE_CHECKING:
    from typing import Protocol

    class _Take(Protocol):
        def __call__(self, fd: int, *, exclusive: bool, wait: bool) -> bool: ...


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

    def _make_overlapped() -> _Overlapped:
        return _Overlapped(None, None, _FAR_OFFSET & 0xFFFFFFFF, _FAR_OFFSET >> 32, None)

    def _lock(fd: int, *, exclusive: bool, wait: bool) -> bool:
        """Lock the file; False if another process holds it."""
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        flags = (_EXCLUSIVE if exclusive else 0) | (0 if wait else _NOWAIT)
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(fd))
        where = _make_overlapped()
        if kernel32.LockFileEx(handle, flags, 0, 1, 0, ctypes.byref(where)):
            return True
        code = ctypes.get_last_error()
        if code == _LOCK_VIOLATION:
            return False
        raise OSError(0, ctypes.FormatError(code).strip(), None, code)

    def _unlock(fd: int) -> None:
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(fd))
        where = _make_overlapped()
        kernel32.UnlockFileEx(handle, 0, 1, 0, ctypes.byref(where))

    def _lock_description(fd: int, *, exclusive: bool, wait: bool) -> bool:  # noqa: ARG001
        """Windows has no such locks."""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def _unlock_description(fd: int) -> None:
        """There are none."""

    def process_exists(pid: int) -> bool:
        """Whether a process of that number is alive; false for a number that none can have."""
        if not 0 < pid < _NO_PID:
            return False
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

    if sys.platform == "linux":
        _OFD_SETLK, _OFD_SETLKW = 37, 38  # Python has the names since 3.9
        _TAKEN = (errno.EAGAIN, errno.EACCES)

        def _lock_description(fd: int, *, exclusive: bool, wait: bool) -> bool:
            """Lock the open file description; False if another one has it locked."""
            kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
            try:
                fcntl.fcntl(fd, _OFD_SETLKW if wait else _OFD_SETLK, _make_whole_file(kind))
            except OSError as error:
                if error.errno in _TAKEN:
                    return False
                raise
            return True

        def _unlock_description(fd: int) -> None:
            fcntl.fcntl(fd, _OFD_SETLK, _make_whole_file(fcntl.F_UNLCK))

        def _make_whole_file(kind: int) -> bytes:
            return struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0)  # struct flock

    else:

        def _lock_description(fd: int, *, exclusive: bool, wait: bool) -> bool:  # noqa: ARG001
            """Return false: this system has no such locks, see above."""
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        def _unlock_description(fd: int) -> None:
            """There are none."""

    def process_exists(pid: int) -> bool:
        """Whether a process of that number is alive; false for a number that none can have."""
        if not 0 < pid < _NO_PID:
            return False  # 0 and negative numbers stand for groups
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
    `by_description`: the holder has the second kind, by which this one waits.
    """

    def __init__(self, path: AnyPath, *, mode: int = 0o600, by_description: bool = False) -> None:
        self.path = os.fspath(path)
        self.fd = -1
        self.by_description = by_description
        self._mode = mode
        self._waiting: Optional[_SharedWait] = None

    def open(self, *, only_new: bool = False, dir_fd: Optional[int] = None) -> None:
        """Open the file without a lock, if the file system has no locks.

        `only_new`: FileExistsError if it is there. `dir_fd` as in `host.files`.
        """
        if self.fd < 0:
            flags = os.O_RDWR | os.O_CREAT | (os.O_EXCL if only_new else 0)
            self.fd = open_private(self.path, flags, dir_fd=dir_fd)
            if self._mode != 0o600:
                set_mode(self.fd, self._mode)
            else:
                _close_to_others(self.fd)

    def try_exclusive(self, *, dir_fd: Optional[int] = None) -> bool:
        """Take the lock; False if another open file holds it, in this process or elsewhere.

        RecordError if the path is not a regular file of ours, OSError if the file system
        has no locks.
        """
        for _attempt in range(100):
            self.open(dir_fd=dir_fd)
            try:
                if not _lock(self.fd, exclusive=True, wait=False):
                    self.close()
                    return False
            except BaseException:
                self.close()
                raise
            if self.is_in_place(dir_fd=dir_fd):
                return True
            self.close()  # it was removed or replaced between our opening and our locking
        raise RecordError(f"{self.path} is replaced again and again")

    def try_new(self, *, dir_fd: Optional[int] = None) -> bool:
        """Take the lock of a new file, which replaces what is at the path; False as above.

        On POSIX no other process can have locked it before: it gets its name and its mode when
        it is locked. `by_description` is set if it has the second kind, too.
        """
        if sys.platform == "win32":
            try:
                remove(self.path)
            except PermissionError:
                pass  # a process still has it open; we share the file then
            return self.try_exclusive()
        folder, name = os.path.split(self.path)
        private = os.path.join(folder, f".procsup-{name}.part")
        remove(private, dir_fd=dir_fd)
        self.fd = open_private(private, os.O_RDWR | os.O_CREAT | os.O_EXCL, dir_fd=dir_fd)
        try:
            if not _lock(self.fd, exclusive=True, wait=False):
                self.close()
                return False
            self.by_description = _try_description(self.fd)
            replace(private, self.path, dir_fd=dir_fd)
            set_mode(self.fd, self._mode)
        except BaseException:
            self.close()
            remove(private, dir_fd=dir_fd)
            raise
        return True

    def try_share(self) -> bool:
        """Turn an exclusive lock into a shared one; False, and unlocked, if another has it."""
        return self.share_open(self.fd)

    @staticmethod
    def share_open(fd: int) -> bool:
        """Take a shared lock by a descriptor; False if another process holds it exclusively."""
        return _lock(fd, exclusive=False, wait=False)

    def is_in_place(self, *, dir_fd: Optional[int] = None) -> bool:
        """Whether the path still names the file that is open here."""
        name = self.path if dir_fd is None else os.path.basename(self.path)
        try:
            return os.path.samestat(os.lstat(name, dir_fd=dir_fd), os.fstat(self.fd))
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
        return not _try_shared(fd, self._take_shared)

    def is_held_or_shared(self) -> bool:
        """As `is_held`, also if processes share it; takes it for an instant if none does."""
        try:
            fd = open_private(self.path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _lock(fd, exclusive=True, wait=False)
        finally:
            os.close(fd)

    def wait_shared(
        self, timeout_s: Optional[float] = None, *, unless: Callable[[], bool] = lambda: False
    ) -> bool:
        """Block until no process holds the lock exclusively; False if that took too long.

        The kernel wakes us within a millisecond of the holder's release or death. True if there
        is no such file, or if `unless` returns true once the file is open: another lock may have
        replaced the intended one. Where readers can hold the lock, `unless` is asked once a
        second, too. Ctrl-C and signal handlers work during the wait.
        """
        take = self._take_shared
        if self._waiting is None:
            try:
                fd = open_private(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return True
            if _try_shared(fd, take, keep=True):
                return True
            if (timeout_s is not None and timeout_s <= 0) or unless():
                os.close(fd)
                return unless()
            if _are_green():
                return _look_shared(fd, take, timeout_s, unless)
            if timeout_s is None and self.by_description:
                return _block_shared(fd, take)
            self._waiting = _SharedWait.of(fd, take)
        if not self._join(self._waiting, timeout_s, unless):
            return False
        self._waiting = None
        return True

    def _join(
        self, waiting: _SharedWait, timeout_s: Optional[float], unless: Callable[[], bool]
    ) -> bool:
        left_s = LONGEST_WAIT_S if timeout_s is None else timeout_s
        look_s = left_s if self.by_description else _LOOK_S
        while not waiting.join(min(look_s, left_s)):
            if not self.by_description and unless():
                return True
            if timeout_s is not None:
                left_s -= look_s
                if left_s <= 0:
                    return False
        return True

    @property
    def _take_shared(self) -> _Take:
        return _lock_description if self.by_description else _lock

    def release(self) -> None:
        """Release the lock, also for children that inherited it; the file stays open."""
        if self.fd >= 0:
            _unlock(self.fd)
            if self.by_description:
                _unlock_description(self.fd)

    def close(self) -> None:
        """Close the file, and so release the lock, unless a child that inherited it keeps it."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)


def _close_to_others(fd: int) -> None:
    """Let only its owner open the file from now on: an older version may have shared it."""
    try:
        if os.fstat(fd).st_mode & 0o077:
            set_mode(fd, 0o600)
    except OSError:
        pass  # a file system without permissions


def _try_description(fd: int) -> bool:
    """Take the second kind; False where there is none, or where both kinds are one."""
    try:
        return _lock_description(fd, exclusive=True, wait=False)
    except OSError:
        return False


def _try_shared(fd: int, take: _Take, *, keep: bool = False) -> bool:
    """Whether no process holds the lock; with `keep` the descriptor stays open if one does."""
    free = True
    try:
        free = take(fd, exclusive=False, wait=False)
    finally:
        if free or not keep:
            os.close(fd)
    return free


def _block_shared(fd: int, take: _Take) -> bool:
    """Block in this thread, which wakes sooner than a helper thread; close the descriptor."""
    try:
        return take(fd, exclusive=False, wait=True)
    finally:
        os.close(fd)


def _are_green() -> bool:
    """Whether gevent or eventlet has replaced this process's threads by green ones.

    A green thread that blocks in a system call blocks all of them.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    return bool(
        (gevent is not None and gevent.is_module_patched("threading"))
        or (eventlet is not None and eventlet.is_monkey_patched("thread"))
    )


def _look_shared(
    fd: int, take: _Take, timeout_s: Optional[float], unless: Callable[[], bool]
) -> bool:
    """Try the lock every 20 ms, for programs in which no thread may block; close the descriptor."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        while not (take(fd, exclusive=False, wait=False) or unless()):
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_GREEN_LOOK_S)
        return True
    finally:
        os.close(fd)


class _SharedWait:
    """A thread that blocks in the kernel; its callers may give up while it still waits.

    All waits of this process for the same lock share the thread and its descriptor.
    """

    _all: ClassVar[Dict[Tuple[int, int, int], _SharedWait]] = {}

    def __init__(self, fd: int, take: _Take) -> None:
        self._fd, self._take = fd, take
        status = os.fstat(fd)
        self._key = (os.getpid(), status.st_dev, status.st_ino)  # a fork has no such thread
        self._free = threading.Event()
        self._error: Optional[OSError] = None

    @classmethod
    def of(cls, fd: int, take: _Take) -> _SharedWait:
        """Return the wait for this file, a new one if there is none; it owns the descriptor."""
        own = cls(fd, take)
        waiting = cls._all.setdefault(own._key, own)
        if waiting is not own:
            os.close(fd)
            return waiting
        try:
            threading.Thread(target=own._block, name="procsup-wait", daemon=True).start()
        except BaseException:
            own._end()
            raise
        return own

    def _block(self) -> None:
        try:
            self._take(self._fd, exclusive=False, wait=True)
        except OSError as error:
            self._error = error
        finally:
            self._end()
            self._free.set()

    def _end(self) -> None:
        os.close(self._fd)
        self._all.pop(self._key, None)  # a later wait starts a new thread

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False if it still waits after that time."""
        slice_s = _SLICE_S if sys.platform == "win32" else timeout_s
        while timeout_s > 0 and not self._free.wait(min(slice_s, timeout_s)):
            timeout_s -= slice_s
        if self._error is not None:
            raise self._error
        return self._free.is_set()


def locks_work(folder: AnyPath, *, dir_fd: Optional[int] = None) -> bool:
    """Whether locks exclude in this folder: of two open files the second must fail.

    OSError if that cannot be tried: a temporary error must not count as a file system without
    locks, on which two supervisors would not exclude each other.
    """
    path = os.path.join(folder, make_temporary_name())
    first, second = FileLock(path), FileLock(path)
    first.open(only_new=True, dir_fd=dir_fd)
    try:
        return first.try_exclusive(dir_fd=dir_fd) and not second.try_exclusive(dir_fd=dir_fd)
    except OSError as error:
        if error.errno in _NOT_THE_LOCKS_FAULT:
            raise
        return False
    finally:
        first.close()
        second.close()
        try:
            remove(path, dir_fd=dir_fd)
        except OSError:
            pass  # it was never made, or a later start removes it


def locks_reach(folder: AnyPath) -> bool:
    """Whether other hosts see locks in this folder, as far as Linux shows it.

    Network mounts with ``nolock`` or a similar option have locks that only this host sees.
    """
    place, best = os.path.realpath(folder), Mount("", "")
    for mount in list_mounts():
        inside = place == mount.point or place.startswith(mount.point.rstrip("/") + "/")
        if inside and len(mount.point) >= len(best.point):
            best = mount
    return _HOST_ONLY.isdisjoint(best.options.split(","))


_HOST_ONLY = frozenset(["nolock", "local_lock=all", "local_lock=flock", "localflock", "nobrl"])

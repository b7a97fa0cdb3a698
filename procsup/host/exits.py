"""Detects the end of children without polling (POSIX); `ExitNotifier` is the interface."""

import errno
import os
import select
import sys
import threading
import time
from collections import deque
from functools import partial
from typing import Any, Deque, Dict, List, Optional

from procsup.host.clock import LONGEST_WAIT_S
from procsup.host.processes import ExitNotifier, Wakeup
from procsup.host.threads import try_start_thread

assert sys.platform != "win32"

_LOOK_EVERY_S = 0.05  # interval of polls for children without a thread
_AWAY_S = 0.1  # a wait that is this much too late was suspended (Ctrl-Z)
_PIDFD_OPEN = 434  # the same number on every architecture (Linux 5.3)

_READABLE = select.POLLIN


class ThreadExits:
    """A waiting thread per child: for systems without a better way, and in shortages."""

    def __init__(self) -> None:
        self._wake_fd, self._waking_fd = os.pipe()
        os.set_blocking(self._wake_fd, False)
        os.set_blocking(self._waking_fd, False)
        self._poller: Any = self._make_poller()
        self._poller.register(self._wake_fd, _READABLE)
        self._ended: Deque[int] = deque()  # filled by the threads
        self._in_threads: Dict[int, Optional[threading.Thread]] = {}  # None: without a thread
        self._closed = False

    def _make_poller(self) -> Any:
        return select.poll()

    def watch(self, pid: int) -> None:
        """Report the end of this child."""
        self._in_threads[pid] = try_start_thread(partial(self._wait_for, pid), "procsup-exit")

    def _wait_for(self, pid: int) -> None:
        try:
            _wait_without_reaping(pid)
        except OSError:
            pass  # other code reaped it: it has ended, and its owner will notice
        self._ended.append(pid)
        self.wake()

    def forget(self, pid: int) -> None:
        """Stop watching."""
        self._in_threads.pop(pid, None)

    def wait(self, timeout_s: Optional[float]) -> Wakeup:
        """Block until there is a notice."""
        pids: List[int] = []
        called = False
        alone = [pid for pid, thread in self._in_threads.items() if thread is None]
        if alone:
            timeout_s = _LOOK_EVERY_S if timeout_s is None else min(timeout_s, _LOOK_EVERY_S)
        began = time.monotonic()
        # If it was suspended (Ctrl-Z, fg) past the time, Python's poll returns without a result.
        events = self._poll(timeout_s) or self._poll(0.0)
        if timeout_s is not None and time.monotonic() - began > timeout_s + _AWAY_S:
            alone = list(self._in_threads)  # their threads were suspended, too
        for fd, _ in events:
            pid = self._find_pid(fd)
            if pid is not None:
                pids.append(pid)
            elif fd == self._wake_fd:
                called = self._hear(pids)
        self._take_ended(pids)  # in any case: the wake-up may have been lost
        pids.extend(pid for pid in alone if pid not in pids and _is_over(pid))
        return Wakeup(pids, called)

    def _poll(self, timeout_s: Optional[float]) -> Any:
        """Poll; the time is rounded up to milliseconds, so that it never returns too early."""
        limit_s = LONGEST_WAIT_S if timeout_s is None else min(timeout_s, LONGEST_WAIT_S)
        return self._poller.poll(max(0, int(limit_s * 1000 + 0.999)))

    def _find_pid(self, fd: int) -> Optional[int]:  # noqa: ARG002 - for those with pidfds
        return None

    def _hear(self, pids: List[int]) -> bool:
        """Take the pids from the threads; return whether `wake` was called as well."""
        words = b""
        try:
            words = os.read(self._wake_fd, 1 << 16)
        except BlockingIOError:
            pass  # it is empty already
        before = len(pids)
        self._take_ended(pids)
        return len(words) > len(pids) - before

    def _take_ended(self, pids: List[int]) -> None:
        while self._ended:
            pid = self._ended.popleft()
            if pid in self._in_threads:
                pids.append(pid)

    def wake(self) -> None:
        """Make `wait` return. Never raises: callers are other threads and signal handlers."""
        if self._closed:
            return
        try:
            os.write(self._waking_fd, b".")
        except OSError:
            pass  # the pipe is full, or no memory: the loop polls twice a second

    def close(self) -> None:
        """Release everything."""
        if self._closed:
            return
        threads = [thread for thread in self._in_threads.values() if thread is not None]
        for thread in threads:
            thread.join(0.1)  # their children are dead, unless they cannot be killed
        late = any(thread.is_alive() for thread in threads)
        self._closed = True
        if late:
            return  # such a thread may still write to the pipe: it must stay open
        os.close(self._wake_fd)
        os.close(self._waking_fd)


def _is_over(pid: int) -> bool:
    if sys.platform == "darwin" and sys.version_info < (3, 13):
        return False  # waitid is missing there; kqueue needs no threads
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except OSError:
        return True  # other code reaped it: its owner will notice


def _wait_without_reaping(pid: int) -> None:
    if sys.platform != "darwin" or sys.version_info >= (3, 13):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


if sys.platform == "linux":

    def open_pidfd(pid: int) -> int:
        """Open a pidfd; OSError if it cannot be (EMFILE, ENOSYS, EPERM under seccomp, ...)."""
        if sys.version_info >= (3, 9) and hasattr(os, "pidfd_open"):
            return os.pidfd_open(pid)
        import ctypes

        syscall = ctypes.CDLL(None, use_errno=True).syscall
        fd = int(syscall(_PIDFD_OPEN, pid, 0))
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return fd

    class PidfdExits(ThreadExits):
        """One pidfd per child in one epoll; a child for which there is none gets a thread."""

        def __init__(self) -> None:
            super().__init__()
            self._pids: Dict[int, int] = {}  # pidfd -> pid
            self._fds: Dict[int, int] = {}  # pid -> pidfd

        def _make_poller(self) -> Any:
            return select.epoll()

        def watch(self, pid: int) -> None:
            """Report the end of this child."""
            try:
                fd = open_pidfd(pid)
            except OSError:
                super().watch(pid)
                return
            try:
                self._poller.register(fd, _READABLE)
            except OSError:
                os.close(fd)
                super().watch(pid)
                return
            self._pids[fd] = pid
            self._fds[pid] = fd

        def forget(self, pid: int) -> None:
            """Stop watching."""
            fd = self._fds.pop(pid, None)
            if fd is None:
                super().forget(pid)
                return
            del self._pids[fd]
            # A child forked by another thread may hold a copy for a moment: epoll would report it.
            self._poller.unregister(fd)
            os.close(fd)

        def _poll(self, timeout_s: Optional[float]) -> Any:
            limit_s = LONGEST_WAIT_S if timeout_s is None else min(timeout_s, LONGEST_WAIT_S)
            return self._poller.poll(max(0.0, limit_s))

        def _find_pid(self, fd: int) -> Optional[int]:
            return self._pids.get(fd)

        def close(self) -> None:
            """Release everything."""
            for pid in list(self._fds):
                self.forget(pid)
            super().close()
            self._poller.close()

else:

    class KqueueExits:
        """One kqueue for all children: macOS and the BSDs."""

        def __init__(self) -> None:
            self._queue = select.kqueue()
            self._wake_fd, self._waking_fd = os.pipe()
            os.set_blocking(self._wake_fd, False)
            os.set_blocking(self._waking_fd, False)
            self._pids: Dict[int, bool] = {}  # pid -> known to have ended before it was watched
            self._late: List[int] = []
            self._make_change(self._wake_fd, select.KQ_FILTER_READ, select.KQ_EV_ADD)

        def _make_change(self, ident: int, kind: int, flags: int, notes: int = 0) -> None:
            self._queue.control([select.kevent(ident, kind, flags, notes)], 0, 0)

        def watch(self, pid: int) -> None:
            """Report the end of this child."""
            self._pids[pid] = True
            flags = select.KQ_EV_ADD | select.KQ_EV_ONESHOT
            try:
                self._make_change(pid, select.KQ_FILTER_PROC, flags, select.KQ_NOTE_EXIT)
            except OSError as error:
                if error.errno != errno.ESRCH:
                    raise
                self._late.append(pid)  # it is a zombie already

        def forget(self, pid: int) -> None:
            """Stop watching."""
            self._pids.pop(pid, None)

        def wait(self, timeout_s: Optional[float]) -> Wakeup:
            """Block until there is a notice."""
            pids, self._late = self._late, []
            called = False
            limit_s = LONGEST_WAIT_S if timeout_s is None else min(timeout_s, LONGEST_WAIT_S)
            events = self._queue.control(None, 256, 0 if pids else max(0.0, limit_s))
            if not events:  # suspended past the limit, Python returns nothing
                events = self._queue.control(None, 256, 0)
            for event in events:
                if event.filter == select.KQ_FILTER_PROC:
                    pids.append(event.ident)
                    continue
                called = True
                os.read(self._wake_fd, 1 << 16)
            return Wakeup([pid for pid in pids if pid in self._pids], called)

        def wake(self) -> None:
            """Make `wait` return."""
            try:
                os.write(self._waking_fd, b".")
            except OSError:
                pass  # the pipe is full, or closed

        def close(self) -> None:
            """Release everything."""
            self._queue.close()
            os.close(self._wake_fd)
            os.close(self._waking_fd)


def exit_notifier(way: str = "") -> ExitNotifier:
    """Return the best notifier for this system; `way` can request ``threads`` instead."""
    if way == "threads":
        return ThreadExits()
    if sys.platform == "linux":
        return PidfdExits()
    else:  # noqa: RET505 - so that type checkers know the platform
        return KqueueExits()

"""Handles that pin a process, so that a signal cannot reach another one with its pid (Linux)."""

from __future__ import annotations

import errno
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

_PIDFD_SEND_SIGNAL = 424  # on every architecture (Linux 5.1); Python has it from 3.9 on


def send(pid: int, handle: Optional[int], signum: int) -> None:
    """Send a signal by the handle that pins a process; by its pid if there is none."""
    if handle is None:
        os.kill(pid, signum)
        return
    try:
        _send_by_handle(handle, signum)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM) or _handles_take_signals():
            raise
        os.kill(pid, signum)


def _handles_take_signals() -> bool:
    """Whether signals can be sent by a handle: tried with our own process.

    That fails before Linux 5.1, or if a container's seccomp profile does not know the call.
    """
    handle = open_handle(os.getpid())
    if handle is None:
        return False
    try:
        _send_by_handle(handle, 0)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _send_by_handle(handle: int, signum: int) -> None:
    if sys.version_info >= (3, 9) and sys.platform == "linux":
        signal.pidfd_send_signal(handle, signum)
    else:
        _send_by_system_call(handle, signum)


def _send_by_system_call(handle: int, signum: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_PIDFD_SEND_SIGNAL, handle, signum, None, 0) != 0:
        raise OSError(ctypes.get_errno(), "pidfd_send_signal")


def is_over(handle: Optional[int]) -> bool:
    """Whether the process of a pidfd has ended; False if that is not known."""
    if handle is None or sys.version_info < (3, 9) or sys.platform == "win32":
        return False  # the folder used instead of a pidfd there does not show it
    import select

    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(0))


def open_handle(pid: int) -> Optional[int]:
    """Pin a process, so that a signal cannot reach another one with its pid; None if impossible."""
    try:
        if sys.version_info >= (3, 9) and sys.platform == "linux":
            return os.pidfd_open(pid)
        # Its folder serves as well (pidfd_send_signal(2)).
        if os.readlink("/proc/self") != str(os.getpid()):
            return None  # /proc is of another pid namespace
        return os.open(f"/proc/{pid}", os.O_RDONLY)
    except OSError:
        return None  # before Linux 5.3, forbidden, or ended, which the caller will notice

"""Asks the kernel, by a read lease, whether a file is open for writing (Linux).

A read lease is refused while any process has the file open or mapped for writing (fcntl(2)). It is
given back at once. A file system may refuse leases for other reasons, so each file system is tried
first with a file of our own, to which no process writes.
"""

import errno
import os
import signal
import stat
import sys
from typing import Dict, Optional

_works: Dict[int, bool] = {}  # device -> whether its leases detect writers


def is_written(path: str) -> Optional[bool]:
    """Whether a process has a regular file open for writing now.

    None if unknown: on other systems, for a file of another user, on file systems without leases.
    OSError only if the file cannot be opened.
    """
    if sys.platform != "linux":
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        refused = _is_refused(fd)
        if not refused:
            return refused
        return True if _tells(status.st_dev, os.path.dirname(path)) else None
    finally:
        os.close(fd)


def _is_refused(fd: int) -> Optional[bool]:
    """Take a lease and give it back; None if it is refused for another reason than a writer."""
    if sys.platform != "linux":
        return None
    import fcntl

    # A process that opens the file for writing meanwhile breaks the lease. Then the kernel sends us
    # SIGIO, which would end this process, unless another signal is set (fcntl(2)).
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    broken = fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return broken


def _tells(device: int, folder: str) -> bool:
    """Whether this file system gives a lease on a file that no process writes.

    It is tried with a file that never has a name (O_TMPFILE); if that cannot be made, a refused
    lease shows nothing.
    """
    known = _works.get(device)
    if known is None:
        known = _works[device] = _try_own(folder)
    return known


def _try_own(folder: str) -> bool:
    if sys.platform != "linux":
        return False
    try:
        writer = os.open(folder or ".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        fd = os.open(f"/proc/self/fd/{writer}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    finally:
        os.close(writer)
    try:
        return _is_refused(fd) is False
    finally:
        os.close(fd)

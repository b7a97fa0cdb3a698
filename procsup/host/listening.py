"""How a process handles a signal, and for which descendants it is then responsible.

A process that catches a signal and is not a shell is a listener: it stops its own children. So
is a process that blocks the signal and waits for it (sigwait, signalfd), as init programs of
containers do. A shell with a trap is a listener for its background jobs only: while a foreground
job runs, the trap has to wait for it.
Linux shows that in /proc/PID/status (SigCgt, SigBlk, SigIgn). On other systems every process but a
shell counts as a listener.
"""

import enum
import os
import signal
import sys
from typing import Optional

from msgspec import Struct

from procsup.host import procfs

SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "mksh", "ksh93", "ash", "busybox", "fish"))


class SignalHandling(Struct, frozen=True):
    """What a process does with a signal; None: the system does not show it.

    `catches`: it has a handler, or blocks the signal to wait for it.
    """

    catches: Optional[bool]
    ignores: Optional[bool]


_IN_SIGWAIT = b"do_sigtimedwait"  # the kernel's function in which such a process sleeps
_UNKNOWN = SignalHandling(None, None)


def read_signal_handling(pid: int, signum: int) -> SignalHandling:
    """Return what a process does with a signal."""
    if sys.platform != "linux":
        return _UNKNOWN
    caught = ignored = None
    blocked = False
    for line in procfs.read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"SigIgn:"):
            ignored = _has(line, signum)
        elif line.startswith(b"SigBlk:"):
            blocked = _has(line, signum)
        elif line.startswith(b"SigCgt:"):
            caught = _has(line, signum)
    if caught is False and not ignored:
        caught = _waits_for_signals(pid, blocked=blocked)
    return SignalHandling(caught, ignored)


def _waits_for_signals(pid: int, *, blocked: bool) -> bool:
    """Whether a process fetches signals instead of handling them.

    In sigwait a signal is not shown as blocked; for a signalfd it must be blocked. A process that
    only blocks it (`unshare --fork`) does not listen.
    """
    if procfs.read(f"/proc/{pid}/wchan").startswith(_IN_SIGWAIT):
        return True
    return blocked and any(
        target == "anon_inode:[signalfd]" for target in procfs.list_descriptor_targets(pid)
    )


def _has(line: bytes, signum: int) -> bool:
    return bool(int(line.split()[1], 16) >> (signum - 1) & 1)


class StopScope(enum.Enum):
    """Which descendants a process stops itself once it has received the signal."""

    NOBODY = "nobody"
    JOBS = "background jobs"
    ALL = "all"


def find_stop_scope(pid: int, handling: SignalHandling, name: str) -> StopScope:
    """Return which of its descendants a process stops itself; `name` is its program's name."""
    if handling.catches is False:
        return StopScope.NOBODY
    if not is_shell(pid, name):
        return StopScope.ALL
    # If all ignore INT or QUIT, background jobs cannot be distinguished.
    is_known = handling.catches and read_signal_handling(pid, signal.SIGINT).ignores is False
    return StopScope.JOBS if is_known and not _all_ignore_quit() else StopScope.NOBODY


def _all_ignore_quit() -> bool:
    """Whether we were started with SIGQUIT ignored, which all units inherit."""
    return sys.platform != "win32" and signal.getsignal(signal.SIGQUIT) == signal.SIG_IGN


def is_background_job(pid: int, name: str) -> bool:
    """Whether the shell that started this process does not wait for it.

    A shell without job control starts its background jobs with INT and QUIT ignored (POSIX), and
    few programs change QUIT. bash itself always ignores QUIT.
    """
    if sys.platform == "win32" or not read_signal_handling(pid, signal.SIGQUIT).ignores:
        return False
    return not is_shell(pid, name) or bool(read_signal_handling(pid, signal.SIGINT).ignores)


def is_shell(pid: int, name: str) -> bool:
    """Whether a process is a shell: by its program, since a script has a name of its own."""
    return read_program_name(pid) in SHELLS or name.lstrip("-") in SHELLS


def read_program_name(pid: int) -> str:
    """Return the file name of the program that a process executes; empty if unknown."""
    if sys.platform != "linux":
        return ""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).partition(" (deleted)")[0]
    except OSError:
        return ""  # it has ended, or another user's

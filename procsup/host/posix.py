"""Processes on Linux, macOS and the BSDs: start, ask to stop, reap exactly once.

Every child leads a session of its own. Until `reap` its pid is pinned, as a living process or
as a zombie: signals sent to it, or to its group, reach nobody else.
"""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from typing import Any, Optional, Sequence, Union

from procsup.core.outcome import Exited, Signaled, Vanished
from procsup.host import exits, posix_faults, trees
from procsup.host.processes import Departure, Launch

assert sys.platform != "win32"

environment_key = posix_faults.environment_key
exit_notifier = exits.exit_notifier
find_program = posix_faults.find_program
why_not_started = posix_faults.why_not_started
Trees = trees.Trees

__all__ = [
    "Child",
    "Trees",
    "ask_to_stop",
    "environment_key",
    "exit_notifier",
    "find_program",
    "give_up",
    "has_ended",
    "may_end",
    "open_log",
    "open_null",
    "open_target",
    "reap",
    "spawn",
    "why_not_started",
]

_CLOEXEC = os.O_CLOEXEC


class Child:
    """A started process; `born` is its age's beginning on the clock that /proc uses."""

    __slots__ = ("_popen", "born", "ended", "pid", "taken")

    def __init__(self, popen: "subprocess.Popen[bytes]", born: float) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.born = born
        self.ended = False  # it is a zombie, or reaped
        self.taken = False  # somebody else reaped it: its pid is not ours any more

    @property
    def pinned(self) -> bool:
        """Whether the pid is sure to be this child's."""
        return self._popen.returncode is None and not self.taken

    def let_go(self, status: int) -> None:
        """Tell `subprocess` that the process was reaped (`Popen.poll` would invent a 0)."""
        self._popen.returncode = status


# --- starting ------------------------------------------------------------------------------


def spawn(launch: Launch) -> Child:
    """Start a process; what can go wrong is for `why_not_started`.

    CPUs are set on this thread around the fork, so the child has them from its first
    instruction, and the signal mask is opened likewise: both are inherited.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if mask:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, mask)
    own_cpus = _take_cpus(launch.cpu_ids) if launch.cpu_ids else None
    try:
        born = now_in_proc()
        popen = subprocess.Popen(
            launch.argv,
            executable=launch.program,
            cwd=launch.cwd,
            env=launch.env,
            stdin=launch.stdin,
            stdout=launch.stdout,
            stderr=launch.stderr,
            pass_fds=launch.pass_fds,
            start_new_session=True,
        )
    finally:
        if own_cpus is not None and sys.platform == "linux":
            os.sched_setaffinity(0, own_cpus)
        if mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return Child(popen, born)


def _take_cpus(cpu_ids: Sequence[int]) -> Any:
    """Put this thread on these CPUs; return those it had, or None if nothing was changed."""
    if sys.platform != "linux":
        return None  # macOS has no affinity
    own_cpus = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cpu_ids)
    except OSError:
        return None  # they went offline: the start goes on, and the drift is recorded
    return own_cpus


def now_in_proc() -> float:
    """Return the time in seconds on the clock of the start times in /proc."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


# --- files of a start ------------------------------------------------------------------------


def open_null() -> int:
    """Open the null device for reading."""
    return os.open(os.devnull, os.O_RDONLY | _CLOEXEC)


def open_log(path: str) -> int:
    """Open a log for appending, for its owner only; its folder is made if it is missing.

    Nothing but a regular file of one name is accepted: the folder may have been tampered with.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | _CLOEXEC
    try:
        return os.open(path, flags | os.O_EXCL, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return os.open(path, flags | os.O_EXCL, 0o600)
    except FileExistsError:
        # A power cut may have lost the record of an attempt whose log is there.
        return _require_plain(os.open(path, flags | os.O_NONBLOCK, 0o600), path)


def open_target(path: str) -> int:
    """Open a file that the user named, empty, to be written by the child."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | _CLOEXEC
    fd = _require_plain(os.open(path, flags, 0o666), path)
    os.ftruncate(fd, 0)
    return fd


def _require_plain(fd: int, path: str) -> int:
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        os.set_blocking(fd, True)
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file of one name", path)


# --- ending ------------------------------------------------------------------------------------


def ask_to_stop(child: Child, *, dump: bool = False, insist: bool = False) -> None:
    """Send the stop signal to the process itself, then SIGCONT: a stopped one would not hear it.

    With `dump`, SIGABRT takes the stop signal's place if the process does not catch that, or if
    it was asked before (`insist`): CPython's faulthandler then writes all stacks.
    """
    if child.ended or not child.pinned:
        return
    signum = signal.SIGTERM
    if dump and (insist or not _catches(child.pid, signal.SIGTERM)):
        signum = signal.SIGABRT
        _forbid_core(child.pid)
    try:
        os.kill(child.pid, signum)
        os.kill(child.pid, signal.SIGCONT)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended meanwhile; or runs as somebody else, and the kill will not help either


def _catches(pid: int, signum: int) -> bool:
    """Tell whether the process has a handler of its own; True if the system does not tell."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    except (OSError, ValueError):
        pass  # it has ended, or there is no /proc: then the polite signal is right
    return True


def _forbid_core(pid: int) -> None:
    """Let no core file appear in the working folder: the stacks are what was asked for."""
    if sys.platform == "linux":
        import resource

        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_CORE)
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, hard))
        except OSError:
            pass  # it has ended, or runs as somebody else


def may_end(child: Child) -> bool:
    """Tell whether the system lets us kill it: not if it runs as somebody else."""
    try:
        os.kill(child.pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        return True
    return True


def has_ended(child: Child) -> bool:
    """Tell whether the process is over, without reaping it; to be asked when a notice came."""
    if child.ended:
        return True
    if sys.platform != "darwin" or sys.version_info >= (3, 13):
        try:
            options = os.WEXITED | os.WNOWAIT | os.WNOHANG
            child.ended = os.waitid(os.P_PID, child.pid, options) is not None
        except ChildProcessError:
            child.ended = child.taken = True
        return child.ended
    # Before Python 3.13 there is no waitid on macOS: kqueue's notice is that knowledge.
    child.ended = True
    return True


def reap(child: Child) -> Departure:
    """Take the exit status, once, when the tree is empty; from here on the pid is not ours."""
    if child.taken:
        child.let_go(-1)
        return Departure(Vanished("somebody else took its exit status"))
    try:
        _, status, usage = os.wait4(child.pid, 0)
    except ChildProcessError:
        child.let_go(-1)
        return Departure(Vanished("somebody else took its exit status"))
    exit_ = _decode(status)
    child.let_go(exit_.code if isinstance(exit_, Exited) else -1)
    peak = _known_peak(usage.ru_maxrss)
    return Departure(exit_, usage.ru_utime, usage.ru_stime, peak)


def give_up(child: Child) -> None:
    """Disown a child that cannot be ended; whoever adopts orphans reaps it if it ever ends."""
    child.let_go(-1)


def _decode(status: int) -> Union[Exited, Signaled]:
    if os.WIFSIGNALED(status):
        return Signaled(os.WTERMSIG(status))
    return Exited(os.WEXITSTATUS(status))


def _known_peak(maxrss: int) -> Optional[int]:
    """Return a child's high-water mark in bytes, unless ours hides it (it starts from ours)."""
    import resource

    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if maxrss <= own:
        return None
    return maxrss if sys.platform == "darwin" else maxrss * 1024

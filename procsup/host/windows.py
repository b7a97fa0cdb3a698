"""Processes on Windows: start, ask to stop, end whole trees. The same promises as posix.py.

Each child is created suspended and put into a Job Object of its own before it runs. No process
that it starts can leave the job, and all of them end when our handle of the job, the only one, is
closed (KILL_ON_JOB_CLOSE; microsoft.com: Job Objects). A process' handle pins its pid.
"""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
from ctypes import wintypes
from typing import FrozenSet, List, Optional, Sequence, Set, Tuple

from procsup.core.outcome import Exited, NotStarted
from procsup.host import jobs, machine, windows_exits
from procsup.host.opened import create
from procsup.host.processes import Key, KillRound, Launch, ReapResult, TreeProcess

assert sys.platform == "win32"

exit_notifier = windows_exits.exit_notifier

__all__ = [
    "Child",
    "Spawner",
    "StopSignaller",
    "Trees",
    "wrap_in_shell",
    "PYTHON_DEFAULTS",
    "make_environment_key",
    "exit_notifier",
    "find_program",
    "is_plain_script",
    "open_log",
    "open_log_folder",
    "open_null",
    "open_source",
    "open_target",
    "explain_not_started",
]

_CREATE_SUSPENDED = 0x4
# Too little memory, handles, paging file, or disk.
_SHORTAGES = frozenset((4, 8, 14, 39, 112, 1450, 1455))
_FOLDER_ERROR, _FORMAT_ERROR, _LENGTH_ERROR = 267, 193, 206

_ntdll = ctypes.WinDLL("ntdll")


class Child:
    """A started process and its job; `job` is None if the system refused to put it into one."""

    __slots__ = ("_popen", "ended", "job", "key", "pid")

    born: Optional[Tuple[float, float]] = None  # its handle pins its pid, its job holds its tree
    mark: Optional[int] = None

    def __init__(
        self, popen: "subprocess.Popen[bytes]", job: Optional[jobs.Job], key: Key = ("", "")
    ) -> None:
        self._popen = popen
        self.key = key
        self.job = job
        self.pid = popen.pid
        self.ended = False

    @property
    def pinned(self) -> bool:
        """Whether the pid is certainly this child's: as long as we hold its handle."""
        return True

    def poll(self) -> Optional[int]:
        """Return the exit code, None while it runs."""
        return self._popen.poll()

    def terminate(self) -> None:
        """Kill the process alone."""
        try:
            self._popen.terminate()
        except OSError:
            pass  # it has ended

    def has_ended(self, *, noticed: bool = True) -> bool:  # noqa: ARG002 - here the answer is always known
        """Whether the process has ended."""
        self.ended = self.ended or self.poll() is not None
        return self.ended

    def count_others(self) -> int:
        """Return how many processes of its tree beside itself live."""
        if self.job is None:
            return len(machine.list_descendants(self.pid))
        active = self.job.count_active()
        return max(0, active if self.ended else active - 1)

    @property
    def code(self) -> Optional[int]:
        """Its exit code, None while it runs."""
        return self.poll()

    @property
    def orphans(self) -> FrozenSet[int]:
        """Nothing: no process of a tree becomes our child on Windows."""
        return frozenset()

    def ask_to_stop(self) -> None:
        """Send CTRL_BREAK to its process group, if it shares our console."""
        if self.ended:
            return
        try:
            os.kill(self.pid, signal.CTRL_BREAK_EVENT)
        except (OSError, SystemError):
            pass  # it has ended, or has no console: the kill after the grace ends it

    def dump_stacks(self) -> None:
        """Do nothing: there are no stack dumps on Windows."""

    def may_end(self) -> bool:
        """True: the system lets us kill a process that we started."""
        return True

    def reap(self) -> ReapResult:
        """Take the exit code and the CPU times of the whole tree."""
        code = self.poll()
        assert code is not None, "reaped while it runs"
        if self.job is None:
            return ReapResult(Exited(code % 2**32))
        account = self.job.read_account()
        if account is None:
            return ReapResult(Exited(code % 2**32))
        return ReapResult(Exited(code % 2**32), account.user_time / 1e7, account.kernel_time / 1e7)

    def give_up(self) -> None:
        """Disown a child that cannot be ended."""


# --- starting ------------------------------------------------------------------------------


class Spawner:
    """Starts processes. Nothing but the three streams is inherited; marks are not needed."""

    def __init__(self, mark_base: Optional[int] = None) -> None:
        """Accept the arguments that other systems need."""

    def spawn(self, launch: Launch) -> Child:
        """Start a process; `explain_not_started` explains its errors.

        It gets its job and its CPUs before its first instruction.
        """
        popen = launch.open(creationflags=_CREATE_SUSPENDED | subprocess.CREATE_NEW_PROCESS_GROUP)
        try:
            child = Child(popen, _make_job(popen), launch.key)
            if launch.cpu_ids:
                _give_cpus(child.pid, launch.cpu_ids)
            _ntdll.NtResumeProcess(wintypes.HANDLE(_find_handle(popen)))
        except BaseException:
            popen.kill()
            popen.wait()
            raise
        return child


def _find_handle(popen: "subprocess.Popen[bytes]") -> int:
    return int(popen._handle)  # type: ignore[attr-defined,unused-ignore]


def _make_job(popen: "subprocess.Popen[bytes]") -> Optional[jobs.Job]:
    job = jobs.Job()
    if job.take(_find_handle(popen)):
        return job
    job.close()
    return None


def _give_cpus(pid: int, cpu_ids: Sequence[int]) -> None:
    try:
        machine.set_affinity(pid, cpu_ids)
    except OSError:
        pass  # such a CPU is missing now: the start continues, and the drift is recorded


def find_program(name: str, path: str, cwd: str) -> str:
    """Return the file that `name` stands for; FileNotFoundError if PATH has none.

    A name with a folder is relative to `cwd`; extensions are those of PATHEXT.
    """
    if os.path.dirname(name):
        whole = os.path.join(cwd, name)
        return whole if os.path.isfile(whole) else shutil.which(whole) or whole
    found = shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, f"program {name!r} was not found on PATH")
    return os.path.abspath(found)


def is_plain_script(_program: str) -> bool:
    """False: no shell runs a file here that the system cannot execute."""
    return False


def wrap_in_shell(program: str, argv: Sequence[str]) -> Tuple[str, ...]:
    """Return the argv as it is: no shell runs scripts here."""
    return (program, *argv[1:])


# Without it, Python encodes what it writes to a file or pipe in the code page of the machine.
PYTHON_DEFAULTS = {"PYTHONIOENCODING": "utf-8"}


def make_environment_key(name: str) -> str:
    """Return the form in which an environment variable's name is compared."""
    return name.upper()


def explain_not_started(
    error: BaseException, launch: Optional[Launch], step: str = ""
) -> NotStarted:
    """Return what failed and why. Without a `launch`, `step` names what was being made."""
    number = getattr(error, "winerror", None)
    words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    name = getattr(error, "filename", None)
    if isinstance(name, (str, bytes)):
        words = f"{os.fsdecode(name)!r}: {words}"
    if number in _SHORTAGES or getattr(error, "errno", None) in (errno.EMFILE, errno.ENOMEM):
        return NotStarted(f"the system is short of something: {words}", passing=True)
    if launch is None:
        return NotStarted(f"{step}: {words}" if step else words)
    return NotStarted(_explain_fault(launch, number) or words)


def _explain_fault(launch: Launch, number: Optional[int]) -> Optional[str]:
    if any("\0" in part for part in (*launch.argv, launch.cwd)):
        return "an argument or the working folder contains a NUL character"
    if number == _LENGTH_ERROR:
        return "the command line is too long for this system"
    if not os.path.exists(launch.cwd):
        return f"working folder {launch.cwd!r} does not exist"
    if number == _FOLDER_ERROR or not os.path.isdir(launch.cwd):
        return f"working folder {launch.cwd!r} is not a folder"
    if not os.path.exists(launch.program):
        return f"program {launch.program!r} does not exist"
    if os.path.isdir(launch.program):
        return f"program {launch.program!r} is a folder"
    if number == _FORMAT_ERROR:
        return f"program {launch.program!r} is not a program of this system"
    return None


# --- files of a start ------------------------------------------------------------------------


def open_null() -> int:
    """Open the null device for reading."""
    return os.open(os.devnull, os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT)


def open_source(path: str) -> int:
    """Open a file that the user named, to be read by the child."""
    return os.open(path, os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT)


def open_log_folder(path: str) -> Optional[int]:  # noqa: ARG001 - as elsewhere
    """Return None: a folder cannot be opened here; `open_log` makes it if it is missing."""
    return None


def open_log(path: str, folder: Optional[int] = None) -> int:  # noqa: ARG001 - as elsewhere
    """Open a log for appending; its folder is made if it is missing."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_BINARY | os.O_NOINHERIT
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o600)


def open_target(path: str) -> int:
    """Make a file beside one that the user named, to be written by the child; return its fd."""
    return create(path, None)


class Trees:
    """The process trees of all live attempts, each in its job."""

    adopts = True

    def __init__(self, run_id: str, mark_base: Optional[int] = None) -> None:  # noqa: ARG002
        # Jobs need no cookie and no mark.
        self._children: Set[Child] = set()

    def add(self, child: Child) -> None:
        """Add a child that was just started, until `remove`."""
        self._children.add(child)

    def add_beside(self, child: Child) -> None:
        """Add a helper of an attempt; its job keeps track of it."""

    def end_beside(self, child: Child) -> None:
        """End a helper with its tree."""
        if child.job is not None:
            child.job.end()
            child.job.close()
        child.terminate()

    def remove(self, child: Child) -> None:
        """Forget an attempt, and release its job."""
        self._children.remove(child)
        if child.job is not None:
            child.job.close()

    def look(self) -> None:
        """Nothing is adopted on Windows."""

    def note_main_end(self) -> None:
        """Do nothing: the job keeps track of its processes."""

    def list_processes(self, child: Child) -> List[TreeProcess]:
        """Return the other live processes of its tree; their open files are unknown."""
        pids = None if child.job is None else child.job.read_pids()
        if pids is None:
            pids = machine.list_descendants(child.pid)
        return [
            TreeProcess(pid, 0, machine.read_name(pid), None) for pid in pids if pid != child.pid
        ]

    def kill(self, child: Child) -> KillRound:
        """End the whole tree; `fresh` is 0, since nothing can escape from a job."""
        others = child.count_others()
        if child.job is not None:
            child.job.end()
        else:
            _end_without_job(child)
        return KillRound(others + (not child.ended), 0)

    def end_rest(self, limit_s: float) -> None:
        """Do nothing: processes in a job end with it."""

    def close(self) -> None:
        """Release every job; processes that are still in one end."""
        for child in list(self._children):
            self.remove(child)


class StopSignaller:
    """Asks one tree to stop, by CTRL_BREAK to its process group, and ends its job."""

    def __init__(
        self,
        child: Child,
        trees: Trees,
        *,
        name: str,  # noqa: ARG002 - every polite signal is CTRL_BREAK here
        reach: str,  # noqa: ARG002 - it reaches the whole group
    ) -> None:
        self._child = child
        self._trees = trees
        self._is_told = False

    def signal(self, *, everybody: bool = False, dump: bool = False) -> bool:  # noqa: ARG002
        """Ask the group to stop, once; false, since every process gets the request."""
        if not self._is_told:
            self._is_told = True
            self._child.ask_to_stop()
        return False

    def kill(self, *, spare: bool = False) -> int:  # noqa: ARG002
        """End the job; 0, since nothing can escape from it."""
        return self._trees.kill(self._child).fresh


def _end_without_job(child: Child) -> None:
    """Kill by walking the tree, only where our own job forbids a nested one."""
    for pid in machine.list_descendants(child.pid):
        _terminate(pid)
    child.terminate()


def _terminate(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)  # on Windows this is TerminateProcess
    except OSError:
        pass  # gone

"""Processes on Linux, macOS and the BSDs: start, ask to stop, reap exactly once.

Every child leads its own session. Until `reap` its pid is pinned, as a live process or as a
zombie: signals sent to it, or to its group, reach no other process.
"""

import errno
import os
import resource
import signal
import stat
import sys
import time
from typing import Dict, FrozenSet, Iterable, Iterator, Optional, Set, Tuple, Union

from msgspec.structs import replace

from procsup.core.outcome import Exited, Signaled, Vanished
from procsup.host import exits, marks, posix_faults, procfs, spawning, stop_signals, trees
from procsup.host.opened import Folder, create
from procsup.host.processes import Key, Launch, ReapResult

assert sys.platform != "win32"

wrap_in_shell = posix_faults.wrap_in_shell
make_environment_key = posix_faults.make_environment_key
PYTHON_DEFAULTS: Dict[str, str] = {}  # the locale decides, and what has none gets UTF-8
exit_notifier = exits.exit_notifier
find_program = posix_faults.find_program
is_plain_script = posix_faults.is_plain_script
explain_not_started = posix_faults.explain_not_started
StopSignaller = stop_signals.StopSignaller
Trees = trees.Trees

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

_CLOEXEC = os.O_CLOEXEC
_LOG_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | _CLOEXEC
_NEW_LOG = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | _CLOEXEC


class Child:
    """A started process, and what `Trees` knows of its tree.

    `born` is an interval of the clock of /proc (`read_proc_clock`): a process with this pid that
    was started outside of it is another one. Its descendants inherit `mark`, None if it has none.
    `logs` are (device, inode) of the files that it writes its output to.
    """

    __slots__ = (
        "born",
        "code",
        "ended",
        "hit",
        "key",
        "killed_since",
        "logs",
        "mark",
        "orphans",
        "pid",
        "reaped",
        "taken",
    )

    def __init__(
        self,
        pid: int,
        *,
        born: Tuple[float, float],
        mark: Optional[int] = None,
        key: Key = ("", ""),
        logs: FrozenSet[Tuple[int, int]] = frozenset(),
    ) -> None:
        self.pid = pid
        self.born = born
        self.mark = mark
        self.key = key
        self.logs = logs
        self.ended = False  # it is a zombie, or reaped
        # Of a zombie, if the system shows it: its exit code, or the negative number of its signal.
        self.code: Optional[int] = None
        self.reaped = False  # we reaped it, or gave it up
        self.taken = False  # other code reaped it: its pid is no longer ours
        # Other processes of its tree: adopted and pinned until we reap them, or (where we do not
        # adopt orphans) found by its session.
        self.orphans: Set[int] = set()
        self.hit: Set[Tuple[int, int]] = set()  # (pid, start) of all that were sent SIGKILL
        self.killed_since: Optional[float] = None

    @property
    def pinned(self) -> bool:
        """Whether the pid is certainly this child's."""
        return not self.reaped and not self.taken

    def count_others(self) -> int:
        """Return how many processes of its tree beside itself are known to live.

        The number is from the last `Trees.look`; descendants of these processes are not counted.
        """
        return len(self.orphans)

    def has_ended(self, *, noticed: bool = True) -> bool:
        """Whether the process has ended; it is not reaped.

        Without a notice, macOS before Python 3.13 cannot find out: false then.
        """
        if self.ended:
            return True
        if sys.platform != "darwin" or sys.version_info >= (3, 13):
            try:
                options = os.WEXITED | os.WNOWAIT | os.WNOHANG
                found = os.waitid(os.P_PID, self.pid, options)
                self.ended = found is not None
                if found is not None:
                    exited = found.si_code == os.CLD_EXITED
                    self.code = found.si_status if exited else -found.si_status
            except ChildProcessError:
                self.ended = self.taken = True
            return self.ended
        # Before Python 3.13 there is no waitid on macOS: kqueue's notice is the only source.
        self.ended = noticed
        return noticed

    def dump_stacks(self) -> None:
        """Send SIGABRT to the process itself: CPython's faulthandler then writes all stacks."""
        if self.ended or not self.pinned:
            return
        _forbid_core(self.pid)
        try:
            os.kill(self.pid, signal.SIGABRT)
            os.kill(self.pid, signal.SIGCONT)  # a stopped process would not handle it
        except (ProcessLookupError, PermissionError):
            pass  # it has ended; or it runs as another user, and SIGKILL would fail, too

    def may_end(self) -> bool:
        """Whether the system lets us kill it: not if it runs as another user."""
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            return False
        except ProcessLookupError:
            return True
        return True

    def reap(self) -> ReapResult:
        """Reap it, once, when the tree is empty; from then on its pid may be reused."""
        try:
            if self.taken:
                raise ChildProcessError
            _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:
            return ReapResult(Vanished("another part of this program took its exit status"))
        finally:
            self.reaped = True
        peak = _find_peak(usage.ru_maxrss)
        return ReapResult(_decode(status), usage.ru_utime, usage.ru_stime, peak)

    def give_up(self) -> None:
        """Disown a child that cannot be ended; the adopter of orphans reaps it if it ever ends."""
        self.reaped = True


# --- starting ------------------------------------------------------------------------------


class Spawner:
    """Starts processes, each with its own mark above `mark_base` (None: without)."""

    def __init__(self, mark_base: Optional[int] = None) -> None:
        self._marker = marks.Marker(mark_base)

    def spawn(self, launch: Launch) -> Child:
        """Start a process; `explain_not_started` explains its errors.

        A script without an interpreter line is run by the shell, as by `execvp`.
        """
        try:
            return self._spawn(launch)
        except OSError as error:
            if error.errno != errno.ENOEXEC or not posix_faults.is_plain_script(launch.program):
                raise
        argv = posix_faults.wrap_in_shell(launch.program, launch.argv)
        return self._spawn(replace(launch, program=argv[0], argv=argv))

    def _spawn(self, launch: Launch) -> Child:
        logs = frozenset(_list_identities((launch.stdout, launch.stderr)))
        mark = self._marker.put_on(launch.mark)
        begun = read_proc_clock()
        try:
            pid = spawning.start(launch)
        finally:
            if mark is not None:
                self._marker.take_off()
        return Child(pid, born=(begun, read_proc_clock()), mark=mark, key=launch.key, logs=logs)


def _list_identities(fds: Iterable[int]) -> Iterator[Tuple[int, int]]:
    """Yield (device, inode) of the regular files: other kinds may be shared with any process."""
    for fd in set(fds):
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            yield status.st_dev, status.st_ino


def read_proc_clock() -> float:
    """Return the time in seconds on the clock of start times in /proc, truncated like them."""
    if sys.platform == "linux":
        return procfs.read_ticks() / procfs.TICKS_PER_S
    return time.monotonic()


# --- files of a start ------------------------------------------------------------------------


def open_null() -> int:
    """Open the null device for reading."""
    return os.open(os.devnull, os.O_RDONLY | _CLOEXEC)


def open_source(path: str) -> int:
    """Open a file that the user named, to be read by the child; OSError if it is a FIFO.

    Opening a FIFO blocks until it has a writer, and the whole run with it.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | _CLOEXEC)
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "a FIFO, whose writer may never come", path)
    os.set_blocking(fd, True)
    return fd


def open_log_folder(path: str) -> int:
    """Open a folder of logs; OSError if it is missing, is a link, or is not ours.

    It is checked again here: it may have been exchanged since the run directory was checked.
    """
    fd = os.open(path, _LOG_FOLDER)
    try:
        status = os.fstat(fd)
        # A file system may map user ids: then the owner of a new file shows our own id there.
        if status.st_uid != os.geteuid() and not Folder(path, fd, status).is_ours():
            raise OSError(errno.EPERM, "it belongs to another user", path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_log(path: str, folder: Optional[int] = None) -> int:
    """Open a log for appending, for its owner only, in its open folder (None: that is opened).

    Only a regular file with a single name and of the folder's owner is accepted.
    """
    place, _, name = path.rpartition("/")
    opened = open_log_folder(place) if folder is None else folder
    try:
        return _open_log_in(opened, name)
    except OSError as error:
        error.filename = path
        raise
    finally:
        if folder is None:
            os.close(opened)


def _open_log_in(folder: int, name: str) -> int:
    try:
        return os.open(name, _NEW_LOG | os.O_EXCL, 0o600, dir_fd=folder)
    except FileExistsError:
        # A power cut may have lost the record of an attempt whose log exists.
        fd = os.open(name, _NEW_LOG | os.O_NONBLOCK, 0o600, dir_fd=folder)
    try:
        _require_ours(os.fstat(fd), os.fstat(folder).st_uid)
        os.set_blocking(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _require_ours(log: os.stat_result, owner: int) -> None:
    if not stat.S_ISREG(log.st_mode) or log.st_nlink != 1:
        raise OSError(errno.EINVAL, "not a regular file of one name")
    if log.st_uid != owner:  # both ids are the file system's
        raise OSError(errno.EPERM, "it and its folder belong to different users")


def open_target(path: str) -> int:
    """Make a file beside one that the user named, to be written by the child; return its fd."""
    return create(path, None)


# --- ending ------------------------------------------------------------------------------------


def _forbid_core(pid: int) -> None:
    """Prevent a core file in the working folder: only the stacks are wanted."""
    if sys.platform == "linux":
        try:
            _, hard = resource.prlimit(pid, resource.RLIMIT_CORE)
            resource.prlimit(pid, resource.RLIMIT_CORE, (0, hard))
        except OSError:
            pass  # it has ended, or runs as another user


def _decode(status: int) -> Union[Exited, Signaled]:
    if os.WIFSIGNALED(status):
        return Signaled(os.WTERMSIG(status))
    return Exited(os.WEXITSTATUS(status))


_own_peak = 0  # our own high-water mark as last read; it only grows


def _find_peak(maxrss: int) -> Optional[int]:
    """Return a child's high-water mark in bytes, unless ours hides it (it starts from ours)."""
    global _own_peak
    if maxrss > _own_peak:
        _own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if maxrss <= _own_peak:
        return None
    return maxrss if sys.platform == "darwin" else maxrss * 1024

"""The resources of this machine, and measurements of its process trees.

psutil only observes and never waits: a wait would reap a process that belongs to the engine.
It is imported when it is first needed, after the first unit has started. A process that has
ended, or that we have no permission to read, never raises here.
"""

import math
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from procsup.host import cgroups, procfs
from procsup.host.identity import get_host_name
from procsup.host.nested import read_granted_cpus

if TYPE_CHECKING:
    from procsup.core.slots import Capacity

__all__ = [
    "RUN_COOKIE",
    "UNIT_COOKIE",
    "TreeSample",
    "count_cpus",
    "make_capacity",
    "list_descendants",
    "list_pids",
    "list_family",
    "kill",
    "look",
    "read_name",
    "read_physical_memory_bytes",
    "list_processes_with_cookie",
    "read_affinity",
    "read_free_memory_bytes",
    "read_load",
    "sample_tree",
    "set_affinity",
    "stop_with_cookie",
]

RUN_COOKIE = "PROCSUP_RUN"
UNIT_COOKIE = "PROCSUP_UNIT"


class TreeSample(NamedTuple):
    """One reading of a process and all its descendants.

    CPU seconds are those of live processes and of the children that they have reaped. Memory is the
    sum of resident sets (shared pages count for each). `peak_bytes` is the sum of each living
    process' own high-water mark: VmHWM of proc(5), PeakWorkingSetSize on Windows; None on macOS.
    """

    cpu_user_s: float
    cpu_system_s: float
    memory_bytes: int
    peak_bytes: Optional[int]
    processes: int
    affinity: Optional[List[int]]


# --- the machine -------------------------------------------------------------------------


def make_capacity(
    *, cpus: Optional[float], memory_bytes: Optional[int], jobs: Optional[int]
) -> "Capacity":
    """Return the capacity of a run: the given values, else what this process may really use.

    That is the smallest of its CPU affinity, its CPU quota (rounded up) and the CPUs of the unit
    of another run that it is part of; and the smallest of physical memory and the memory limits
    of its control groups. `jobs` without `cpus` raises the number of CPUs to it: four jobs means
    four at once.
    """
    from procsup.core.slots import Capacity  # here: the guard uses this module without it

    limits = cgroups.read_limits() if sys.platform == "linux" else cgroups.Limits()
    ids = read_affinity(os.getpid()) or []
    if cpus is None:
        cpus = float(len(ids) or os.cpu_count() or 1)
        if limits.cpus is not None:
            cpus = min(cpus, float(math.ceil(limits.cpus)))
        cpus = min(cpus, read_granted_cpus() or cpus)
        cpus = max(cpus, float(jobs or 0))
    if memory_bytes is None:
        known = (read_physical_memory_bytes(), limits.memory_bytes)
        memory_bytes = min((size for size in known if size is not None), default=None)
    return Capacity(cpus, memory_bytes, tuple(ids), jobs, get_host_name())


def read_physical_memory_bytes() -> Optional[int]:
    """Return the size of the memory; None if the system does not say."""
    if sys.platform == "linux":
        pages = os.sysconf("SC_PHYS_PAGES")
        return pages * os.sysconf("SC_PAGE_SIZE") if pages > 0 else None
    psutil = _import_psutil()
    return int(psutil.virtual_memory().total)


def count_cpus() -> int:
    """Return the number of CPUs of the machine that this process may use, at least 1."""
    return len(read_affinity(os.getpid()) or []) or os.cpu_count() or 1


def read_free_memory_bytes() -> Optional[int]:
    """Return the memory that is free, or can be freed at once; None if that is unknown.

    The limits of control groups count, too.
    """
    if sys.platform == "linux":
        known = (procfs.read_available_memory_bytes(), cgroups.read_free_memory_bytes())
        return min((size for size in known if size is not None), default=None)
    try:
        return int(_import_psutil().virtual_memory().available)
    except (ImportError, OSError):
        return None


def read_load() -> Optional[float]:
    """Return how many threads run or want to run, but for the calling one; None if unknown.

    Where the system does not count them it is the load average of the last minute.
    """
    if sys.platform == "linux":
        running = procfs.count_running_threads()
        return None if running is None else float(max(running - 1, 0))
    if sys.platform == "win32":
        return None  # psutil's is an estimate that begins at 0 with the first call
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


# --- one process -------------------------------------------------------------------------


def read_affinity(pid: int) -> Optional[List[int]]:
    """Return the ids of the CPUs that the process' main thread may run on, sorted.

    None if it has ended, or on a system without affinity (macOS).
    """
    if sys.platform == "linux":
        try:
            return sorted(os.sched_getaffinity(pid))
        except OSError:
            return None
    if sys.platform == "win32":
        psutil = _import_psutil()
        try:
            return sorted(psutil.Process(pid).cpu_affinity() or ()) or None
        except (psutil.Error, OSError):
            return None
    return None


def set_affinity(pid: int, cpus: Sequence[int]) -> None:
    """Let the process' main thread (0: the calling thread) run on these CPUs only.

    Does nothing if it has ended, or on a system without affinity. OSError if no such CPU is online.
    On Windows it is the whole process, and 0 means this one.
    """
    if sys.platform == "linux":
        try:
            os.sched_setaffinity(pid, cpus)
        except ProcessLookupError:
            pass  # it ended meanwhile
    elif sys.platform == "win32":
        psutil = _import_psutil()
        try:
            psutil.Process(pid or None).cpu_affinity(list(cpus))
        except psutil.NoSuchProcess:
            pass  # it ended meanwhile
        except ValueError as error:
            raise OSError(str(error)) from error


def read_first_environment() -> Optional[Dict[str, str]]:
    """Return the environment that this process was started with; None if it cannot be read."""
    try:
        psutil = _import_psutil()
    except ImportError:
        return None
    try:
        return dict(psutil.Process().environ())
    except (psutil.Error, OSError):
        return None


# --- trees -------------------------------------------------------------------------------


def list_descendants(pid: int) -> List[int]:
    """Return the pids of all descendants, zombies too; parents come before their children."""
    if sys.platform == "linux":
        return [process.pid for process in procfs.list_descendants(pid)]
    psutil = _import_psutil()
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except (psutil.Error, OSError):
        return []


def look(pid: int) -> Optional[procfs.Process]:
    """Return the process that has this pid now, or None."""
    if sys.platform == "linux":
        return procfs.look(pid)
    psutil = _import_psutil()
    try:
        return _describe(psutil.Process(pid))
    except (psutil.Error, OSError):
        return None


def list_family(pid: int) -> List[Tuple[int, int]]:
    """Return (pid, parent) of a process and all its descendants, as far as psutil sees them."""
    psutil = _import_psutil()
    try:
        main = psutil.Process(pid)
        return [(one.pid, one.ppid()) for one in [main, *main.children(recursive=True)]]
    except (psutil.Error, OSError):
        return []


def list_pids() -> List[int]:
    """Return the pids of all processes, by psutil."""
    return list(_import_psutil().pids())


def read_name(pid: int) -> str:
    """Return the name of a process' program, by psutil; empty if it has ended."""
    psutil = _import_psutil()
    try:
        return str(psutil.Process(pid).name())
    except (psutil.Error, OSError):
        return ""


def kill(process: procfs.Process) -> bool:
    """Kill this process; False if it has ended. PermissionError is the caller's."""
    if sys.platform == "linux":
        return procfs.send_signal(process, signal.SIGKILL)
    return _kill_by_psutil(process)


def _kill_by_psutil(process: procfs.Process) -> bool:
    psutil = _import_psutil()
    try:
        handle = psutil.Process(process.pid)
        if int(handle.create_time() * 1000) != process.start_ticks:
            return False
        handle.kill()  # psutil compares the start time first
        return True
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied as error:
        raise PermissionError(str(error)) from error


def sample_tree(pid: int) -> Optional[TreeSample]:
    """Read a process and its descendants; None if the process has ended.

    None, too, if psutil is missing or broken: then the values are recorded as unknown.
    """
    main = _sample(pid)
    if main is None:
        return None
    found = [main, *filter(None, map(_sample, list_descendants(pid)))]
    peaks = [sample.peak_bytes for sample in found if sample.peak_bytes is not None]
    return TreeSample(
        cpu_user_s=sum(sample.cpu_user_s for sample in found),
        cpu_system_s=sum(sample.cpu_system_s for sample in found),
        memory_bytes=sum(sample.memory_bytes for sample in found),
        peak_bytes=sum(peaks) if peaks else None,
        processes=len(found),
        affinity=read_affinity(pid),
    )


def _sample(pid: int) -> Optional[TreeSample]:
    if sys.platform == "linux" and not procfs.is_ours():
        return None  # there this pid is another process's
    try:
        psutil = _import_psutil()
    except ImportError:
        return None  # a missing measurement must not end a live run
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            cpu, memory = process.cpu_times(), process.memory_info()
    except (psutil.Error, OSError):
        return None  # gone, or hidden
    return TreeSample(
        # psutil gives the times of reaped children apart (0 where the system does not count them).
        cpu_user_s=cpu.user + getattr(cpu, "children_user", 0.0),
        cpu_system_s=cpu.system + getattr(cpu, "children_system", 0.0),
        memory_bytes=memory.rss,
        peak_bytes=_read_peak_bytes(pid, memory),
        processes=1,
        affinity=None,
    )


def _read_peak_bytes(pid: int, memory: Any) -> Optional[int]:
    if sys.platform == "linux":
        return procfs.read_peak_memory_bytes(pid)
    peak = getattr(memory, "peak_wset", None)
    return None if peak is None else int(peak)


def list_processes_with_cookie(run_id: str) -> List[Tuple[int, Dict[str, str]]]:
    """Return pid and environment of each process that a unit of this run started.

    PROCSUP_RUN in the environment they were started with identifies them; it can be read only of
    processes of the same user. This process, its ancestors and ended processes are left out.
    """
    if sys.platform == "linux":
        return list(_list_with_cookie(run_id))
    return [(process.pid, found) for process, found in _list_with_cookie_by_psutil(run_id)]


def _has_cookie(pid: int, run_id: str) -> bool:
    cookie = os.fsencode(f"{RUN_COOKIE}={run_id}")
    data = procfs.read_raw_environment(pid)
    return cookie in data and cookie in data.split(b"\0")


def _list_with_cookie(run_id: str) -> Iterator[Tuple[int, Dict[str, str]]]:
    ours = {os.getpid(), *procfs.list_ancestors(os.getpid())}
    for pid in procfs.list_pids():
        if pid not in ours and _has_cookie(pid, run_id):
            yield pid, procfs.parse_environment(procfs.read_raw_environment(pid))


def _list_with_cookie_by_psutil(run_id: str) -> Iterator[Tuple[Any, Dict[str, str]]]:
    psutil = _import_psutil()
    me = psutil.Process()
    ours = {me.pid, *(parent.pid for parent in me.parents())}
    for process in psutil.process_iter():
        try:
            environment = {} if process.pid in ours else process.environ()
        except (psutil.Error, OSError):
            continue  # gone, or another user's
        if environment.get(RUN_COOKIE) == run_id:
            yield process, environment


def stop_with_cookie(run_id: str) -> Iterator[Tuple[procfs.Process, str]]:
    """Stop each process of `list_processes_with_cookie` at once, then its descendants, by psutil.

    Yields the live ones with the unit's id (empty if unknown). A stopped process cannot fork.
    Processes of other users are yielded, too. On Linux leftovers.py does this more reliably.
    """
    psutil = _import_psutil()
    for main, environment in _list_with_cookie_by_psutil(run_id):
        _suspend(main)
        try:
            tree = [main, *main.children(recursive=True)]
        except (psutil.Error, OSError):
            continue  # it ended since
        for handle in tree:
            _suspend(handle)
            process = _describe(handle)
            if process is not None and not process.dead:
                yield process, environment.get(UNIT_COOKIE, "")


def _suspend(handle: Any) -> None:
    psutil = _import_psutil()
    try:
        handle.suspend()  # psutil compares the start time first
    except (psutil.Error, OSError):
        pass  # it is ending, or another user's; the caller reports it if it stays


def _describe(handle: Any) -> Optional[procfs.Process]:
    psutil = _import_psutil()
    try:
        state = "Z" if handle.status() == psutil.STATUS_ZOMBIE else "T"
        # Starts are only compared for equality, so milliseconds can replace ticks.
        return procfs.Process(handle.pid, handle.ppid(), state, int(handle.create_time() * 1000))
    except (psutil.Error, OSError):
        return None


def _import_psutil() -> Any:
    import psutil  # type: ignore[import-untyped,unused-ignore]

    return psutil

"""Reads Linux's /proc with nothing but `os`, since the guard must import little.

Processes start and end while they are read: ended ones are left out, without an exception.
On other systems every list is empty.
"""

from __future__ import annotations

import os
import sys
import time

from procsup.host import pidfds

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` takes longer to import than the guard to fork
    from typing import Callable, Collection, Dict, Iterator, List, Optional, Tuple

if sys.platform == "win32":
    TICKS_PER_S = 100  # never used: no process here has start ticks
else:
    TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_NS_IN_TICK = 1_000_000_000 // TICKS_PER_S
_PIDS_IN_CIRCLE = 1 << 22  # the most that a kernel can have
_LOOKS_AT_YOUNGEST = 8
_YOUNGEST = 4


class Process:
    """A process at one time; its start distinguishes it from a later process with its pid.

    `start_ticks` is clock ticks since boot, `state` a letter: ``Z`` is a zombie (proc(5), fields
    22 and 3); `session` is 0 if unknown.
    """

    __slots__ = ("parent", "pid", "session", "start_ticks", "state")

    def __init__(
        self, pid: int, parent: int, state: str, start_ticks: int, session: int = 0
    ) -> None:
        self.session = session
        self.pid = pid
        self.parent = parent
        self.state = state
        self.start_ticks = start_ticks

    @property
    def dead(self) -> bool:
        """Whether it has ended and only waits to be reaped.

        A process whose first thread has ended while others run looks like a zombie, but is alive.
        """
        return self.state in "ZX" and not _has_living_threads(self.pid)

    @property
    def started_s(self) -> float:
        """When it was started, in seconds since boot, truncated to a tick; 0 if unknown."""
        return self.start_ticks / TICKS_PER_S


def read_ticks() -> int:
    """Return the time in the unit of `Process.start_ticks`, truncated; 0 on other systems."""
    if sys.platform != "linux":
        return 0
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // _NS_IN_TICK


_ours: Optional[bool] = None


def is_ours() -> bool:
    """Whether /proc is mounted and belongs to our pid namespace.

    In a new pid namespace that kept the old /proc, its pids are of other processes. That counts
    as hidden: then all functions here find nothing.
    """
    global _ours
    if _ours is None:
        try:
            _ours = os.readlink("/proc/self") == str(os.getpid())
        except OSError:
            _ours = False
    return _ours


def look(pid: int) -> Optional[Process]:
    """Return the process that has this pid now, or None."""
    return _parse_stat(pid, read(f"/proc/{pid}/stat"))


def read_session(pid: int) -> int:
    """Return the session of the process that has this pid now; 0 if none has."""
    process = look(pid)
    return 0 if process is None else process.session


def _has_living_threads(pid: int) -> bool:
    for thread in _list_threads(pid):
        if thread != str(pid):
            found = _parse_stat(pid, read(f"/proc/{pid}/task/{thread}/stat"))
            if found is not None and found.state not in "ZX":
                return True
    return False


def _list_threads(pid: int) -> List[str]:
    try:
        return os.listdir(f"/proc/{pid}/task") if is_ours() else []
    except OSError:
        return []


def _parse_stat(pid: int, data: bytes) -> Optional[Process]:
    try:
        # The name, in parentheses, may hold anything, parentheses and spaces too.
        fields = data[data.rindex(b")") + 2 :].split()
        parent, session, start_ticks = int(fields[1]), int(fields[3]), int(fields[19])
        return Process(pid, parent, fields[0].decode("ascii"), start_ticks, session)
    except (ValueError, IndexError):
        return None  # it has ended: an empty or cut reading


def list_pids() -> List[int]:
    """Return the pids of all processes that can be seen, the youngest first."""
    if not is_ours():
        return []
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    latest = _read_latest_number() or max(pids, default=0)
    return sorted(pids, key=lambda pid: (latest - pid) % _PIDS_IN_CIRCLE)


def chase() -> Iterator[int]:
    """Yield the latest pids, a few times, then the pids of `list_pids`.

    Only this finds a program that forks and exits again and again: reading the whole list takes
    longer than each of its processes lives.
    """
    if is_ours():
        for _ in range(_LOOKS_AT_YOUNGEST):
            latest = _read_latest_number()
            yield from range(latest, max(latest - _YOUNGEST, 0), -1)
    yield from list_pids()


def _read_latest_number() -> int:
    """Return the latest pid or thread id; 0 if it is unknown.

    The kernel assigns them in a circle; /proc/loadavg ends with the latest one.
    """
    words = read("/proc/loadavg").split()
    return int(words[-1]) if words else 0


def list_children(pid: int) -> List[int]:
    """Return the pids of the children of all threads of `pid`, zombies included.

    An entry may be missing while its siblings exit (proc(5)): read again until nothing changes.
    """
    return _find_below(pid, _scan_families_if_needed())


def _read_children(pid: int) -> List[int]:
    found: List[int] = []
    for thread in _list_threads(pid):
        found.extend(map(int, read(f"/proc/{pid}/task/{thread}/children").split()))
    return found


def list_descendants(
    *roots: int,
    without: Collection[int] = (),
    signum: int = 0,
    scan: Optional[Scan] = None,
) -> List[Process]:
    """Return all descendants of these, parents first; not those below the pids in `without`.

    `signum` is sent to each one before its children are read: a stopped process cannot fork. With a
    `scan`, the youngest processes may be missing where the kernel has no lists of children.
    """
    families = _scan_families_if_needed() if scan is None else scan.scan_families()
    seen = set(roots)
    found: List[Process] = []
    pending = [pid for root in roots for pid in _find_below(root, families)]
    while pending:
        # The youngest first: it may fork soon, while the others may already be dead.
        pid = pending.pop()
        # A pid that was reused since the list was read has a parent outside of this tree.
        if pid in seen or pid in without:
            continue
        process = hit(pid, signum, lambda process: process.parent in seen)
        if process is not None:
            seen.add(pid)
            found.append(process)
            pending.extend(_find_below(pid, families))
    return found


def _find_below(pid: int, families: Optional[Dict[int, List[int]]]) -> List[int]:
    return _read_children(pid) if families is None else list(families.get(pid, ()))


def hit(pid: int, signum: int, is_wanted: Callable[[Process], bool]) -> Optional[Process]:
    """Send a signal (0: none) to the process with this pid if `is_wanted` is true; return it.

    None if no process has it or it is not wanted. The pidfd is opened before `is_wanted` is
    called: the signal reaches the process that was checked, or none.
    """
    handle = pidfds.open_handle(pid) if signum else None
    try:
        process = look(pid)
        if process is None or not is_wanted(process):
            return None
        if signum and not process.dead:
            pidfds.send(pid, handle, signum)
        return process
    except ProcessLookupError:
        return None  # it ended since
    except PermissionError:
        return process  # it runs as another user
    finally:
        if handle is not None:
            os.close(handle)


def _scan_families_if_needed() -> Optional[Dict[int, List[int]]]:
    # A kernel without CONFIG_PROC_CHILDREN has no lists of children.
    return None if os.path.exists("/proc/thread-self/children") else _scan_families()


def _scan_families() -> Dict[int, List[int]]:
    families: Dict[int, List[int]] = {}
    for pid in list_pids():
        process = look(pid)
        if process is not None:
            families.setdefault(process.parent, []).append(pid)
    return families


class Scan:
    """One scan of /proc for several trees, where the kernel has no lists of children.

    It is reused for as long as the scan took. So when many trees must be killed, at most half of
    the time is spent on scans.
    """

    def __init__(self) -> None:
        self.begun_at: Optional[float] = None  # by the monotonic clock; None if it needs none
        self._families: Optional[Dict[int, List[int]]] = None
        self._until = 0.0

    def scan_families(self) -> Optional[Dict[int, List[int]]]:
        """Return the pids of children by parent; None if the kernel has lists of them."""
        begun = time.monotonic()
        if begun >= self._until:
            self._families = _scan_families_if_needed()
            ended = time.monotonic()
            self._until = ended + (ended - begun)
            self.begun_at = None if self._families is None else begun
        return self._families


def list_ancestors(pid: int) -> List[int]:
    """Return the pids of the parent of `pid`, of its parent, and so on."""
    found: List[int] = []
    process = look(pid)
    while process is not None and process.parent > 0 and process.parent not in found:
        found.append(process.parent)
        process = look(process.parent)
    return found


def read_peak_memory_bytes(pid: int) -> Optional[int]:
    """Return the most memory it ever had resident (VmHWM, which the kernel gives in KiB)."""
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def read_available_memory_bytes() -> Optional[int]:
    """Return the memory that programs can have without swap; None if the kernel does not say."""
    for line in read("/proc/meminfo").splitlines():
        if line.startswith(b"MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def count_running_threads() -> Optional[int]:
    """Return how many threads of the machine run or wait for a CPU; None if that is unknown."""
    words = read("/proc/loadavg").split()
    running = words[3].partition(b"/")[0] if len(words) > 3 else b""
    return int(running) if running.isdigit() else None


def read_users(pid: int) -> List[int]:
    """Return the real, effective, saved and file system user ids of a process; none if it ended.

    The owner of its folder in /proc is not enough: that is root if the process hides its memory.
    """
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"Uid:"):
            return [int(uid) for uid in line.split()[1:]]
    return []


def read_raw_environment(pid: int) -> bytes:
    """Return the environment that `pid` was started with: ``NAME=value`` with a NUL after each.

    Empty if it may not be read: of another user, or of a process that has ended.
    """
    found = read(f"/proc/{pid}/environ")
    if found:
        return found
    # If the first thread has ended, its file is empty; the other threads share the memory.
    others = (thread for thread in _list_threads(pid) if thread != str(pid))
    return next(filter(None, (read(f"/proc/{pid}/task/{one}/environ") for one in others)), b"")


def read_limit(pid: int, name: bytes) -> int:
    """Return a process' soft limit by its name in proc(5); -1 if it has none, or has ended."""
    for line in read(f"/proc/{pid}/limits").splitlines():
        if line.startswith(name):
            soft = line[len(name) :].split()[0]
            return int(soft) if soft.isdigit() else -1
    return -1


def open_files(pid: int) -> List[Tuple[str, os.stat_result]]:
    """Return number and status of each open file of a process; none if they may not be seen."""
    folders = [f"/proc/{pid}/fd"]
    threads = _list_threads(pid)
    if len(threads) > 1:  # that of a process whose first thread has ended is empty
        folders += [f"/proc/{pid}/task/{thread}/fd" for thread in threads]
    return [entry for folder in folders for entry in _open_files_in(folder)]


def _open_files_in(folder: str) -> Iterator[Tuple[str, os.stat_result]]:
    try:
        names = os.listdir(folder)
    except OSError:
        return  # of another user, or gone
    for name in names:
        status = _read_status(f"{folder}/{name}")
        if status is not None:
            yield name, status


def _read_status(path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path)
    except OSError:
        return None  # closed meanwhile


def has_lock(pid: int, fd: str) -> bool:
    """Whether an open file of a process holds a lock (flock) of its own."""
    found = read(f"/proc/{pid}/fdinfo/{fd}")
    return any(line.startswith(b"lock:") and b"FLOCK" in line for line in found.splitlines())


def read_command(pid: int) -> str:
    """Return the beginning of a process' command line; its name if that is empty."""
    line = read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").strip()
    return os.fsdecode(line or read(f"/proc/{pid}/comm").strip())[:80]


def parse_environment(data: bytes) -> Dict[str, str]:
    """Split the result of `read_raw_environment` into names and values."""
    pairs = (entry.partition(b"=") for entry in data.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def send_signal(process: Process, signum: int) -> bool:
    """Signal exactly this process; False if it has ended, PermissionError if forbidden."""
    handle = pidfds.open_handle(process.pid)
    try:
        now = look(process.pid)
        if now is None or now.start_ticks != process.start_ticks:
            return False
        pidfds.send(process.pid, handle, signum)
        return True
    except ProcessLookupError:
        return False
    finally:
        if handle is not None:
            os.close(handle)


def read(path: str) -> bytes:
    """Read a whole file; empty if it is missing or unreadable, or of another pid namespace."""
    if not is_ours():
        return b""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return b""
    try:
        parts: List[bytes] = []
        while True:
            part = os.read(fd, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
    except OSError:
        return b""  # it ended while it was read (ESRCH)
    finally:
        os.close(fd)


def list_descriptor_targets(pid: int) -> List[str]:
    """Return the targets of a process' descriptors; none if they are not visible to us."""
    found: List[str] = []
    try:
        names = os.listdir(f"/proc/{pid}/fd") if is_ours() else []
        found.extend(os.readlink(f"/proc/{pid}/fd/{name}") for name in names)
    except OSError:
        pass  # of another user, or gone meanwhile: what was read so far is returned
    return found


def read_name(pid: int) -> str:
    """Return the name of a process, of at most 15 bytes (proc(5): comm); empty if it has ended."""
    return os.fsdecode(read(f"/proc/{pid}/comm")).rstrip("\n")

"""Ends units of a dead sitting that dropped their environment: by pid and by the lock they hold.

The cookie in the environment (`sweep`) finds what a unit started, as long as it keeps that; sudo
and many daemons do not. What the journal and ``units.lock`` know finds the unit itself. Linux
only: elsewhere nothing is found here.
"""

import os
import sys
import time
from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

from procsup.host import machine, procfs

_ROUND_S = 0.01
_EARLY_S, _LATE_S = 1.0, 5.0  # a start may be recorded so long after or before it happened


class Trace(NamedTuple):
    """An attempt that has no end on record: its process, and when it was begun (wall clock)."""

    unit: str
    pid: int
    at: float


def end_traced(
    traces: Sequence[Trace], lock_path: "os.PathLike[str]", *, limit_s: float
) -> List[Tuple[int, str]]:
    """Kill the trees of these attempts, and of whoever holds the lock file open.

    A process is taken for an attempt's if it, or the leader of its session, has that pid and was
    started when the attempt was: a stranger that was given the pid later is not hit. This
    process and its ancestors are spared. Returns (pid, unit or empty) of what was killed, when
    nothing is left or after `limit_s` seconds.
    """
    if sys.platform != "linux":
        return []
    deadline = time.monotonic() + limit_s
    ended: Dict[int, str] = {}
    while True:
        roots = {**_holders(lock_path), **_traced(traces)}
        if not roots or time.monotonic() > deadline:
            return sorted(ended.items())
        for pid, unit in roots.items():
            for process in _tree(pid):
                ended[process.pid] = unit
                _kill(process)
        time.sleep(_ROUND_S)


def _tree(pid: int) -> List[procfs.Process]:
    main = procfs.look(pid)
    return [*([] if main is None else [main]), *procfs.descendants(pid)]


def _kill(process: procfs.Process) -> None:
    try:
        machine.kill(process)
    except PermissionError:
        pass  # it runs as somebody else: `units.lock` keeps the run from starting


def _spared() -> List[int]:
    return [os.getpid(), *procfs.ancestors(os.getpid())]


def _others() -> Iterable[procfs.Process]:
    spared = _spared()
    for pid in procfs.everyone():
        process = procfs.look(pid) if pid not in spared else None
        if process is not None and not process.dead:
            yield process


def _traced(traces: Sequence[Trace]) -> Dict[int, str]:
    if not traces:
        return {}
    by_pid = {trace.pid: trace for trace in traces}
    found: Dict[int, str] = {}
    for process in _others():
        trace = by_pid.get(process.pid) or by_pid.get(_session_of(process.pid))
        if trace is not None and _fits(process, trace):
            found[process.pid] = trace.unit
    return found


def _fits(process: procfs.Process, trace: Trace) -> bool:
    """Tell whether it was started when the attempt was, or (in its session) after that."""
    begun = _started_at(process)
    if begun < trace.at - _EARLY_S:
        return False
    return process.pid != trace.pid or begun <= trace.at + _LATE_S


def _started_at(process: procfs.Process) -> float:
    """Return when it was started, in seconds since 1970, by the wall clock of now."""
    if sys.platform != "linux":
        return 0.0
    uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - uptime_s + process.start_ticks / os.sysconf("SC_CLK_TCK")


def _session_of(pid: int) -> int:
    if sys.platform == "win32":
        return 0
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _holders(path: "os.PathLike[str]") -> Dict[int, str]:
    try:
        wanted = os.stat(path)
    except OSError:
        return {}
    key = wanted.st_dev, wanted.st_ino
    return {process.pid: "" for process in _others() if key in _open_files(process.pid)}


def _open_files(pid: int) -> List[Tuple[int, int]]:
    folder = f"/proc/{pid}/fd"
    found = []
    try:
        for name in os.listdir(folder):
            status = os.stat(f"{folder}/{name}")
            found.append((status.st_dev, status.st_ino))
    except OSError:
        pass  # of another user, or gone in mid-look: what was seen counts
    return found

"""Ends processes of a dead sitting whose supervisor and guard were killed at the same time.

A process is ended only if it is proven to be of that sitting: by the mark that it inherited; as
the process on record, by its pid, its start time, its boot and its pid namespace; or by the run's
id in the environment that it was started with. The descendants of such a process are ended, too,
and the sessions of recorded processes that are alive. A process without proof is not ended.
"""

import os
import sys
import time
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from procsup.core.text import make_visible
from procsup.errors import RunBusy
from procsup.host import machine, marks, procfs, tree_walk

_ROUND_S = 0.01
_QUIET_LOOKS = 5  # one search may miss a process that is just being forked


class Trace(NamedTuple):
    """An attempt without a recorded end, and what is recorded of its process.

    `born` is an interval of the clock that /proc uses, None if the process cannot be distinguished
    from a later one with its pid.
    """

    unit: str
    pid: Optional[int] = None
    born: Optional[Tuple[float, float]] = None
    mark: Optional[int] = None


class RecordedProcesses(NamedTuple):
    """The recorded ids of a sitting's processes, as far as they are valid here and now.

    `run_id` is in their environment; None if other processes may have that id, too.
    """

    run_id: Optional[str] = None
    mark_base: Optional[int] = None
    traces: Sequence[Trace] = ()


class _Remaining(NamedTuple):
    process: procfs.Process
    unit: str


def end_leftovers(recorded: RecordedProcesses, *, limit_s: float) -> List[Tuple[int, str]]:
    """Kill all proven leftovers of that sitting; return (pid, unit id) of each.

    Returns when several searches in a row have found none. This process and its ancestors are
    spared. RunBusy, with their pids, if some are still alive after `limit_s`. The unit is empty
    if it is unknown.
    """
    if recorded == RecordedProcesses():
        return []  # nothing could be proven
    deadline = time.monotonic() + limit_s
    ended: Dict[int, str] = {}
    finder = Finder(recorded)
    quiet = 0
    while quiet < _QUIET_LOOKS:
        alive = finder.bring_to_rest(deadline)
        quiet = 0 if alive else quiet + 1
        if alive and time.monotonic() > deadline:
            raise RunBusy(_describe_remaining(alive, limit_s))
        for left in alive:
            if _kill(left.process):
                ended[left.process.pid] = left.unit
        time.sleep(_ROUND_S)
    ended.update((pid, "") for pid in finder.killed)
    return sorted(ended.items())


class Finder:
    """Finds the leftovers, stops each at once, and remembers their units."""

    def __init__(self, recorded: RecordedProcesses) -> None:
        self._recorded = recorded
        self._units: Dict[int, str] = {}
        self.killed: Set[int] = set()  # killed as soon as they were found

    def bring_to_rest(self, deadline: float) -> List[_Remaining]:
        """Stop all leftovers until no new one appears; return the live ones."""
        found = tree_walk.bring_to_rest(self.find, deadline)
        return [_Remaining(process, self._units.get(process.pid, "")) for process in found]

    def find(self) -> List[procfs.Process]:
        """Return the leftovers, stopped (or killed, where /proc is hidden): they cannot fork."""
        if sys.platform != "linux":
            return self._find_by_psutil()
        if not procfs.is_ours():
            return self._find_by_number()
        spared = {os.getpid(), *procfs.list_ancestors(os.getpid())}
        found = {main.pid: main for main in self._stop_proven(spared)}
        below = procfs.list_descendants(*found, without=spared, signum=tree_walk.STOP)
        for process in below:  # parents first
            self._units.setdefault(process.pid, self._units.get(process.parent, ""))
            found[process.pid] = process
        return [process for process in found.values() if not process.dead]

    def _stop_proven(self, spared: Set[int]) -> Iterator[procfs.Process]:
        proven = Proof(self._recorded)
        for pid in procfs.chase():
            unit = None if pid in spared else proven(pid)
            # Checked again with the process pinned: the pid may have been reused.
            main = (
                None
                if unit is None
                else procfs.hit(pid, tree_walk.STOP, _make_proof_filter(proven))
            )
            if main is not None and unit is not None:
                self._units[pid] = unit
                yield main

    def _find_by_psutil(self) -> List[procfs.Process]:
        if self._recorded.run_id is None:
            return []
        found = list(machine.stop_with_cookie(self._recorded.run_id))
        self._units.update((process.pid, unit) for process, unit in found)
        return [process for process, _ in found]

    def _find_by_number(self) -> List[procfs.Process]:
        """Find the processes with our marks where /proc is hidden, and kill them at once."""
        base = self._recorded.mark_base
        pids = [] if base is None else marks.hit_all(base, tree_walk.KILL)
        self.killed.update(pids)
        return [procfs.Process(pid, 0, "?", 0) for pid in pids]


def _make_proof_filter(proven: "Proof") -> Callable[[procfs.Process], bool]:
    return lambda process: proven(process.pid) is not None


class Proof:
    """Maps a pid to its unit's id (empty if unknown); None if it is not proven to be ours."""

    def __init__(self, recorded: RecordedProcesses) -> None:
        self._base = recorded.mark_base
        traces = recorded.traces
        self._by_mark = {trace.mark: trace.unit for trace in traces if trace.mark is not None}
        self._by_pid = {trace.pid: trace for trace in traces if trace.pid and trace.born}
        self._cookie = None if recorded.run_id is None else f"PROCSUP_RUN={recorded.run_id}"

    def __call__(self, pid: int) -> Optional[str]:
        """Check the process that has this pid now."""
        if self._base is not None:
            mark = marks.read(pid)
            if mark is not None and marks.find_base(mark) == self._base and self._may_be_ours(pid):
                return self._by_mark.get(mark, "")
        if self._by_pid:
            trace = self._by_pid.get(pid) or self._by_pid.get(procfs.read_session(pid))
            if trace is not None and _is_that_process(trace):
                return trace.unit
        return None if self._cookie is None else _find_unit_by_cookie(pid, self._cookie)

    def _may_be_ours(self, pid: int) -> bool:
        """Whether a process with our mark runs as our user, or in the session of a recorded one.

        Another user can read a mark, set it on a process of their own, and let that run a program
        as root (`sudo` at its prompt). But no process can join another session. Units of root may
        change their user.
        """
        if _runs_as_us(pid):
            return True
        return procfs.read_session(pid) in self._by_pid


def _runs_as_us(pid: int) -> bool:
    if sys.platform == "win32" or os.geteuid() == 0:
        return True
    return os.geteuid() in procfs.read_users(pid)


def _is_that_process(trace: Trace) -> bool:
    """Whether the process of a trace still exists, at least as a zombie."""
    assert trace.pid is not None
    assert trace.born is not None
    process = procfs.look(trace.pid)
    if process is None:
        return False  # its session id may have been reused: only marks prove it
    return trace.born[0] <= process.started_s <= trace.born[1]


def _find_unit_by_cookie(pid: int, cookie: str) -> Optional[str]:
    data = procfs.read_raw_environment(pid)
    wanted = os.fsencode(cookie)
    if wanted not in data or wanted not in data.split(b"\0") or not _is_same_user(pid):
        return None
    return procfs.parse_environment(data).get("PROCSUP_UNIT", "")


def _is_same_user(pid: int) -> bool:
    """Whether a process runs as our user; root can read every environment."""
    if sys.platform == "win32":
        return True
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return False


def _kill(process: procfs.Process) -> bool:
    try:
        return machine.kill(process)
    except PermissionError:
        return False  # it runs as another user; if it stays, the error names it


def _describe_remaining(alive: List[_Remaining], limit_s: float) -> str:
    pids = [left.process.pid for left in alive]
    names = ", ".join(f"{left.process.pid} ({left.unit or 'unit unknown'})" for left in alive)
    others = [pid for pid in pids if sys.platform == "linux" and not _runs_as_us(pid)]
    how = ""
    if others:
        who = ", ".join(f"{pid} ({procfs.read_command(pid)})" for pid in others)
        how = f" (another user's, whose end takes root: sudo kill -9 PID: {make_visible(who)})"
    return (
        f"an earlier supervisor of this run left processes that could not be ended within"
        f" {limit_s:g} s: {names}; look at them (ps -fp {','.join(map(str, pids))}), end"
        f" them{how}, then run again"
    )


def find_cookie_bearers(run_id: str) -> List[int]:
    """Return the pids of processes with the run's id in their environment, which is no proof."""
    return sorted(pid for pid, _ in machine.list_processes_with_cookie(run_id))

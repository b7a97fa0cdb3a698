"""Ends what an earlier sitting left alive: its supervisor and its guard were killed in one instant.

What its units started is known by the run's id in their environment; the descendants of those
belong to it even if they cleared theirs.
"""

import time
from typing import Callable, Dict, List, NamedTuple, Set, Tuple

from procsup.errors import RunBusy
from procsup.host import machine, procfs

_ROUND_S = 0.01
_QUIET_ROUNDS = 2  # one look may miss what is just being forked
_STOPPING_PASSES = 20


class _Leftover(NamedTuple):
    process: procfs.Process
    unit: str

    @property
    def key(self) -> Tuple[int, int]:
        return self.process.pid, self.process.start_ticks


def end_leftovers(run_id: str, *, limit_s: float) -> List[Tuple[int, str]]:
    """Kill every process of earlier sittings of this run; return (pid, unit id) of each.

    Returns when two looks in a row have found none. This process and its ancestors are spared.
    RunBusy, with their pids, if some are still alive after `limit_s`. The unit is empty if no
    process says it. A stranger is never hit: each pid is compared with its process' start.
    """
    deadline = time.monotonic() + limit_s
    ended: Dict[int, str] = {}
    quiet = 0
    while True:
        alive = _stop_all(run_id)
        quiet = 0 if alive else quiet + 1
        if quiet == _QUIET_ROUNDS:
            return sorted(ended.items())
        if alive and time.monotonic() > deadline:
            raise RunBusy(_complaint(alive, limit_s))
        for leftover in alive:
            if _try_to(machine.kill, leftover):
                ended[leftover.process.pid] = leftover.unit
        time.sleep(_ROUND_S)


def _stop_all(run_id: str) -> List[_Leftover]:
    """Stop all of it, so that nothing is forked between the look and the kill; return it."""
    stopped: Set[Tuple[int, int]] = set()
    alive = _find(run_id)
    for _ in range(_STOPPING_PASSES):
        fresh = [leftover for leftover in alive if leftover.key not in stopped]
        if not fresh:
            break
        for leftover in fresh:
            _try_to(machine.suspend, leftover)
            stopped.add(leftover.key)
        alive = _find(run_id)
    return alive


def _find(run_id: str) -> List[_Leftover]:
    found: Dict[int, _Leftover] = {}
    for pid, environment in machine.processes_with_cookie(run_id):
        unit = environment.get(machine.UNIT_COOKIE, "")
        for process in machine.tree(pid):
            found.setdefault(process.pid, _Leftover(process, unit))
    return list(found.values())


def _try_to(act: Callable[[procfs.Process], bool], leftover: _Leftover) -> bool:
    try:
        return act(leftover.process)
    except PermissionError:
        return False  # it runs as somebody else; if it stays, it is named at the end


def _complaint(alive: List[_Leftover], limit_s: float) -> str:
    names = ", ".join(f"{left.process.pid} ({left.unit or 'unit unknown'})" for left in alive)
    return (
        f"an earlier sitting of this run left processes that could not be ended within"
        f" {limit_s:g} s: {names}; end them, then run again"
    )

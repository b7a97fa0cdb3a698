"""Ends what an earlier sitting left alive: its supervisor and its guard were killed in one instant.

What its units started is known by the run's id in their environment; the descendants of those
belong to it even if they cleared theirs.
"""

import time
from typing import Dict, List, NamedTuple, Set, Tuple

from procsup.errors import RunBusy
from procsup.host import machine, procfs

_ROUND_S = 0.01
_QUIET_LOOKS = 5  # one may miss what is just being forked


class _Leftover(NamedTuple):
    process: procfs.Process
    unit: str


def end_leftovers(run_id: str, *, limit_s: float) -> List[Tuple[int, str]]:
    """Kill every process of earlier sittings of this run; return (pid, unit id) of each.

    Returns when several looks in a row have found none. This process and its ancestors are
    spared. RunBusy, with their pids, if some are still alive after `limit_s`. The unit is empty
    if no process says it. A stranger is never hit: each pid is compared with its process' start.
    """
    deadline = time.monotonic() + limit_s
    ended: Dict[int, str] = {}
    quiet = 0
    while True:
        alive = _stop_all(run_id, deadline)
        quiet = 0 if alive else quiet + 1
        if quiet == _QUIET_LOOKS:
            return sorted(ended.items())
        if alive and time.monotonic() > deadline:
            raise RunBusy(_complaint(alive, limit_s))
        for leftover in alive:
            if _kill(leftover):
                ended[leftover.process.pid] = leftover.unit
        time.sleep(_ROUND_S)


def _stop_all(run_id: str, deadline: float) -> List[_Leftover]:
    """Stop all of it on sight, until nothing new appears; return it."""
    stopped: Set[Tuple[int, int]] = set()
    while True:
        alive: Dict[Tuple[int, int], _Leftover] = {}
        for process, unit in machine.stop_leftovers(run_id):
            key = process.pid, process.start_ticks
            alive.setdefault(key, _Leftover(process, unit))
        if stopped.issuperset(alive) or time.monotonic() > deadline:
            return list(alive.values())
        stopped.update(alive)


def _kill(leftover: _Leftover) -> bool:
    try:
        return machine.kill(leftover.process)
    except PermissionError:
        return False  # it runs as somebody else; if it stays, it is named at the end


def _complaint(alive: List[_Leftover], limit_s: float) -> str:
    names = ", ".join(f"{left.process.pid} ({left.unit or 'unit unknown'})" for left in alive)
    return (
        f"an earlier sitting of this run left processes that could not be ended within"
        f" {limit_s:g} s: {names}; end them, then run again"
    )

"""Runs once without harm, and once each for what only the killed and the resumed do, recorded."""

import os
import signal
from pathlib import Path
from typing import List, NamedTuple

from tests.faults import laws
from tests.faults.kills.points import Point, read_points
from tests.faults.kills.worker import ColdServer, Worker

LIMIT_S = 30.0


class Recorded(NamedTuple):
    """The executed lines, in order, of each role in each story."""

    supervisor: List[Point]  # from nothing to the end
    until_held: List[Point]  # from nothing until the last unit goes on
    resumed: List[Point]  # of the sitting after the death of both
    cold: List[Point]  # of the imports: what `supervisor` has not
    guard: List[Point]  # of a run that nobody disturbs
    ending: List[Point]  # of the guard of a killed supervisor


def record_all(folder: Path) -> Recorded:
    """Run whatever is to be recorded, in this folder."""
    worker = Worker(folder)
    try:
        supervisor, guard = _undisturbed(worker)
        until_held, ending = _killed(worker)
        resumed = _resumed(worker)
        known = {(point.file, point.line) for point in supervisor}
        cold = [point for point in _cold(worker) if (point.file, point.line) not in known]
    finally:
        worker.close()
    return Recorded(supervisor, until_held, resumed, cold, guard, ending)


def _undisturbed(worker: Worker) -> "tuple[List[Point], List[Point]]":
    records = _renewed(worker)
    assert worker.complete(records=records) in (0, 1)
    return read_points(Path(records["S"])), read_points(Path(records["G"]))


def _killed(worker: Worker) -> "tuple[List[Point], List[Point]]":
    records = _renewed(worker)
    _hold_and_kill(worker, records=records)
    worker.server.status()
    return read_points(Path(records["S"])), read_points(Path(records["G"]))


def _resumed(worker: Worker) -> List[Point]:
    records = _renewed(worker)
    guard = _hold_and_kill(worker, stop_guard=True)
    os.kill(guard, signal.SIGKILL)
    worker.server.status()
    assert worker.complete(records={"S": records["S"]}) in (0, 1)
    return read_points(Path(records["S"]))


def _cold(worker: Worker) -> List[Point]:
    records = _renewed(worker)
    server, worker.server = worker.server, ColdServer()
    try:
        assert worker.complete(records={"S": records["S"]}) in (0, 1)
    finally:
        worker.server.close()
        worker.server = server
    return read_points(Path(records["S"]))


def _renewed(worker: Worker) -> "dict[str, str]":
    worker.renew()
    return {role: str(worker.project.folder / f"lines-{role}") for role in "SG"}


def _hold_and_kill(worker: Worker, *, stop_guard: bool = False, **more: object) -> int:
    """Run until the last unit goes on, then kill the supervisor; return the guard's pid."""
    worker.project.forget_notes()
    worker.project.hold(True)
    guard = worker.server.start(worker.order(**{"deaths": {}, **more}))
    project = worker.project
    laws.until(
        lambda: any(line[:2] == ("start", "last") for line in project.said()),
        "the last unit does not begin",
        LIMIT_S,
    )
    if stop_guard:
        os.kill(guard, signal.SIGSTOP)  # it must not see what follows
    os.kill(worker.project.note("supervisor")[0], signal.SIGKILL)
    return guard

"""The events of a live run, typed, read from its journal as it grows."""

from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Union

from procsup.core.records import (
    Begin,
    Closed,
    End,
    Kept,
    Planned,
    Record,
    RunFinal,
    Spawned,
    StageFinal,
)
from procsup.errors import RunUnfinished
from procsup.queries.session_end import GUARD_ENDS_S, explain_end
from procsup.queries.view import RunView
from procsup.store.reader import follow, put_on_disk
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner, SittingEnd

_LOOK_S = 0.05


class StagePlanned(NamedTuple):
    """A stage's units are known; `problem` says why there are none."""

    stage: str
    units: int
    problem: str = ""


class UnitKept(NamedTuple):
    """A unit is not run: its earlier success is still valid; `stale` if its program changed."""

    unit: str
    stage: str
    stale: bool


class UnitStarted(NamedTuple):
    """An attempt has a process; a `UnitEnded` follows. `at` is in seconds since 1970."""

    unit: str
    stage: str
    attempt: int
    pid: Optional[int]
    at: float


class UnitEnded(NamedTuple):
    """An attempt is over, and that is on disk.

    `final` is false if the unit is tried again; `verdict` and `cause` are those of the manifest;
    a unit that never started has attempt 0. `at` is in seconds since 1970.
    """

    unit: str
    stage: str
    attempt: int
    verdict: str
    final: bool
    cause: str
    wall_s: Optional[float]
    at: float


class StageEnded(NamedTuple):
    """A stage is final: ``succeeded``, ``failed`` or ``skipped``; `counts` holds its verdicts."""

    stage: str
    status: str
    counts: Dict[str, int]


class RunEnded(NamedTuple):
    """The last event: the run is final (``succeeded``, ``failed``), or `reason` says why not."""

    status: Optional[str]
    reason: str = ""


Event = Union[StagePlanned, UnitKept, UnitStarted, UnitEnded, StageEnded, RunEnded]


def read_events(
    rundir: RunDir, owner: Owner, *, given_up: Callable[[], bool] = bool
) -> Iterator[Event]:
    """Yield the events of that sitting from its beginning; the last one is a `RunEnded`.

    The manifest of a final run exists before the `RunEnded` is yielded. RunUnfinished if the
    journal has no records of that sitting. Ends early, a moment after `given_up` says so.
    """
    follower = follow(rundir.journal)
    reader = _Reader(owner)
    end, over = SittingEnd(rundir, owner), False
    while not over and reader.end is None:
        if given_up():
            return
        over = end.wait(_LOOK_S)
        found = [event for entry in follower.read() for event in reader.events(entry.record)]
        if found:
            put_on_disk(rundir.journal)
        yield from found
    if not reader.began:
        raise RunUnfinished(f"{rundir.path}: the journal has nothing of run {owner.run_id}")
    end.wait()
    yield _read_last(rundir, owner, reader.end)


def _read_last(rundir: RunDir, owner: Owner, end: Optional[RunEnded]) -> RunEnded:
    if end is not None and end.status is None:
        return end
    head = RunView(rundir).head()
    if end is None or head is None or head.run_id != owner.run_id:
        return RunEnded(None, explain_end(rundir, owner, patience_s=GUARD_ENDS_S))
    return end


class _Reader:
    """Turns the records of one sitting into events."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._planned: Dict[str, int] = {}
        self._running: Set[str] = set()
        self.began = False
        self.end: Optional[RunEnded] = None

    def events(self, record: Record) -> Iterator[Event]:
        """Yield the events of a record, if it belongs to the sitting."""
        if isinstance(record, Begin):
            self.began = record.sitting == self._owner.sitting
        elif self.began and self.end is None:
            yield from self._make_events(record)

    def _make_events(self, record: Record) -> Iterator[Event]:
        if isinstance(record, Spawned):
            yield self._make_started(record.unit, record.attempt, record.pid, record.at)
        elif isinstance(record, End):
            if record.started is not None and record.unit not in self._running:
                # Start and end arrived in one turn: the start then has no record of its own.
                yield self._make_started(record.unit, record.attempt, record.pid, record.started)
            self._running.discard(record.unit)
            yield self._make_ended(record)
        elif isinstance(record, Kept):
            yield from (UnitKept(unit, record.stage, record.stale) for unit in record.units)
        elif isinstance(record, Planned):
            yield from self._make_plan_event(record)
        elif isinstance(record, StageFinal):
            yield StageEnded(record.stage, record.status, dict(record.counts))
        elif isinstance(record, (RunFinal, Closed)):
            self.end = _make_run_ended(record)

    def _make_plan_event(self, record: Planned) -> Iterator[Event]:
        count = self._planned.get(record.stage, 0) + len(record.units)
        self._planned[record.stage] = count
        if record.last:
            yield StagePlanned(record.stage, count, record.problem)

    def _make_started(self, unit: str, attempt: int, pid: Optional[int], at: float) -> UnitStarted:
        self._running.add(unit)
        return UnitStarted(unit, _strip_unit(unit), attempt, pid, at)

    def _make_ended(self, end: End) -> UnitEnded:
        return UnitEnded(
            end.unit,
            _strip_unit(end.unit),
            end.attempt,
            end.verdict.value,
            end.final,
            end.cause,
            end.wall_s,
            end.at,
        )


def _make_run_ended(record: Union[RunFinal, Closed]) -> RunEnded:
    if isinstance(record, RunFinal):
        return RunEnded(record.status)
    return RunEnded(None, record.reason)


def _strip_unit(unit: str) -> str:
    return unit.partition("/")[0]


__all__: List[str] = [
    "Event",
    "RunEnded",
    "StageEnded",
    "StagePlanned",
    "UnitEnded",
    "UnitKept",
    "UnitStarted",
    "read_events",
]

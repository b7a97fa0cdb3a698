"""The state machine over the whole run: facts in, orders out.

One `handle` per turn of the loop. It never acts and never asks the time; tests play histories
of facts to it. What a unit goes through is drawn in ``states.py``; how a stage begins and ends
is in ``stages.py``; here the facts meet them.
"""

import heapq
from itertools import count
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

import msgspec

from procsup.core.admission import Admission, Selector
from procsup.core.events import (
    Asked,
    Ended,
    Expanded,
    Fact,
    Inspect,
    Inspected,
    Interrupted,
    Kill,
    Order,
    Sampled,
    Settled,
    Start,
    Started,
    Stop,
    Synced,
    UnitResult,
    Write,
)
from procsup.core.outcome import AttemptId, NotStarted, StopReason, Verdict, judge
from procsup.core.records import Answer, Begin, Closed, End, Launch, Record, Spawned
from procsup.core.replay import History
from procsup.core.slots import Capacity, Slots
from procsup.core.spec import RunSpec
from procsup.core.stages import Stage
from procsup.core.states import READY, Inspecting, Running, Stopping, Unit, Waiting
from procsup.core.tally import Summary
from procsup.core.wording import cause_of

_DUMP_TIME_S = 1.0  # from the request for stacks to the kill
_SHORTAGE_DELAY_S = 0.1  # doubled at each refusal in a row
_SHORTAGE_LIMIT = 10


class Planner:
    """What to do next, for all units of a run.

    `outcome` is None until `done`; then ``succeeded`` or ``failed`` if the run is final, or an
    empty text if the sitting ended before that (`closing` says why).
    """

    def __init__(
        self,
        spec: RunSpec,
        capacity: Capacity,
        history: History,
        *,
        selector: Optional[Selector] = None,
    ) -> None:
        self.spec = spec
        self.capacity = capacity
        self.summary = Summary([stage.name for stage in spec.stages])
        self.stages = [Stage(stage, self.summary.stages[stage.name]) for stage in spec.stages]
        self.by_name = {stage.name: stage for stage in self.stages}
        self.slots = Slots(capacity)
        self.outcome: Optional[str] = None
        self.run_id = ""
        self.closing = ""  # why the sitting ended before the run was final
        self.interrupted_by: Optional[int] = None
        self.seq = history.last_seq
        self.now = 0.0
        self.wall = 0.0
        self.orders: List[Order] = []
        self.unsettled: List[Tuple[int, Stage, End]] = []
        self._deadlines: List[Tuple[float, int, Stage, Unit]] = []
        self._ticket = count()
        self._live: Dict[AttemptId, Tuple[Stage, Unit]] = {}
        self._grace_s: Optional[float] = None
        self._admission = Admission(self, history, selector)

    @property
    def done(self) -> bool:
        """The sitting is over: no live unit, everything that can be published is."""
        return self.outcome is not None

    def begin(self, begin: Begin, lost: Iterable[End]) -> List[Order]:
        """Open the sitting; `lost` are attempts of dead sittings that never got their end."""
        self.run_id = begin.run_id
        self.write(begin)
        for end in lost:
            self.write(end)
        return self._take_orders()

    def handle(self, facts: Iterable[Fact], now: float, wall: float) -> List[Order]:
        """Take what happened and say what to do; `now` is monotonic, `wall` for records."""
        self.now, self.wall = now, wall
        for fact in facts:
            _HANDLERS[type(fact)](self, fact)
        self._meet_deadlines()
        self._admission.settle_stages()
        self._fill_slots()
        self._admission.close_if_over()
        return self._take_orders()

    def next_deadline(self) -> Optional[float]:
        """The monotonic time at which `handle` must be called even if nothing happens."""
        while self._deadlines and not self._is_current(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def results(self, stage: Optional[str] = None) -> Iterator[UnitResult]:
        """The units that have a verdict, with their ends, in order: of a stage or of the run."""
        for candidate in self.stages:
            if stage is None or candidate.name == stage:
                yield from candidate.results()

    # --- what happens to attempts --------------------------------------------------------

    def _on_started(self, fact: Started) -> None:
        if fact.attempt in self._live:
            self.write(Spawned(fact.attempt.unit, fact.attempt.number, fact.pid, fact.at))

    def _on_sampled(self, fact: Sampled) -> None:
        entry = self._live.get(fact.attempt)
        if entry is None or entry[0].spec.on_drift != "fail":
            return
        if isinstance(entry[1].state, Running):
            self._stop(entry[0], entry[1], StopReason.DRIFT)

    def _on_ended(self, fact: Ended) -> None:
        stage, unit = self._live.pop(fact.attempt)
        state = unit.state
        if not isinstance(state, (Running, Stopping)):
            raise AssertionError(f"{fact.attempt} ended while it was {state}")
        self.slots.give_back(state.placement)
        stage.tally.running -= 1
        self.summary.running -= 1
        reason = state.reason if isinstance(state, Stopping) else None
        verdict = judge(fact.exit, reason, stage.spec.success_codes)
        if verdict is Verdict.SUCCEEDED and _has_files(unit):
            unit.state = Inspecting(fact.attempt, fact, state.placement)
            self._live[fact.attempt] = (stage, unit)
            self.orders.append(Inspect(fact.attempt, unit.spec))
            return
        cause = "" if verdict is Verdict.SUCCEEDED else cause_of(fact.exit, reason, stage.spec)
        self._conclude(stage, unit, _end(unit, fact, state, verdict, reason, cause, self.host))

    def _on_inspected(self, fact: Inspected) -> None:
        stage, unit = self._live.pop(fact.attempt)
        state = unit.state
        if not isinstance(state, Inspecting):
            raise AssertionError(f"{fact.attempt} was inspected while it was {state}")
        verdict = Verdict.BAD_OUTPUT if fact.problem else Verdict.SUCCEEDED
        end = _end(unit, state.ended, state, verdict, None, fact.problem, self.host)
        end = msgspec.structs.replace(end, outputs=fact.outputs, inputs=fact.inputs)
        self._conclude(stage, unit, end)

    def _conclude(self, stage: Stage, unit: Unit, end: End) -> None:
        """An attempt is over: try again, or give the unit its verdict."""
        end = msgspec.structs.replace(end, program=stage.program)
        user = end.stopped_for is StopReason.USER
        shortage = isinstance(end.exit, NotStarted) and end.exit.passing
        if user or (shortage and unit.shortages < _SHORTAGE_LIMIT):
            self._leave_open(stage, unit, end, delay_s=0.0 if user else self._shortage(unit))
        elif self._retry_is_due(stage, unit, end.verdict):
            unit.tried += 1
            self._leave_open(stage, unit, end, delay_s=stage.spec.retry.delay_s, counts=True)
        else:
            self._admission.give_verdict(stage, unit, end)

    def _retry_is_due(self, stage: Stage, unit: Unit, verdict: Verdict) -> bool:
        retry = stage.spec.retry
        if verdict is Verdict.SUCCEEDED or stage.halted:
            return False
        return verdict in retry.on and unit.tried < retry.times

    def _shortage(self, unit: Unit) -> float:
        unit.shortages += 1
        return _SHORTAGE_DELAY_S * 2.0**unit.shortages

    def _leave_open(
        self, stage: Stage, unit: Unit, end: End, *, delay_s: float, counts: bool = False
    ) -> None:
        end = msgspec.structs.replace(end, final=False, counts=counts)
        self.write(end)
        unit.ends.append(end)
        if stage.halted and end.stopped_for is not StopReason.USER:
            self._admission.skip(stage, unit, "not started for want of resources")
            return
        self.wait_until(stage, unit, self.now + delay_s if delay_s else 0.0)

    def wait_until(self, stage: Stage, unit: Unit, not_before: float) -> None:
        """Put a unit into the queue of its stage, now or later."""
        if not_before <= self.now:
            unit.state = READY
            stage.ready.append(unit)
            return
        unit.state = Waiting(not_before)
        self._remind(not_before, stage, unit)

    # --- deadlines -----------------------------------------------------------------------

    def _remind(self, when: float, stage: Stage, unit: Unit) -> None:
        heapq.heappush(self._deadlines, (when, next(self._ticket), stage, unit))

    def _is_current(self, entry: Tuple[float, int, Stage, Unit]) -> bool:
        when, state = entry[0], entry[3].state
        if isinstance(state, Running):
            return state.deadline == when
        if isinstance(state, Stopping):
            return state.kill_at == when
        return isinstance(state, Waiting) and state.not_before == when

    def _meet_deadlines(self) -> None:
        while self._deadlines and self._deadlines[0][0] <= self.now:
            entry = heapq.heappop(self._deadlines)
            if self._is_current(entry):
                self._on_due(entry[2], entry[3])

    def _on_due(self, stage: Stage, unit: Unit) -> None:
        state = unit.state
        if isinstance(state, Running):
            self._stop(stage, unit, StopReason.DEADLINE)
        elif isinstance(state, Stopping) and state.dump_at_end:
            self.orders.append(Stop(state.attempt, state.reason, dump=True, insist=True))
            self._stopping(stage, unit, state, self.now + _DUMP_TIME_S)
        elif isinstance(state, Stopping):
            self._kill(unit, state)
        elif isinstance(state, Waiting):
            self.wait_until(stage, unit, 0.0)

    def _stop(self, stage: Stage, unit: Unit, reason: StopReason) -> None:
        state = unit.state
        if not isinstance(state, Running):
            raise AssertionError(f"{unit.spec.id} is asked to stop while it is {state}")
        dump = stage.spec.is_python and reason in (StopReason.DEADLINE, StopReason.STALL)
        self.orders.append(Stop(state.attempt, reason, dump=dump))
        grace_s = stage.spec.grace_s
        if reason is StopReason.USER and self._grace_s is not None:
            grace_s = self._grace_s
        unit.state = Stopping(state.attempt, state.placement, reason, None, dump)
        self._stopping(stage, unit, unit.state, self.now + grace_s, dump_at_end=dump)

    def _stopping(
        self,
        stage: Stage,
        unit: Unit,
        state: Stopping,
        kill_at: float,
        *,
        dump_at_end: bool = False,
    ) -> None:
        unit.state = Stopping(state.attempt, state.placement, state.reason, kill_at, dump_at_end)
        self._remind(kill_at, stage, unit)

    def _kill(self, unit: Unit, state: Stopping) -> None:
        self.orders.append(Kill(state.attempt))
        unit.state = Stopping(state.attempt, state.placement, state.reason, None)

    # --- what people ask -----------------------------------------------------------------

    def _on_interrupted(self, fact: Interrupted) -> None:
        again = self.summary.ending in ("interrupted", "stopping")
        self.interrupted_by = fact.signum if fact.signum is not None else self.interrupted_by
        self.end_early("interrupted", fact.reason)
        self.stop_all(StopReason.USER)
        if again or fact.signum is None:
            self._kill_all()

    def _on_asked(self, fact: Asked) -> None:
        running = self.summary.running
        if fact.verb == "stop":
            self._grace_s = fact.grace_s
            self.end_early("stopping", "stopped by request")
            self.stop_all(StopReason.USER)
            message = f"stopping {running} running units"
        elif fact.verb == "drain":
            self.end_early("draining", "drained by request")
            message = f"nothing more is started; {running} running units go on"
        else:
            self.write(Answer(fact.request, fact.verb, False, f"unknown request {fact.verb!r}"))
            return
        self.write(Answer(fact.request, fact.verb, True, message))

    def end_early(self, ending: str, reason: str) -> None:
        """Start nothing more in this sitting."""
        self.summary.ending = ending
        self.closing = reason

    def stop_all(self, reason: StopReason, only: Optional[Stage] = None) -> None:
        """Ask every running unit (of a stage) to end."""
        for stage, unit in list(self._live.values()):
            if isinstance(unit.state, Running) and only in (None, stage):
                self._stop(stage, unit, reason)

    def _kill_all(self) -> None:
        for _, unit in self._live.values():
            if isinstance(unit.state, Stopping) and unit.state.kill_at is not None:
                self._kill(unit, unit.state)

    # --- starts --------------------------------------------------------------------------

    def _fill_slots(self) -> None:
        if self.summary.ending:
            return
        for stage in reversed(self.stages):
            while stage.ready and stage.has_room() and self._try_start(stage, stage.ready[0]):
                stage.ready.popleft()

    def _try_start(self, stage: Stage, unit: Unit) -> bool:
        placement = self.slots.place(stage.needs(unit, self.capacity.memory_bytes))
        if placement is None:
            return False
        unit.last_number += 1
        attempt = AttemptId(unit.spec.id, unit.last_number)
        timeout_s = stage.spec.timeout_s
        deadline = None if timeout_s is None else self.now + timeout_s
        unit.state = Running(attempt, placement, deadline)
        if deadline is not None:
            self._remind(deadline, stage, unit)
        self._live[attempt] = (stage, unit)
        stage.tally.running += 1
        self.summary.running += 1
        self.write(_launch(unit, attempt, self.wall, placement))
        self.orders.append(Start(attempt, unit.spec, placement))
        return True

    # --- records -------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The name of the machine, for records."""
        return self.capacity.host

    @property
    def is_idle(self) -> bool:
        """No unit lives or is being looked at, and every verdict is on disk."""
        return not self._live and not self.unsettled

    @property
    def has_delayed(self) -> bool:
        """Some unit waits for a time to come."""
        return self.next_deadline() is not None

    def write(self, record: Record) -> int:
        """Order a record to be appended; return the number that it will have."""
        self.seq += 1
        self.orders.append(Write(record))
        return self.seq

    def await_sync(self, seq: int, stage: Stage, end: End) -> None:
        """Settle this verdict once its record is on disk."""
        stage.unsettled += 1
        self.unsettled.append((seq, stage, end))

    def _on_synced(self, fact: Synced) -> None:
        keep = 0
        for seq, stage, end in self.unsettled:
            if seq > fact.seq:
                break
            keep += 1
            stage.unsettled -= 1
            self.orders.append(Settled(end))
        del self.unsettled[:keep]

    def _on_expanded(self, fact: Expanded) -> None:
        self._admission.take(fact)

    def close(self, outcome: str) -> None:
        """The sitting is over."""
        if not outcome:
            self.write(Closed(self.wall, self.closing))
        self.outcome = outcome

    def _take_orders(self) -> List[Order]:
        orders, self.orders = self.orders, []
        return orders


def _has_files(unit: Unit) -> bool:
    spec = unit.spec
    return bool(spec.outputs or spec.inputs or spec.depends or spec.stdout or spec.stderr)


def _launch(unit: Unit, attempt: AttemptId, at: float, placement: Any) -> Launch:
    return Launch(
        attempt.unit,
        attempt.number,
        at,
        unit.spec.fingerprint,
        placement.cpus,
        placement.cpu_ids,
        placement.memory_bytes,
    )


def _end(
    unit: Unit,
    fact: Ended,
    state: Any,
    verdict: Verdict,
    reason: Optional[StopReason],
    cause: str,
    host: str,
) -> End:
    return End(
        unit=unit.spec.id,
        attempt=fact.attempt.number,
        verdict=verdict,
        at=fact.at,
        exit=fact.exit,
        stopped_for=reason,
        cause=cause,
        started=fact.started,
        wall_s=fact.wall_s,
        pid=fact.pid,
        host=host,
        cpus=state.placement.cpus,
        memory_bytes=state.placement.memory_bytes,
        usage=fact.usage,
        stdout_path=fact.stdout_path,
        stderr_path=fact.stderr_path,
        fingerprint=unit.spec.fingerprint,
    )


_HANDLERS: Dict[type, Callable[[Planner, Any], None]] = {
    Started: Planner._on_started,
    Sampled: Planner._on_sampled,
    Ended: Planner._on_ended,
    Inspected: Planner._on_inspected,
    Synced: Planner._on_synced,
    Expanded: Planner._on_expanded,
    Asked: Planner._on_asked,
    Interrupted: Planner._on_interrupted,
}

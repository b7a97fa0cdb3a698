"""What happens to attempts: start, stop, kill, end, inspection, and the next try."""

import heapq
from itertools import count
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple, Union

import msgspec

from procsup.core.events import Ended, Inspect, Inspected, Kill, Sampled, Start, Started, Stop
from procsup.core.outcome import AttemptId, NotStarted, StopReason, Verdict, judge
from procsup.core.records import End, Launch, Spawned
from procsup.core.slots import Placement, Slots
from procsup.core.stages import Stage
from procsup.core.states import READY, Inspecting, Running, Stopping, Unit, Waiting
from procsup.core.wording import cause_of, drift_news

if TYPE_CHECKING:
    from procsup.core.planner import Planner

_DUMP_TIME_S = 1.0  # from the request for stacks to the kill
_SHORTAGE_DELAY_S = 0.1  # doubled at each refusal in a row
_SHORTAGE_DELAY_MAX_S = 2.0
_SHORTAGE_LIMIT = 10
_FEW_DEADLINES = 1000

_Due = Tuple[float, int, Stage, Unit]


class Attempts:
    """The planner's hand for single attempts; it works on the planner's own state."""

    def __init__(self, planner: "Planner") -> None:
        self._planner = planner
        self._slots = Slots(planner.capacity)
        self._deadlines: List[_Due] = []
        self._tidy_at = _FEW_DEADLINES
        self._ticket = count()
        self._live: Dict[AttemptId, Tuple[Stage, Unit]] = {}  # those being inspected included
        self._newborn: List[Started] = []
        self.grace_s: Optional[float] = None  # of `procsup stop --grace`

    @property
    def any_live(self) -> bool:
        """Some attempt lives or is being inspected."""
        return bool(self._live)

    # --- facts ---------------------------------------------------------------------------

    def on_started(self, fact: Started) -> None:
        """The process exists."""
        self._newborn.append(fact)

    def record_spawned(self) -> None:
        """Record the processes that exist, but not those whose end came with the news."""
        for fact in self._newborn:
            entry = self._live.get(fact.attempt)
            if entry is not None and entry[1].is_live:
                unit, number = fact.attempt
                self._planner.write(Spawned(unit, number, fact.pid, fact.at, fact.born, fact.mark))
        self._newborn.clear()

    def on_sampled(self, fact: Sampled) -> None:
        """Its affinity drifted."""
        entry = self._live.get(fact.attempt)
        if entry is None:
            return
        stage, unit = entry
        if stage.spec.on_drift != "record":
            stage.tally.news.append(drift_news(fact.attempt, fact.drifted_to, stage.spec.on_drift))
        if stage.spec.on_drift == "fail" and isinstance(unit.state, Running):
            self._stop(stage, unit, StopReason.DRIFT)

    def on_ended(self, fact: Ended) -> None:
        """The process and its tree are gone: judge, or look at the outputs first."""
        stage, unit = self._live.pop(fact.attempt)
        state = unit.state
        if not isinstance(state, (Running, Stopping)):
            raise AssertionError(f"{fact.attempt} ended while it was {state}")
        self._slots.give_back(state.placement)
        stage.tally.running -= 1
        self._planner.summary.running -= 1
        reason = state.reason if isinstance(state, Stopping) else None
        verdict = judge(fact.exit, reason, stage.spec.success_codes)
        if verdict is Verdict.SUCCEEDED and _has_files(unit):
            unit.state = Inspecting(fact.attempt, fact, state.placement)
            self._live[fact.attempt] = (stage, unit)
            self._planner.orders.append(Inspect(fact.attempt, unit.spec))
            return
        cause = "" if verdict is Verdict.SUCCEEDED else cause_of(fact.exit, reason, stage.spec)
        self._conclude(stage, unit, self._end(unit, fact, state, verdict, cause))

    def on_inspected(self, fact: Inspected) -> None:
        """Its outputs were looked at."""
        stage, unit = self._live.pop(fact.attempt)
        state = unit.state
        if not isinstance(state, Inspecting):
            raise AssertionError(f"{fact.attempt} was inspected while it was {state}")
        verdict = Verdict.BAD_OUTPUT if fact.problem else Verdict.SUCCEEDED
        end = self._end(unit, state.ended, state, verdict, fact.problem)
        end = msgspec.structs.replace(end, outputs=fact.outputs, inputs=fact.inputs)
        self._conclude(stage, unit, end)

    # --- what becomes of the unit --------------------------------------------------------

    def _conclude(self, stage: Stage, unit: Unit, end: End) -> None:
        """An attempt is over: try again, or give the unit its verdict."""
        if stage.program is not None:
            end = msgspec.structs.replace(end, program=stage.program)
        user = end.stopped_for is StopReason.USER
        shortage = isinstance(end.exit, NotStarted) and end.exit.passing
        if user or (shortage and unit.shortages < _SHORTAGE_LIMIT):
            self._leave_open(stage, unit, end, delay_s=0.0 if user else _shortage_delay_s(unit))
        elif self._retry_is_due(stage, unit, end.verdict):
            unit.tried += 1
            self._leave_open(stage, unit, end, delay_s=stage.spec.retry.delay_s, counts=True)
        else:
            self._planner.admission.give_verdict(stage, unit, end)

    def _retry_is_due(self, stage: Stage, unit: Unit, verdict: Verdict) -> bool:
        retry = stage.spec.retry
        if verdict is Verdict.SUCCEEDED or stage.halted:
            return False
        return verdict in retry.on and unit.tried < retry.times

    def _leave_open(
        self, stage: Stage, unit: Unit, end: End, *, delay_s: float, counts: bool = False
    ) -> None:
        end = msgspec.structs.replace(end, final=False, counts=counts)
        seq = self._planner.write(end)
        unit.add_end(end)
        if counts:
            self._planner.await_sync(seq, stage, end)
        if stage.halted and end.stopped_for is not StopReason.USER:
            self._planner.admission.skip(stage, unit, "not started for want of resources")
            return
        self.wait_until(stage, unit, self._planner.now + delay_s if delay_s else 0.0)

    def wait_until(self, stage: Stage, unit: Unit, not_before: float) -> None:
        """Put a unit into the queue of its stage, now or at a monotonic time."""
        if not_before <= self._planner.now:
            unit.state = READY
            stage.ready.append(unit)
            self._planner.moved |= not stage.withdrawn
            return
        unit.state = Waiting(not_before)
        self._remind(not_before, stage, unit)

    # --- deadlines -----------------------------------------------------------------------

    def next_deadline(self) -> Optional[float]:
        """The earliest monotonic time at which something is due."""
        while self._deadlines and not _is_current(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def meet_deadlines(self) -> None:
        """Do what is due by now."""
        while self._deadlines and self._deadlines[0][0] <= self._planner.now:
            entry = heapq.heappop(self._deadlines)
            if _is_current(entry):
                self._on_due(entry[2], entry[3])

    def _remind(self, when: float, stage: Stage, unit: Unit) -> None:
        heapq.heappush(self._deadlines, (when, next(self._ticket), stage, unit))
        if len(self._deadlines) > self._tidy_at:
            self._tidy()

    def _tidy(self) -> None:
        """Drop the reminders of what is over: they lie behind one that lives long."""
        self._deadlines = [entry for entry in self._deadlines if _is_current(entry)]
        heapq.heapify(self._deadlines)
        self._tidy_at = max(_FEW_DEADLINES, 2 * len(self._deadlines))

    def _on_due(self, stage: Stage, unit: Unit) -> None:
        state = unit.state
        if isinstance(state, Running):
            self._stop(stage, unit, StopReason.DEADLINE)
        elif isinstance(state, Stopping) and state.dump_at_end:
            order = Stop(state.attempt, state.reason, dump=True, insist=True)
            self._planner.orders.append(order)
            self._enter_stopping(stage, unit, state, kill_in_s=_DUMP_TIME_S)
        elif isinstance(state, Stopping):
            self._kill(unit, state)
        elif isinstance(state, Waiting):
            self.wait_until(stage, unit, 0.0)

    # --- stop and kill -------------------------------------------------------------------

    def stop_all(self, reason: StopReason, only: Optional[Stage] = None) -> None:
        """Ask every running attempt (of a stage) to end."""
        for stage, unit in list(self._live.values()):
            if isinstance(unit.state, Running) and only in (None, stage):
                self._stop(stage, unit, reason)

    def kill_all(self) -> None:
        """Kill whatever was asked to end and has not."""
        for _, unit in self._live.values():
            if isinstance(unit.state, Stopping) and unit.state.kill_at is not None:
                self._kill(unit, unit.state)

    def _stop(self, stage: Stage, unit: Unit, reason: StopReason) -> None:
        state = unit.state
        if not isinstance(state, Running):
            raise AssertionError(f"{unit.spec.id} is asked to stop while it is {state}")
        dump = stage.spec.is_python and reason in (StopReason.DEADLINE, StopReason.STALL)
        self._planner.orders.append(Stop(state.attempt, reason, dump=dump))
        grace_s = stage.spec.grace_s
        if reason is StopReason.USER and self.grace_s is not None:
            grace_s = self.grace_s
        asked = Stopping(state.attempt, state.placement, reason, None)
        self._enter_stopping(stage, unit, asked, kill_in_s=grace_s, dump_at_end=dump)

    def _enter_stopping(
        self,
        stage: Stage,
        unit: Unit,
        state: Stopping,
        *,
        kill_in_s: float,
        dump_at_end: bool = False,
    ) -> None:
        kill_at = self._planner.now + kill_in_s
        unit.state = Stopping(state.attempt, state.placement, state.reason, kill_at, dump_at_end)
        self._remind(kill_at, stage, unit)

    def _kill(self, unit: Unit, state: Stopping) -> None:
        self._planner.orders.append(Kill(state.attempt))
        unit.state = Stopping(state.attempt, state.placement, state.reason, None)

    # --- starts --------------------------------------------------------------------------

    def fill_slots(self) -> None:
        """Start what fits, later stages first: they finish what was begun."""
        for stage in self._planner.later_first:
            while stage.ready and not self._slots.are_taken and stage.has_room():
                if not self._try_start(stage, stage.ready[0]):
                    break
                stage.ready.popleft()

    def _try_start(self, stage: Stage, unit: Unit) -> bool:
        planner = self._planner
        placement = self._slots.place(stage.needs(unit, planner.capacity.memory_bytes))
        if placement is None:
            return False
        unit.last_number += 1
        attempt = AttemptId(unit.spec.id, unit.last_number)
        timeout_s = stage.spec.timeout_s
        deadline = None if timeout_s is None else planner.now + timeout_s
        unit.state = Running(attempt, placement, deadline)
        if deadline is not None:
            self._remind(deadline, stage, unit)
        self._live[attempt] = (stage, unit)
        stage.tally.running += 1
        planner.summary.running += 1
        planner.write(_launch(unit, attempt, planner.wall, placement))
        planner.orders.append(Start(attempt, unit.spec, placement))
        return True

    def _end(
        self,
        unit: Unit,
        fact: Ended,
        state: Union[Running, Stopping, Inspecting],
        verdict: Verdict,
        cause: str,
    ) -> End:
        return End(
            unit=unit.spec.id,
            attempt=fact.attempt.number,
            verdict=verdict,
            at=fact.at,
            exit=fact.exit,
            stopped_for=state.reason if isinstance(state, Stopping) else None,
            cause=cause,
            started=fact.started,
            wall_s=fact.wall_s,
            pid=fact.pid,
            host=self._planner.capacity.host,
            cpus=state.placement.cpus,
            memory_bytes=state.placement.memory_bytes,
            usage=fact.usage,
            stdout_path=fact.stdout_path,
            stderr_path=fact.stderr_path,
            fingerprint=unit.spec.fingerprint,
        )


def _is_current(entry: _Due) -> bool:
    """A reminder stands only while the unit is still in the state that asked for it."""
    when, state = entry[0], entry[3].state
    if isinstance(state, Running):
        return state.deadline == when
    if isinstance(state, Stopping):
        return state.kill_at == when
    return isinstance(state, Waiting) and state.not_before == when


def _shortage_delay_s(unit: Unit) -> float:
    unit.shortages += 1
    return min(_SHORTAGE_DELAY_S * 2.0**unit.shortages, _SHORTAGE_DELAY_MAX_S)


def _has_files(unit: Unit) -> bool:
    spec = unit.spec
    given = spec.inputs or spec.depends or spec.stdin
    return bool(given or spec.outputs or spec.stdout or spec.stderr)


def _launch(unit: Unit, attempt: AttemptId, at: float, placement: Placement) -> Launch:
    return Launch(
        attempt.unit,
        attempt.number,
        at,
        unit.spec.fingerprint,
        placement.cpus,
        placement.cpu_ids,
        placement.memory_bytes,
    )

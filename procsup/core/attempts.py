"""What happens to attempts: start, stop, end, inspection, and the next try."""

import heapq
from itertools import count
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

import msgspec

from procsup.core.events import Ended, Inspected, Kill, Sampled, Standing, Start, Started, Stop
from procsup.core.outcome import AttemptId, NotStarted, Reading, StopReason, Verdict, judge
from procsup.core.records import End, Launch, Refused, Spawned
from procsup.core.slots import Placement, Slots
from procsup.core.stages import Stage
from procsup.core.states import READY, Inspecting, Running, Stopping, Unit, Waiting
from procsup.core.task import Aside, Task, threads_of
from procsup.core.wording import cause_of, drift_news, memory_remark, shortage_news

if TYPE_CHECKING:
    from procsup.core.planner import Planner

_SHORTAGE_DELAY_S = 0.1  # doubled at each refusal in a row
_SHORTAGE_DELAY_MAX_S = 2.0
_SHORTAGE_LIMIT = 10
_HOLD_S, _LONGEST_HOLD_S = 0.1, 30.0  # between starts while others live, doubled at each refusal
_ENOUGH = 1000  # starts without a refusal
_FEW_DEADLINES = 1000

_Due = Tuple[float, int, Stage, Unit]


class Shortage:
    """Limits starts while the system refuses them and other attempts live.

    Each end of an attempt allows one more start (`allowance`), and so does each wait until `due`.
    A refusal doubles the wait; a wait without a refusal doubles the starts that the next allows.
    """

    def __init__(self, now: float) -> None:
        self.allowance = 0
        self.due = now + _HOLD_S
        self._refused_at = now
        self._hold_s = _HOLD_S
        self._tries = 1

    def go_on(self, now: float) -> None:
        """Note another refused start; several in one turn count once."""
        self.allowance = 0
        self._tries = 1
        if now > self._refused_at:
            self._refused_at = now
            self._hold_s = min(self._hold_s * 2, _LONGEST_HOLD_S)
        self.due = now + self._hold_s

    def may_be_over(self, now: float) -> bool:
        """Allow more starts once `due`; true if enough waits passed without a refusal."""
        if now < self.due:
            return False
        self.allowance += self._tries
        self._tries *= 2
        self.due = now + self._hold_s
        return self._tries > _ENOUGH


class Attempts:
    """The planner's part for single attempts; it changes the planner's own state."""

    def __init__(self, planner: "Planner") -> None:
        self._planner = planner
        self._slots = Slots(planner.capacity)
        self._deadlines: List[_Due] = []
        self._tidy_at = _FEW_DEADLINES
        self._ticket = count()
        self._live: Dict[AttemptId, Tuple[Stage, Unit]] = {}  # includes those being inspected
        self._newborn: List[Started] = []
        self.grace_s: Optional[float] = None  # of `procsup stop --grace`
        self._shortage: Optional[Shortage] = None

    @property
    def any_live(self) -> bool:
        """Some attempt lives or is being inspected."""
        return bool(self._live)

    # --- facts ---------------------------------------------------------------------------

    def on_started(self, fact: Started) -> None:
        """The process exists."""
        self._newborn.append(fact)

    def record_spawned(self) -> None:
        """Record the processes that exist, but not those that ended within the same turn."""
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
        """The process and its tree have ended: judge, or let the outputs be inspected first."""
        stage, unit = self._live.pop(fact.attempt)
        state = unit.state
        if not isinstance(state, (Running, Stopping)):
            raise AssertionError(f"{fact.attempt} ended while it was {state}")
        self._slots.give_back(state.placement)
        stage.tally.running -= 1
        self._planner.summary.running -= 1
        exit = fact.exit
        is_held = stage.halted or isinstance(state, Stopping) or not self._planner.summary.running
        if isinstance(exit, NotStarted) and exit.passing and not is_held:
            self._put_off(stage, unit, fact.attempt, exit.reason)
            return
        if self._shortage is not None:
            self._shortage.allowance += 1
        # A stop that came after the unit's end is not the reason of that end.
        reason = state.reason if isinstance(state, Stopping) and fact.stopped else None
        verdict = judge(fact.exit, reason, stage.spec.success_codes)
        if verdict is Verdict.SUCCEEDED and fact.fault:
            verdict = Verdict.FAILED
        if verdict is Verdict.SUCCEEDED:
            unit.state = Inspecting(fact.attempt, fact, state.placement, state.since)
            self._live[fact.attempt] = (stage, unit)
            return
        cause = fact.fault or cause_of(fact.exit, reason, stage.spec)
        end = self._end(unit, fact, state.placement, verdict, cause, reason)
        is_called_off = isinstance(state, Stopping) and state.called_off
        self._conclude(stage, unit, end, is_called_off=is_called_off)

    def on_inspected(self, fact: Inspected) -> None:
        """Its outputs were inspected."""
        stage, unit = self._live.pop(fact.attempt)
        state = unit.state
        if not isinstance(state, Inspecting):
            raise AssertionError(f"{fact.attempt} was inspected while it was {state}")
        verdict = Verdict.BAD_OUTPUT if fact.problem else Verdict.SUCCEEDED
        end = self._end(unit, state.ended, state.placement, verdict, fact.problem)
        end = msgspec.structs.replace(
            end,
            outputs=fact.outputs,
            inputs=fact.inputs,
            leftover_files=fact.leftover_files,
        )
        stage.tally.note_leftover_files(end.unit, end.leftover_files)
        self._conclude(stage, unit, end)

    def _remark(self, stage: Stage, end: End) -> None:
        """Collect the remarks of an attempt; the first one of the stage becomes news."""
        is_first = not stage.tally.remarks
        stage.tally.remarks += [f"{end.unit}#{end.attempt}: {one}" for one in end.remarks]
        if is_first and stage.tally.remarks:
            stage.tally.news.append(stage.tally.remarks[0])

    def _put_off(self, stage: Stage, unit: Unit, attempt: AttemptId, reason: str) -> None:
        """Queue a unit again whose start was refused for a shortage; it does not count as a try.

        The run's own attempts may use what is short: it is free again when one of them ends.
        """
        planner = self._planner
        planner.write(Refused(*attempt, planner.wall, reason))
        unit.last_number -= 1
        unit.state = READY
        stage.ready.appendleft(unit)
        if not any(one.tally.refused for one in planner.stages):
            stage.tally.news.append(shortage_news(reason))
        stage.tally.refused += 1
        if self._shortage is None:
            self._shortage = Shortage(planner.now)
        else:
            self._shortage.go_on(planner.now)

    # --- next try or verdict -------------------------------------------------------------

    def _conclude(self, stage: Stage, unit: Unit, end: End, *, is_called_off: bool = False) -> None:
        """An attempt is over: try again, or give the unit its verdict."""
        self._remark(stage, end)
        if end.program is None and stage.program is not None:
            end = msgspec.structs.replace(end, program=stage.program)
        user = end.stopped_for is StopReason.USER
        shortage = isinstance(end.exit, NotStarted) and end.exit.passing
        if is_called_off:
            end = msgspec.structs.replace(end, counts=end.stopped_for is not StopReason.USER)
            self._planner.admission.give_verdict(stage, unit, end)
        elif user or (shortage and unit.shortages < _SHORTAGE_LIMIT):
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

    def admit(self, stage: Stage, unit: Unit, why: Standing) -> None:  # noqa: ARG002
        """Queue a unit that must run; only a rehearsal uses `why`."""
        self.wait_until(stage, unit, 0.0)

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
        due = self._deadlines[0][0] if self._deadlines else None
        if self._shortage is None or not any(one.ready for one in self._planner.stages):
            return due
        return self._shortage.due if due is None else min(due, self._shortage.due)

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
        """Drop outdated reminders, which `next_deadline` does not reach behind a current one."""
        self._deadlines = [entry for entry in self._deadlines if _is_current(entry)]
        heapq.heapify(self._deadlines)
        self._tidy_at = max(_FEW_DEADLINES, 2 * len(self._deadlines))

    def _on_due(self, stage: Stage, unit: Unit) -> None:
        state = unit.state
        if isinstance(state, Running):
            self._stop(stage, unit, StopReason.DEADLINE)
        elif isinstance(state, Waiting):
            self.wait_until(stage, unit, 0.0)

    # --- stop and kill -------------------------------------------------------------------

    def stop_all(self, reason: StopReason, only: Optional[Stage] = None) -> None:
        """Ask every running attempt (of a stage) to end."""
        for stage, unit in list(self._live.values()):
            if isinstance(unit.state, Running) and only in (None, stage):
                self._stop(stage, unit, reason)

    def call_off(self, stage: Stage, unit: Unit, grace_s: Optional[float]) -> None:
        """Ask a live attempt to end, unless that was done before; the unit is not tried again."""
        if isinstance(unit.state, Running):
            self._stop(stage, unit, StopReason.USER, grace_s)
        elif isinstance(unit.state, Stopping) and not unit.state.killed and grace_s is not None:
            state = unit.state
            self._planner.orders.append(Stop(state.attempt, state.reason, grace_s))
        if not isinstance(unit.state, Stopping):
            raise AssertionError(f"{unit.spec.id} is called off while it is {unit.state}")
        unit.state = msgspec.structs.replace(unit.state, called_off=True)

    def shorten_grace(self) -> None:
        """Order the latest requested grace for attempts that are stopping already."""
        for _, unit in self._live.values():
            state = unit.state
            if isinstance(state, Stopping) and not state.killed and self.grace_s is not None:
                self._planner.orders.append(Stop(state.attempt, state.reason, self.grace_s))

    def kill_all(self) -> None:
        """Kill the attempts that were asked to end and have not ended."""
        for _, unit in self._live.values():
            state = unit.state
            if isinstance(state, Stopping) and not state.killed:
                self._planner.orders.append(Kill(state.attempt))
                unit.state = msgspec.structs.replace(state, killed=True)

    def _stop(
        self, stage: Stage, unit: Unit, reason: StopReason, own_grace_s: Optional[float] = None
    ) -> None:
        state = unit.state
        if not isinstance(state, Running):
            raise AssertionError(f"{unit.spec.id} is asked to stop while it is {state}")
        dump = stage.spec.is_python and reason in (StopReason.DEADLINE, StopReason.STALL)
        asked_s = self.grace_s if own_grace_s is None else own_grace_s
        by_user = reason is StopReason.USER and asked_s is not None
        grace_s = asked_s if by_user and asked_s is not None else stage.spec.grace_s
        self._planner.orders.append(Stop(state.attempt, reason, grace_s, dump))
        unit.state = Stopping(state.attempt, state.placement, reason, state.since)

    # --- starts --------------------------------------------------------------------------

    def fill_slots(self) -> None:
        """Start the units that fit, later stages first: they finish work that was begun."""
        shortage = self._shortage
        if shortage is not None and shortage.may_be_over(self._planner.now):
            self._shortage = shortage = None
        for stage in self._planner.later_first:
            while stage.ready and not self._slots.are_taken and stage.has_room():
                if shortage is not None and not shortage.allowance:
                    return
                if not self._try_start(stage, stage.ready[0]):
                    break
                stage.ready.popleft()
                if shortage is not None:
                    shortage.allowance -= 1

    def _try_start(self, stage: Stage, unit: Unit) -> bool:
        planner = self._planner
        placement = self._slots.place(stage.needs(unit, planner.capacity.memory_bytes))
        if placement is None:
            return False
        unit.last_number += 1
        attempt = AttemptId(unit.spec.id, unit.last_number)
        timeout_s = stage.spec.timeout_s
        deadline = None if timeout_s is None else planner.now + timeout_s
        unit.state = Running(attempt, placement, deadline, planner.now)
        if deadline is not None:
            self._remind(deadline, stage, unit)
        self._live[attempt] = (stage, unit)
        stage.tally.running += 1
        planner.summary.running += 1
        planner.write(_launch(unit, attempt, planner.wall, placement))
        aside = _aside(stage, unit)
        older = aside is not None or any(one.unchanged for one in unit.spec.outputs)
        vouched = _last_outputs(unit) if older else ()
        task = Task(attempt, unit.spec, placement, stage.rules, aside, vouched)
        planner.orders.append(Start(task))
        return True

    def _end(
        self,
        unit: Unit,
        fact: Ended,
        placement: Placement,
        verdict: Verdict,
        cause: str,
        stopped_for: Optional[StopReason] = None,
    ) -> End:
        used = fact.usage.peak_memory_bytes
        return End(
            unit=unit.spec.id,
            attempt=fact.attempt.number,
            verdict=verdict,
            at=fact.at,
            exit=fact.exit,
            stopped_for=stopped_for,
            cause=cause,
            started=fact.started,
            wall_s=fact.wall_s,
            pid=fact.pid,
            host=placement.host,
            cpus=placement.cpus,
            memory_bytes=placement.memory_bytes,
            usage=fact.usage,
            stdout_path=fact.stdout_path,
            stderr_path=fact.stderr_path,
            fingerprint=unit.spec.fingerprint,
            linger_s=round(fact.linger_s, 3),
            program=fact.program,
            remarks=fact.remarks + memory_remark(used, placement.memory_bytes),
            threads=threads_of(unit.spec, placement),
        )


def _is_current(entry: _Due) -> bool:
    """Whether the unit is still in the state that set this reminder."""
    when, state = entry[0], entry[3].state
    if isinstance(state, Running):
        return state.deadline == when
    return isinstance(state, Waiting) and state.not_before == when


def _shortage_delay_s(unit: Unit) -> float:
    unit.shortages += 1
    return min(_SHORTAGE_DELAY_S * 2.0**unit.shortages, _SHORTAGE_DELAY_MAX_S)


def _aside(stage: Stage, unit: Unit) -> Optional[Aside]:
    """Return the failed attempt whose files must be moved away before the next, if any."""
    if stage.spec.on_failed_outputs != "aside" or unit.last_number < 2:
        return None
    failed = None if unit.past is None else unit.past.failed
    for end in unit.ends:
        if end.verdict is Verdict.SUCCEEDED:
            failed = None
        elif end.attempt and end.started is not None:
            failed = (end.attempt, end.started)
    return None if failed is None else Aside(*failed)


def _last_outputs(unit: Unit) -> Tuple[Reading, ...]:
    """Return the outputs of a unit's last success, of this run or an earlier one."""
    past = unit.past
    success = None if past is None or past.success is None else past.success.last
    for end in unit.ends:
        if end.verdict is Verdict.SUCCEEDED:
            success = end
    return () if success is None else success.outputs


def _launch(unit: Unit, attempt: AttemptId, at: float, placement: Placement) -> Launch:
    return Launch(
        attempt.unit,
        attempt.number,
        at,
        unit.spec.fingerprint,
        host=placement.host,
        agent=placement.agent,
        slot=placement.slot,
        amounts=placement.amounts,
        indices=placement.indices,
    )

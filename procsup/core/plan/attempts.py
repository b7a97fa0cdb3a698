"""What happens to attempts: start, end, inspection, and the next try."""

from typing import Optional, Tuple

import msgspec

from procsup.core.events import Ended, Inspected, Sampled, Start, Started
from procsup.core.outcome import AttemptId, NotStarted, Reading, StopReason, Verdict, judge
from procsup.core.plan.pace import holds_back, note_start
from procsup.core.plan.pacing import Shortage
from procsup.core.plan.state import Plan, Stage
from procsup.core.plan.stops import stop
from procsup.core.plan.units import READY, Inspecting, Running, Stopping, Unit, Waiting
from procsup.core.plan.verdicts import give_verdict, skip
from procsup.core.records import End, Launch, Refused, Spawned
from procsup.core.slots import Placement
from procsup.core.task import Aside, Task, count_threads
from procsup.core.wording import (
    describe_cause,
    describe_drift,
    describe_limit,
    describe_memory,
    describe_shortage,
)
from procsup.seams import seam

_SHORTAGE_DELAY_S = 0.1  # doubled at each refusal in a row
_SHORTAGE_DELAY_MAX_S = 2.0
_SHORTAGE_LIMIT = 10


# --- facts -------------------------------------------------------------------------------------


def on_started(plan: Plan, fact: Started) -> None:
    """The process exists."""
    plan.newborn.append(fact)


def record_spawned(plan: Plan) -> None:
    """Record the processes that exist, but not those that ended within the same turn."""
    for fact in plan.newborn:
        entry = plan.live.get(fact.attempt)
        if entry is not None and entry[1].is_live:
            unit, number = fact.attempt
            plan.write(Spawned(unit, number, fact.pid, fact.at, fact.born, fact.mark))
    plan.newborn.clear()


def on_sampled(plan: Plan, fact: Sampled) -> None:
    """Its affinity drifted."""
    entry = plan.live.get(fact.attempt)
    if entry is None:
        return
    stage, unit = entry
    if stage.spec.on_drift != "record":
        stage.tally.news.append(describe_drift(fact.attempt, fact.drifted_to, stage.spec.on_drift))
    if stage.spec.on_drift == "fail" and isinstance(unit.state, Running):
        stop(plan, stage, unit, StopReason.DRIFT)


def on_ended(plan: Plan, fact: Ended) -> None:
    """The process and its tree have ended: judge, or let the outputs be inspected first."""
    stage, unit = plan.live.pop(fact.attempt)
    state = unit.state
    if not isinstance(state, (Running, Stopping)):
        raise AssertionError(f"{fact.attempt} ended while it was {state}")
    plan.slots.give_back(state.placement)
    stage.tally.running -= 1
    plan.summary.running -= 1
    exit = fact.exit
    is_held = stage.halted or isinstance(state, Stopping) or not plan.summary.running
    if isinstance(exit, NotStarted) and exit.passing and not is_held:
        _put_off(plan, stage, unit, fact.attempt, exit.reason)
        return
    if plan.pacing.shortage is not None:
        plan.pacing.shortage.allowance += 1
    # A stop that came after the unit's end is not the reason of that end.
    reason = state.reason if isinstance(state, Stopping) and fact.stopped else None
    verdict = judge(fact.exit, reason, stage.spec.success_codes)
    if verdict is Verdict.SUCCEEDED and fact.fault:
        verdict = Verdict.FAILED
    if verdict is Verdict.SUCCEEDED:
        _note_time(plan, stage, fact.wall_s)
        unit.state = Inspecting(fact.attempt, fact, state.placement, state.since)
        plan.live[fact.attempt] = (stage, unit)
        return
    why = state.why if isinstance(state, Stopping) else ""
    cause = fact.fault or describe_cause(fact.exit, reason, why)
    end = _end(unit, fact, state.placement, verdict, cause, reason)
    is_called_off = isinstance(state, Stopping) and state.called_off
    _conclude(plan, stage, unit, end, is_called_off=is_called_off)


def on_inspected(plan: Plan, fact: Inspected) -> None:
    """Its outputs were inspected."""
    stage, unit = plan.live.pop(fact.attempt)
    state = unit.state
    if not isinstance(state, Inspecting):
        raise AssertionError(f"{fact.attempt} was inspected while it was {state}")
    verdict = Verdict.BAD_OUTPUT if fact.problem else Verdict.SUCCEEDED
    end = _end(unit, state.ended, state.placement, verdict, fact.problem)
    end = msgspec.structs.replace(
        end,
        outputs=fact.outputs,
        inputs=fact.inputs,
        leftover_files=fact.leftover_files,
        remarks=end.remarks + fact.remarks,
    )
    stage.tally.note_leftover_files(end.unit, end.leftover_files)
    _conclude(plan, stage, unit, end)


def meet_deadlines(plan: Plan) -> None:
    """End attempts that have reached their timeout, and start the tries whose delay is over."""
    for unit in plan.deadlines.take_due(plan.now):
        stage = plan.get_stage(unit)
        if isinstance(unit.state, Running):
            why = describe_limit(stage.limit_s or 0.0, stage.spec.timeout_share)
            stop(plan, stage, unit, StopReason.DEADLINE, why=why)
        elif isinstance(unit.state, Waiting):
            plan.queue(stage, unit)


def _note_time(plan: Plan, stage: Stage, wall_s: Optional[float]) -> None:
    """Take the time of a unit that succeeded into the median, if that is a limit of the others."""
    share = stage.spec.timeout_share
    if share is None or wall_s is None:
        return
    stage.run_times.add(wall_s)
    limit_s = stage.run_times.compute_limit_s(share)
    if limit_s is None or limit_s == stage.limit_s:
        return
    stage.limit_s = limit_s
    for other, unit in plan.live.values():
        if other is stage and isinstance(unit.state, Running):
            deadline = unit.state.since + limit_s
            unit.state = msgspec.structs.replace(unit.state, deadline=deadline)
            plan.deadlines.add(deadline, unit)


# --- next try or verdict -----------------------------------------------------------------------


def _put_off(plan: Plan, stage: Stage, unit: Unit, attempt: AttemptId, reason: str) -> None:
    """Queue a unit again whose start was refused for a shortage; it does not count as a try.

    The run's own attempts may use the scarce resource; it is free again when one of them ends.
    """
    plan.write(Refused(*attempt, plan.wall, reason))
    unit.last_number -= 1
    unit.state = READY
    stage.ready.appendleft(unit)
    if not any(one.tally.refused for one in plan.stages):
        stage.tally.news.append(describe_shortage(reason))
    stage.tally.refused += 1
    if plan.pacing.shortage is None:
        plan.pacing.shortage = Shortage(plan.now)
    else:
        plan.pacing.shortage.go_on(plan.now)


def _conclude(
    plan: Plan, stage: Stage, unit: Unit, end: End, *, is_called_off: bool = False
) -> None:
    """An attempt is over: try again, or give the unit its verdict."""
    _collect_remarks(stage, end)
    if end.program is None and stage.program is not None:
        end = msgspec.structs.replace(end, program=stage.program)
    user = end.stopped_for is StopReason.USER
    shortage = isinstance(end.exit, NotStarted) and end.exit.passing
    if is_called_off:
        give_verdict(plan, stage, unit, msgspec.structs.replace(end, counts=not user))
    elif user or (shortage and unit.shortages < _SHORTAGE_LIMIT):
        _leave_open(
            plan, stage, unit, end, delay_s=0.0 if user else _compute_shortage_delay_s(unit)
        )
    elif _retry_is_due(stage, unit, end.verdict):
        unit.tried += 1
        _leave_open(plan, stage, unit, end, delay_s=stage.spec.retry.delay_s, counts=True)
    else:
        give_verdict(plan, stage, unit, end)


def _collect_remarks(stage: Stage, end: End) -> None:
    """Collect the remarks of an attempt; the first one of the stage becomes news."""
    is_first = not stage.tally.remarks
    stage.tally.remarks += [f"{end.unit}#{end.attempt}: {one}" for one in end.remarks]
    if is_first and stage.tally.remarks:
        stage.tally.news.append(stage.tally.remarks[0])


def _retry_is_due(stage: Stage, unit: Unit, verdict: Verdict) -> bool:
    retry = stage.spec.retry
    if verdict is Verdict.SUCCEEDED or stage.halted:
        return False
    return verdict in retry.on and unit.tried < retry.times


def _leave_open(
    plan: Plan, stage: Stage, unit: Unit, end: End, *, delay_s: float, counts: bool = False
) -> None:
    end = msgspec.structs.replace(end, final=False, counts=counts)
    seq = plan.write(end)
    unit.add_end(end)
    if counts:
        plan.await_sync(seq, stage, end)
    if stage.halted and end.stopped_for is not StopReason.USER:
        skip(plan, stage, unit, "not started: the system was short of resources")
        return
    plan.queue(stage, unit, plan.now + delay_s if delay_s else 0.0)


@seam("wait out a shortage")
def _compute_shortage_delay_s(unit: Unit) -> float:
    unit.shortages += 1
    return min(_SHORTAGE_DELAY_S * 2.0**unit.shortages, _SHORTAGE_DELAY_MAX_S)


# --- starts ------------------------------------------------------------------------------------


def fill_slots(plan: Plan) -> None:
    """Start the units that fit, later stages first: they finish work that was begun."""
    shortage = plan.pacing.shortage
    if shortage is not None and shortage.may_be_over(plan.now):
        plan.pacing.shortage = shortage = None
    for stage in plan.pacing.stages:
        stage.look_at = None
    for stage in plan.later_first:
        while stage.ready and not plan.slots.are_taken and stage.has_room():
            if shortage is not None and not shortage.allowance:
                return
            if stage.spec.pace is not None and holds_back(plan, stage, stage.spec.pace):
                break
            if not _try_start(plan, stage, stage.ready[0]):
                break
            stage.ready.popleft()
            if stage.spec.pace is not None:
                note_start(plan, stage, stage.spec.pace)
            if shortage is not None:
                shortage.allowance -= 1


def _try_start(plan: Plan, stage: Stage, unit: Unit) -> bool:
    placement = plan.slots.place(stage.needs(unit, plan.capacity.memory_bytes))
    if placement is None:
        return False
    unit.last_number += 1
    attempt = AttemptId(unit.spec.id, unit.last_number)
    deadline = None if stage.limit_s is None else plan.now + stage.limit_s
    unit.state = Running(attempt, placement, deadline, plan.now)
    if deadline is not None:
        plan.deadlines.add(deadline, unit)
    plan.live[attempt] = (stage, unit)
    stage.tally.running += 1
    plan.summary.running += 1
    plan.write(_make_launch(unit, attempt, plan.wall, placement))
    aside = _find_aside(stage, unit)
    older = aside is not None or any(one.unchanged for one in unit.spec.outputs)
    vouched = _find_last_outputs(unit) if older else ()
    plan.outbox.append(Start(Task(attempt, unit.spec, placement, stage.rules, aside, vouched)))
    return True


def _find_aside(stage: Stage, unit: Unit) -> Optional[Aside]:
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


def _find_last_outputs(unit: Unit) -> Tuple[Reading, ...]:
    """Return the outputs of a unit's last success, of this run or an earlier one."""
    past = unit.past
    success = None if past is None or past.success is None else past.success.last
    for end in unit.ends:
        if end.verdict is Verdict.SUCCEEDED:
            success = end
    return () if success is None else success.outputs


# --- records -----------------------------------------------------------------------------------


def _make_launch(unit: Unit, attempt: AttemptId, at: float, placement: Placement) -> Launch:
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


def _end(
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
        remarks=fact.remarks + describe_memory(used, placement.memory_bytes),
        threads=count_threads(unit.spec, placement),
    )

"""How a unit begins and ends: kept, held, blocked, queued, skipped or given a verdict.

A verdict has consequences at once: units that follow it are released, and a policy may end more.
"""

from typing import Iterable, Optional

import msgspec

from procsup.core.ends import see
from procsup.core.events import Hold, Rerun, Reuse, Standing
from procsup.core.outcome import NO_LEFTOVER_FILES, StopReason, Verdict
from procsup.core.plan.leftover_notes import note_leftovers
from procsup.core.plan.policies import explain_enough, find_halted
from procsup.core.plan.reuse import (
    explain_run,
    find_kept,
    has_used,
    is_in_doubt,
    is_newer,
    mark_same,
    still_stands,
)
from procsup.core.plan.state import Plan, Stage
from procsup.core.plan.stops import stop_all
from procsup.core.plan.units import Blocked, Done, Unit, Waiting
from procsup.core.records import End, Planned, Seen
from procsup.core.replay import UnitHistory
from procsup.core.slots import explain_never

IN_DOUBT = Rerun("looked at again")


# --- the beginning -----------------------------------------------------------------------------


def place_unit(plan: Plan, stage: Stage, unit: Unit, standing: Standing) -> None:
    """Its stage is open: decide about the unit, block it by other units, or skip it."""
    if not isinstance(unit.state, Blocked):
        return  # it was cancelled, or an earlier unit's verdict has halted the stage
    followed = plan.list_followed(unit.spec)
    bad = next((one for one in followed if one.failed), None)
    if bad is not None:
        _skip_after(plan, stage, unit, bad, standing)
    elif not block(unit, followed, standing):
        decide_unit(plan, stage, unit, standing)


def block(unit: Unit, followed: Iterable[Unit], standing: Standing) -> bool:
    """Block a unit until these units are done; false if they are done already."""
    open_ones = [one for one in followed if not isinstance(one.state, Done)]
    for one in open_ones:
        others = one.dependents or ()
        one.dependents = [*(other for other in others if other is not unit), unit]
    if open_ones:
        unit.state = Blocked(len(open_ones), standing)
    return bool(open_ones)


def decide_unit(
    plan: Plan, stage: Stage, unit: Unit, standing: Standing, *, looked: bool = False
) -> None:
    """All units and stages before it are done: keep the unit, queue it or leave it aside."""
    kept_as = find_kept(unit, standing)
    if plan.selector is not None and not plan.selector(unit.spec):
        _hold(plan, stage, unit, standing, kept_as)
    elif stage.unfit and unit.spec.id in stage.unfit:
        give_verdict(plan, stage, unit, make_not_started(plan, unit, stage.unfit[unit.spec.id]))
    elif standing.keeps_verdict and kept_as is not None and is_newer(plan, stage, unit, kept_as):
        _keep(plan, stage, unit, kept_as, standing)
    elif not looked and is_in_doubt(plan, stage, unit, standing):
        unit.state = Blocked(0, IN_DOUBT)
        plan.in_doubt.setdefault(stage.name, []).append(unit.spec.id)
    elif _is_aside(standing) and has_used(plan, stage, unit, plan.base_seq):
        plan.leave_aside(stage, unit)
    else:
        queue(plan, stage, unit, explain_run(plan, stage, unit, standing))


def _is_aside(standing: Standing) -> bool:
    return isinstance(standing, Hold) and not standing.keeps_verdict


def queue(plan: Plan, stage: Stage, unit: Unit, why: Rerun) -> None:
    """Queue a unit, for this reason, unless it can never fit."""
    never = _find_why_never(plan, stage, unit)
    if never is not None:
        cause = f"{never}: ask for less, or raise `capacity`"
        give_verdict(plan, stage, unit, make_not_started(plan, unit, cause))
        return
    stage.reasons[why.reason] = stage.reasons.get(why.reason, 0) + 1
    if plan.reruns is not None:
        plan.reruns[unit.spec.id] = why
    note_leftovers(plan, stage, unit.spec)
    plan.queue(stage, unit)


def _find_why_never(plan: Plan, stage: Stage, unit: Unit) -> Optional[str]:
    """Return why it can never fit, None if it can; cached, since many units need the same."""
    needs = (unit.spec.cpus, unit.spec.memory_bytes, unit.tried)
    if needs != stage.room_for:
        why = explain_never(stage.needs(unit, None), plan.capacity)
        if why is not None:
            return why
        stage.room_for = needs
    return None


def _keep(plan: Plan, stage: Stage, unit: Unit, history: UnitHistory, standing: Standing) -> None:
    """Keep a unit with the verdict of `history`: its last verdict, or its last success."""
    verdict = history.verdict
    if verdict is None:
        raise AssertionError(f"{unit.spec.id} is kept, and has no verdict")
    unit.packed = history.packed
    unit.stale = isinstance(standing, Reuse) and standing.stale
    unit.kept = verdict is Verdict.SUCCEEDED
    _see(plan, stage, unit, standing)
    plan.decide(stage, unit, verdict, history.made_seq)
    kept = (stage.name, unit.stale, history is not unit.past)
    plan.kept.setdefault(kept, []).append(unit.spec.id)
    _release(plan, unit)


def _see(plan: Plan, stage: Stage, unit: Unit, standing: Standing) -> None:
    """Record new readings and leftover files of a kept unit."""
    name = unit.spec.id
    found = standing if isinstance(standing, Reuse) else Reuse()
    known = plan.history.leftover_files.get(name, NO_LEFTOVER_FILES)
    now = known if found.leftover_files is None else found.leftover_files
    if found.seen or now != known:
        news = Seen(name, found.seen, None if now == known else now)
        plan.write(news)
        unit.packed = see(unit.packed, name, news.readings, news.leftover_files)
    if now.count:
        stage.tally.leftover_files[name] = now


def _hold(
    plan: Plan, stage: Stage, unit: Unit, standing: Standing, history: Optional[UnitHistory]
) -> None:
    """Keep the verdict of a unit that is not selected if it is still valid, else leave it aside."""
    if history is not None and still_stands(plan, stage, unit, standing, history):
        _keep(plan, stage, unit, history, standing)
    else:
        plan.leave_aside(stage, unit)


# --- the end -----------------------------------------------------------------------------------


def give_verdict(plan: Plan, stage: Stage, unit: Unit, end: End) -> None:
    """Give a unit the verdict of this end, with all that follows from it."""
    end = mark_same(end, unit)
    seq = plan.write(end)
    unit.add_end(end)
    unit.tried = 0
    plan.await_sync(seq, stage, end)
    plan.decide(stage, unit, end.verdict, end.same_as or seq)
    _release(plan, unit)
    if end.verdict.is_failure:
        enforce_policies(plan, stage)
    end_if_enough(plan, stage)


def imagine_success(plan: Plan, stage: Stage, unit: Unit) -> None:
    """Continue as if it had succeeded with new outputs; nothing is written."""
    plan.seq += 1
    plan.decide(stage, unit, Verdict.SUCCEEDED, plan.seq)
    _release(plan, unit)


def _release(plan: Plan, unit: Unit) -> None:
    """Unblock or skip the units that follow this one, which has its verdict."""
    dependents, unit.dependents = unit.dependents, None
    for other in dependents or ():
        state, stage = other.state, plan.get_stage(other)
        if not isinstance(state, Blocked) or state.standing is None:
            continue  # skipped or cancelled meanwhile
        if unit.failed:
            _skip_after(plan, stage, other, unit, state.standing)
        elif state.left > 1:
            other.state = Blocked(state.left - 1, state.standing)
        else:
            decide_unit(plan, stage, other, state.standing)


def _skip_after(plan: Plan, stage: Stage, unit: Unit, bad: Unit, standing: Standing) -> None:
    if plan.selector is None or plan.selector(unit.spec):
        skip(plan, stage, unit, f"unit {bad.spec.id} did not succeed")
    else:
        _hold(plan, stage, unit, standing, unit.past)


def skip(plan: Plan, stage: Stage, unit: Unit, cause: str) -> None:
    """Give up on a unit: the verdict is that of its last counted attempt, or SKIPPED."""
    last = unit.ends[-1] if unit.packed else None
    if last is not None and _may_decide(last):
        end = msgspec.structs.replace(last, final=True)
    else:
        end = _make_unstarted(plan, unit, Verdict.SKIPPED, cause)
    give_verdict(plan, stage, unit, end)


def cancel(plan: Plan, stage: Stage, unit: Unit, cause: str) -> None:
    """Cancel a unit before it starts."""
    give_verdict(plan, stage, unit, _make_unstarted(plan, unit, Verdict.CANCELLED, cause))


def make_not_started(plan: Plan, unit: Unit, cause: str) -> End:
    """Return the end of a unit that cannot be started, for this cause."""
    return _make_unstarted(plan, unit, Verdict.NOT_STARTED, cause)


def _make_unstarted(plan: Plan, unit: Unit, verdict: Verdict, cause: str) -> End:
    fingerprint = unit.spec.fingerprint
    return End(unit.spec.id, 0, verdict, plan.wall, cause=cause, fingerprint=fingerprint)


def _may_decide(last: End) -> bool:
    """Whether a unit that is not tried again has the verdict of its last attempt.

    An earlier success does not stand for a unit that was to run again.
    """
    return last.counts and last.attempt > 0 and last.verdict is not Verdict.SUCCEEDED


def enforce_policies(plan: Plan, stage: Stage) -> None:
    """Apply `on-failure` after a unit of this stage failed."""
    halted, do = find_halted(plan, stage)
    for one in halted:
        one.halted = True
    for one in halted:
        pass_over(plan, one, f'not started, since on-failure = "{do}"')
        if do == "stop":
            stop_all(plan, StopReason.POLICY, one)


def end_if_enough(plan: Plan, stage: Stage) -> None:
    """Apply `enough`: the units that are left are skipped, and running ones stopped."""
    why = explain_enough(stage)
    if not why or stage.spec.enough is None:
        return
    stage.tally.enough = why
    pass_over(plan, stage, f"not needed, {why}")
    if stage.spec.enough.do == "stop":
        stop_all(plan, StopReason.POLICY, stage, why=why)


def pass_over(plan: Plan, stage: Stage, cause: str) -> None:
    """Start no more units of a stage: waiting ones are skipped."""
    stage.halted = True
    stage.ready.clear()
    stage.standings = []
    if stage.tally.grows:  # units that are not made yet do not belong to the run
        stage.was_cut = True
        plan.set_growing(stage, grows=False)
        plan.write(Planned(stage.name, [], True))
    if not stage.expanded:
        plan.admit(stage, [])
        stage.passed_over = True
        stage.tally.problem = cause
        plan.write(Planned(stage.name, [], True))
        return
    for unit in stage.units:
        if isinstance(unit.state, (Blocked, Waiting)):
            skip(plan, stage, unit, cause)

"""The order of stages: planned, unblocked, withdrawn, published; and the end of a sitting.

Withdrawals and publications run on a side thread, one after another. No unit of a stage starts
before its withdrawal is done. After the order to publish a stage it does not change any more;
once it is published, it is final for the stages after it.
"""

from typing import Dict, List

import msgspec

from procsup.core.events import (
    Expand,
    Expanded,
    Publish,
    Published,
    Synced,
    TakenBack,
    Weigh,
    Weighed,
    Withdraw,
)
from procsup.core.keep import ASKED, FRESH
from procsup.core.making import collect_made
from procsup.core.outcome import Verdict
from procsup.core.plan.leftover_notes import find_leftovers_before
from procsup.core.plan.news import format_stage_news
from procsup.core.plan.reuse import find_made_before
from procsup.core.plan.state import Plan, Stage, Withdrawal
from procsup.core.plan.summary import EarlyEnd, StageStatus
from procsup.core.plan.units import Blocked, Unit
from procsup.core.plan.verdicts import (
    IN_DOUBT,
    decide_unit,
    end_if_enough,
    enforce_policies,
    give_verdict,
    make_not_started,
    pass_over,
    place_unit,
)
from procsup.core.records import End, Kept, Planned, RunFinal, StageFinal, Withdrawn
from procsup.core.spec import UnitSpec, list_sources
from procsup.core.text import say_when_units_known
from procsup.core.versions import find_newest

_CHUNK = 500  # units in one record
_AHEAD = 200  # with so many waiting units of a growing stage, no more are requested


# --- a stage's plan ----------------------------------------------------------------------------


def on_expanded(plan: Plan, fact: Expanded) -> None:
    """The units of a stage are known, or why there are none.

    A stage with stages before it gets two of these facts if its units can be known early: one at
    the start, and one when the stages before it are done. A stage that grows gets many.
    """
    stage = plan.by_name[fact.stage]
    expanding = stage.tally.status == StageStatus.EXPANDING
    if stage.tally.grows:
        _grow(plan, stage, fact)
    elif not (stage.halted or (stage.expanded and not expanding)):
        _take(plan, stage, fact)
        if expanding and not fact.problem:
            _open(plan, stage)
    _check_selectors(plan)


def _take(plan: Plan, stage: Stage, fact: Expanded) -> None:
    if fact.problem:
        _refuse(plan, stage, fact.problem)
        return
    stage.run(fact.program)
    stage.standings = list(fact.standings)
    stage.unfit = dict(fact.unfit)
    stage.tally.news += fact.notes
    if stage.expanded:
        return
    plan.set_growing(stage, grows=not fact.last)
    _admit(plan, stage, fact)


def _grow(plan: Plan, stage: Stage, fact: Expanded) -> None:
    """Take more units of a stage; an error in one of them ends the sitting."""
    stage.is_asked = False
    if fact.problem:
        plan.complaint = plan.complaint or fact.problem
        plan.end_early(EarlyEnd.DRAINING, fact.problem)
        return
    if fact.unsure and plan.summary.ending >= EarlyEnd.INTERRUPTED:
        # What interrupted this program may have ended the one that makes the units, too.
        fact = msgspec.structs.replace(fact, last=False)
    plan.set_growing(stage, grows=not fact.last)
    stage.unfit.update(fact.unfit)
    stage.tally.news += fact.notes
    units = _admit(plan, stage, fact)
    if stage.is_open:
        for unit, standing in zip(units, fact.standings):
            place_unit(plan, stage, unit, standing)
    else:
        stage.standings += fact.standings
    if fact.last:
        enforce_policies(plan, stage)
    if stage.is_open:
        end_if_enough(plan, stage)


def _admit(plan: Plan, stage: Stage, fact: Expanded) -> List[Unit]:
    units = [_make_unit(plan, spec) for spec in fact.units]
    plan.admit(stage, units)
    _write_plan(plan, fact)
    for spec, standing in zip(fact.units, fact.standings):
        is_named = plan.selector is not None and plan.selector(spec)
        if standing.reason == ASKED or (standing.reason == FRESH and is_named):
            record_request(plan, spec.id)
    return units


def _make_unit(plan: Plan, spec: UnitSpec) -> Unit:
    unit, past = Unit(spec), plan.history.units.get(spec.id)
    if past is not None:
        unit.past, unit.last_number = past, past.last_number
        if past.generation == plan.history.generation:
            unit.packed, unit.tried = past.packed, past.tried
    return unit


def _write_plan(plan: Plan, fact: Expanded) -> None:
    """Write these units of a stage's plan, in one or more records."""
    if plan.reruns is not None:
        return  # a rehearsal writes nothing, and these records are slow to make
    units = fact.units
    for start in range(0, max(len(units), 1), _CHUNK):
        end = start + _CHUNK
        some, standings = units[start:end], fact.standings[start:end]
        # Kept units have the same arguments and parameters as in an earlier plan.
        same = fact.standings and all(one.keeps_verdict for one in standings)
        made = None if same else collect_made(some, plan.spec.folder)
        ids = [unit.id for unit in some]
        plan.write(Planned(fact.stage, ids, fact.last and end >= len(units), made=made))


def record_request(plan: Plan, unit_id: str) -> None:
    """Record that a retry of a unit was requested: no resume keeps its old verdict."""
    end = End(unit_id, 0, Verdict.CANCELLED, plan.wall, cause="asked to run again")
    plan.write(msgspec.structs.replace(end, final=False, counts=False))


def _refuse(plan: Plan, stage: Stage, problem: str) -> None:
    """The stage cannot be run: units that were planned are not started."""
    plan.write(Planned(stage.name, list(stage.by_id), True, problem))
    stage.tally.problem = problem
    if not stage.expanded:
        plan.admit(stage, [])
    stage.standings = []
    plan.set_status(stage, StageStatus.OPEN)
    for unit in stage.units:
        give_verdict(plan, stage, unit, make_not_started(plan, unit, problem))
    enforce_policies(plan, stage)


def _open(plan: Plan, stage: Stage) -> None:
    """The stages before it are done: keep the results that are still valid, queue the rest."""
    plan.set_status(stage, StageStatus.OPEN)
    stage.made_before = find_made_before(plan, stage)
    find_leftovers_before(plan, stage)
    for unit, standing in zip(stage.units, stage.standings):
        place_unit(plan, stage, unit, standing)
    if stage.upstream and not stage.spec.unit_wise:
        stage.tally.news += format_stage_news(stage.spec, stage.tally, stage.reasons)
    stage.standings = []
    end_if_enough(plan, stage)  # what is kept counts


def _check_selectors(plan: Plan) -> None:
    """Start nothing more if a selector selects no unit of any stage."""
    later = [name for name, why in explain_unknown(plan).items() if why]
    for selection in plan.named:
        plan.complaint = plan.complaint or selection.find_complaint(later)
    if plan.complaint:
        plan.end_early(EarlyEnd.DRAINING, plan.complaint)


def find_doubt(plan: Plan) -> str:
    """Return a sentence about a selector that selects none of the units known by now.

    Empty if all select one, and if the sitting was ended from outside.
    """
    if plan.summary.ending > EarlyEnd.SELECTION:
        return ""
    for selection in plan.named:
        selection.set_stages(explain_unknown(plan))
    return next(filter(None, (selection.find_doubt() for selection in plan.named)), "")


def explain_unknown(plan: Plan) -> Dict[str, str]:
    """Return for each stage why its units are not known; empty if they are."""
    return {stage.name: _explain_unknown(plan, stage) for stage in plan.stages}


def _explain_unknown(plan: Plan, stage: Stage) -> str:
    if stage.tally.planned or (stage.expanded and not stage.tally.problem):
        return ""
    if stage.tally.problem:
        return f"the units of stage {stage.name} are not known: {stage.tally.problem}"
    due = [name for name in stage.upstream if not plan.by_name[name].tally.closed]
    return say_when_units_known(stage.name, due or stage.upstream)


# --- facts -------------------------------------------------------------------------------------


def on_weighed(plan: Plan, fact: Weighed) -> None:
    """Apply the results of a second comparison to the units that still wait for them."""
    plan.looking -= 1
    stage = plan.by_name[fact.stage]
    for name, standing in fact.standings.items():
        unit = stage.by_id[name]
        if isinstance(unit.state, Blocked) and unit.state.standing is IN_DOUBT:
            decide_unit(plan, stage, unit, standing, looked=True)


def on_synced(plan: Plan, fact: Synced) -> None:
    """Records are on disk: the ends in them may be shown."""
    plan.settle(fact.seq)


def on_taken_back(plan: Plan, fact: TakenBack) -> None:
    """The older manifests of these stages are withdrawn."""
    plan.summary.withdrawing -= 1
    for name in fact.stages:
        plan.by_name[name].withdrawal = Withdrawal.DONE


def on_published(plan: Plan, fact: Published) -> None:
    """The manifest of a stage or of the run is published."""
    if fact.stage is None:
        plan.close(plan.run_status or "")
        return
    stage = plan.by_name[fact.stage]
    plan.set_status(stage, stage.outcome or stage.tally.status)


# --- from stage to stage -----------------------------------------------------------------------


def settle_stages(plan: Plan) -> None:
    """Unblock, finish and publish every stage that is ready; withdraw those that will run again.

    There may be many stages: they are examined only if one may have changed.
    """
    has_changed = goes_on = plan.take_change()
    while goes_on:
        goes_on = True in [_advance(plan, stage) for stage in plan.stages]
    _weigh_again(plan)
    _record_kept(plan)
    if has_changed:
        _withdraw(plan)


def _advance(plan: Plan, stage: Stage) -> bool:
    if stage.tally.closed:
        return False
    if stage.is_complete() and not stage.standings:
        _finish(plan, stage)
        return True
    if stage.tally.status == StageStatus.BLOCKED and _is_unblocked(plan, stage):
        _unblock(plan, stage)
        return True
    return False


def _is_unblocked(plan: Plan, stage: Stage) -> bool:
    if not stage.upstream:
        return stage.expanded
    if plan.summary.ending:
        return False
    followed = _list_followed(stage)
    before = [(name, plan.by_name[name]) for name in stage.upstream]
    return all(one.is_open if name in followed else one.tally.final for name, one in before)


def _list_followed(stage: Stage) -> List[str]:
    """Return the stages that its units follow one by one, which may still run when it opens."""
    if not stage.spec.unit_wise:
        return []
    return [name for name in stage.spec.for_each if name not in stage.whole_upstream]


def _unblock(plan: Plan, stage: Stage) -> None:
    bad = next((name for name in stage.upstream if not _lets_on(plan, name, stage)), None)
    if bad is not None:
        plan.set_status(stage, StageStatus.OPEN)
        pass_over(plan, stage, f"stage {bad} did not succeed")
        return
    if not stage.upstream:
        _open(plan, stage)
        return
    plan.set_status(stage, StageStatus.EXPANDING)
    outputs = {name: plan.by_name[name].outputs() for name in list_sources(stage.spec)}
    made = find_newest(find_made_before(plan, stage).values())
    moving = any(plan.by_name[name].may_move for name in stage.spec.for_each)
    plan.outbox.append(Expand(stage.name, outputs, made, moving))


def _lets_on(plan: Plan, name: str, stage: Stage) -> bool:
    """Whether an earlier stage allows a later one to begin."""
    before = plan.by_name[name]
    if name not in stage.whole_upstream:
        return not before.passed_over and not (before.tally.problem and not before.tally.planned)
    tolerant = any(one.stage == name and one.when == "finished" for one in stage.spec.after)
    return tolerant or before.tally.status == StageStatus.SUCCEEDED


def ask_for_units(plan: Plan) -> None:
    """Request more units of the stages that grow, before all known ones have started."""
    for stage in plan.growing:
        has_room = stage.spec.is_queue or len(stage.ready) < _AHEAD
        if has_room and stage.is_open and not stage.is_asked:
            stage.is_asked = True
            plan.outbox.append(Expand(stage.name))


def _weigh_again(plan: Plan) -> None:
    """Order a second comparison of the units in doubt."""
    for stage, ids in plan.in_doubt.items():
        plan.looking += 1
        plan.outbox.append(Weigh(stage, tuple(ids)))
    plan.in_doubt.clear()


def _record_kept(plan: Plan) -> None:
    """Record the units that were kept since the last call."""
    for (stage, stale, restored), ids in plan.kept.items():
        for start in range(0, len(ids), _CHUNK):
            plan.write(Kept(stage, ids[start : start + _CHUNK], stale, restored))
    plan.kept.clear()


def _withdraw(plan: Plan) -> None:
    if plan.summary.ending:
        return  # nothing will be started
    known: Dict[str, bool] = {}
    names = [
        stage.name
        for stage in plan.stages
        if stage.withdrawal is Withdrawal.NOT_DUE
        and not stage.tally.closed
        and _is_outdated(plan, stage, known)
    ]
    if not names:
        return
    for name in names:
        plan.by_name[name].withdrawal = Withdrawal.ORDERED
    plan.summary.withdrawing += 1
    plan.write(Withdrawn(names))
    plan.outbox.append(Withdraw(tuple(names)))


def _is_outdated(plan: Plan, stage: Stage, known: Dict[str, bool]) -> bool:
    """Whether an older manifest of a stage is outdated: units of it, or of one before it, will run.

    Units that `--only` leaves aside will not run, but differ from that manifest, too. So do those
    that are still to come.
    """
    if stage.name not in known:
        known[stage.name] = (
            bool(stage.ready)
            or stage.left_aside
            or stage.tally.grows
            or any(not standing.keeps_verdict for standing in stage.standings)
            or any(_is_outdated(plan, plan.by_name[name], known) for name in stage.upstream)
        )
    return known[stage.name]


def _finish(plan: Plan, stage: Stage) -> None:
    _record_kept(plan)
    stage.outcome = stage.status()
    plan.set_status(stage, StageStatus.PUBLISHING)
    plan.later_first.remove(stage)
    counts = {verdict.value: number for verdict, number in stage.tally.verdicts.items()}
    plan.write(StageFinal(stage.name, stage.outcome.word, counts, stage.tally.enough))
    plan.outbox.append(Publish(stage.name, stage.outcome.word))


# --- the end of the sitting --------------------------------------------------------------------


def close_if_over(plan: Plan) -> None:
    """Publish the run if all of it is final; close the sitting if no unit can continue.

    The run is published in one queue with its stages, so it comes after them. Like a stage, it does
    not change after this order.
    """
    if plan.run_status is not None or plan.done or not plan.is_idle:
        return
    if all(stage.tally.closed for stage in plan.stages):
        good = all(stage.outcome == StageStatus.SUCCEEDED for stage in plan.stages)
        plan.run_status = "succeeded" if good else "failed"
        plan.write(RunFinal(plan.run_id, plan.run_status, plan.wall))
        plan.outbox.append(Publish(None, plan.run_status))
    elif _is_answer_due(plan):
        return
    elif plan.summary.ending:
        plan.close("")
    elif not _can_go_on(plan):
        plan.end_early(EarlyEnd.SELECTION, "only the selected units were asked for")
        plan.close("")


def _is_answer_due(plan: Plan) -> bool:
    """Whether a withdrawal or publication is not done yet."""
    if plan.summary.withdrawing:
        return True
    return any(stage.tally.status == StageStatus.PUBLISHING for stage in plan.stages)


def _can_go_on(plan: Plan) -> bool:
    if plan.looking or plan.growing or plan.deadlines.next() is not None:
        return True
    waiting = [stage for stage in plan.stages if not stage.tally.closed]
    return any(stage.ready or stage.tally.status == StageStatus.EXPANDING for stage in waiting)

"""Requests while the run goes on: stop, drain, retry; and interrupts."""

from collections import deque
from typing import Dict, List, Optional, Sequence, Set, Tuple

from procsup.core.events import Asked, Interrupted, Rerun, TimeLimitReached
from procsup.core.keep import ASKED
from procsup.core.outcome import NO_RETRY, StopReason, Verdict
from procsup.core.plan.stages import explain_unknown, record_request
from procsup.core.plan.state import Plan, Stage
from procsup.core.plan.stops import call_off, kill_all, shorten_grace, stop_all
from procsup.core.plan.summary import EarlyEnd
from procsup.core.plan.units import (
    BLOCKED,
    Blocked,
    Done,
    Inspecting,
    Running,
    Stopping,
    Unit,
    Waiting,
)
from procsup.core.plan.verdicts import block, cancel, queue
from procsup.core.records import ControlReply
from procsup.core.selectors import Facts, Nameable, Selection, make_facts
from procsup.core.text import count_noun
from procsup.core.wording import BY_REQUEST

Picked = List[Tuple[Stage, Unit]]

_LATER = "retry it when the run has ended"


def on_interrupted(plan: Plan, fact: Interrupted) -> None:
    """Stop all running units; a second interrupt, or one without a signal number, kills them."""
    if plan.run_status is not None:
        return  # nothing is live and the run is final: its exit code is that of its outcome
    again = plan.summary.ending >= EarlyEnd.INTERRUPTED
    plan.interrupted_by = fact.signum if fact.signum is not None else plan.interrupted_by
    why = fact.reason if fact.signum is None else f"interrupted by {fact.reason}"
    plan.write(ControlReply("", "stop", True, why))
    plan.end_early(EarlyEnd.INTERRUPTED, why)
    if again or fact.signum is None:
        kill_all(plan, why)
    else:
        stop_all(plan, StopReason.USER, why=why)


def on_time_limit(plan: Plan, fact: TimeLimitReached) -> None:
    """Stop all running units, as a request to stop does; one that is over, or ends, goes on so."""
    if plan.run_status is not None or plan.summary.ending >= EarlyEnd.STOPPING:
        return
    plan.write(ControlReply("", "stop", True, fact.reason))
    plan.end_early(EarlyEnd.STOPPING, fact.reason)
    stop_all(plan, StopReason.USER, why=fact.reason)


def on_asked(plan: Plan, fact: Asked) -> None:
    """Carry out a request and answer it."""
    units: Tuple[str, ...] = ()
    if fact.problem:
        ok, message = False, fact.problem
    elif plan.run_status is not None and fact.verb in ("stop", "stop-units", "drain"):
        ok, message = True, f"the run is final ({plan.run_status}): nothing of it runs any more"
    elif fact.verb == "stop":
        ok, message = True, _stop(plan, fact.grace_s, fact.why or BY_REQUEST)
    elif fact.verb == "drain":
        ok, message = True, _drain(plan)
    elif fact.verb == "stop-units":
        ok, message, units = _stop_units(plan, fact.units, fact.grace_s)
    elif fact.verb == "retry":
        ok, message = _retry(plan, fact.units)
    else:
        ok, message = False, f"unknown request {fact.verb!r}"
    plan.write(ControlReply(fact.request, fact.verb, ok, message, units))


def _stop(plan: Plan, grace_s: Optional[float], why: str) -> str:
    plan.grace_s = grace_s
    plan.end_early(EarlyEnd.STOPPING, why)
    shorten_grace(plan, grace_s)
    stop_all(plan, StopReason.USER, why=why)
    return f"stopping {count_noun(plan.summary.running, 'running unit')}"


def _drain(plan: Plan) -> str:
    if plan.summary.ending > EarlyEnd.DRAINING:
        return f"nothing more is started: {plan.closing}"
    plan.end_early(EarlyEnd.DRAINING, "drained by request")
    running = count_noun(plan.summary.running, "running unit")
    return f"nothing more is started; {running} left to finish"


# --- stop of single units ----------------------------------------------------------------------


def _stop_units(
    plan: Plan, words: Sequence[str], grace_s: Optional[float]
) -> Tuple[bool, str, Tuple[str, ...]]:
    """Cancel units: running ones are asked to end, waiting ones get their verdict at once.

    Return whether it was done, a sentence, and the ids of the units that have not ended yet.
    """
    picked, complaint = pick(plan, words)
    if complaint:
        return False, complaint, ()
    live, waited = [], 0
    emptied: Set[str] = set()
    for stage, unit in picked:
        if isinstance(unit.state, (Running, Stopping)):
            call_off(plan, stage, unit, grace_s)
            live.append(unit.spec.id)
        elif isinstance(unit.state, (Blocked, Waiting)):
            cancel(plan, stage, unit, BY_REQUEST)
            waited += 1
            emptied.add(stage.name)
    for name in emptied:
        stage = plan.by_name[name]
        stage.ready = deque(unit for unit in stage.ready if isinstance(unit.state, Waiting))
    if not live and not waited:
        return True, "the selected units have ended already", ()
    said = [f"stopping {count_noun(len(live), 'running unit')}"] if live else []
    said += [f"{count_noun(waited, 'waiting unit')} cancelled"] if waited else []
    return True, ", ".join(said), tuple(live)


# --- retry -------------------------------------------------------------------------------------


def _retry(plan: Plan, words: Sequence[str]) -> Tuple[bool, str]:
    """Queue the selected units again and reset their tries; without selectors, all that failed.

    Return (False, the reason) and change nothing if one of them cannot be queued.
    """
    if plan.run_status is not None:
        return False, f"the run is final; {_LATER}"
    if plan.summary.ending:
        return False, f"nothing more is started: {plan.closing}; {_LATER}"
    if not words:
        found = _find_failed(plan)
        if not found:
            return True, "no unit has failed so far: there is nothing to retry"
    else:
        found, complaint = pick(plan, words)
        if complaint:
            return False, complaint
    decided = _find_decided_followers(plan, {unit.spec.id for _, unit in found})
    for stage, unit in found:
        bad = next((one.spec.id for one in plan.list_followed(unit.spec) if one.failed), None)
        why = _explain_refusal(stage, unit, bad, decided.get(unit.spec.id))
        if why is not None:
            return False, why
    for stage, unit in found:
        stage.reopen(unit)
        _requeue(plan, stage, unit)
    return True, f"{count_noun(len(found), 'unit')} queued again"


def _requeue(plan: Plan, stage: Stage, unit: Unit) -> None:
    """Queue a unit whose verdict was taken back, or block it by units that are not done yet."""
    record_request(plan, unit.spec.id)
    if not stage.is_open:
        unit.state = BLOCKED  # it is placed with the others of its stage
        return
    why = Rerun(ASKED)
    if not block(unit, plan.list_followed(unit.spec), why):
        queue(plan, stage, unit, why)


def _find_failed(plan: Plan) -> Picked:
    """Return the units that failed themselves (not skipped), in stages that are not final yet."""
    return [
        (stage, unit)
        for stage in plan.stages
        if not stage.tally.closed
        for unit in stage.units
        if isinstance(unit.state, Done) and unit.state.verdict not in NO_RETRY
    ]


def _explain_refusal(
    stage: Stage, unit: Unit, bad: Optional[str], decided: Optional[str]
) -> Optional[str]:
    """Say why a unit cannot go back into the queue now; None if it can.

    `bad` is a unit that it follows and that did not succeed; `decided` is one that follows it and
    has its verdict.
    """
    name = unit.spec.id
    if not isinstance(unit.state, Done):
        return f"unit {name} has no verdict yet: there is nothing to retry"
    if unit.state.verdict is Verdict.SUCCEEDED:
        return f"unit {name} has succeeded; {_LATER}"
    if stage.tally.closed:
        return f"stage {stage.name} is final; {_LATER}"
    if stage.halted or stage.tally.problem:
        return f"nothing more of stage {stage.name} is started; {_LATER}"
    if name in stage.unfit:
        return f"unit {name} could not start: {stage.unfit[name]}; {_LATER}"
    if unit.state.verdict is Verdict.SKIPPED:
        return f"unit {name} was skipped: retry the unit that it depends on, when the run has ended"
    if bad is not None:
        return f"unit {name} follows {bad}, which did not succeed: retry that first"
    if decided is not None:
        return f"unit {decided}, which follows {name}, is decided; {_LATER}"
    return None


def _find_decided_followers(plan: Plan, names: Set[str]) -> Dict[str, str]:
    """Return, for those of these units that have one, the first follower with a verdict."""
    found: Dict[str, str] = {}
    for stage in plan.stages:
        for other in stage.units:
            if other.spec.follows and isinstance(other.state, Done):
                for name in names.intersection(other.spec.follows):
                    found.setdefault(name, other.spec.id)
    return found


# --- selectors ---------------------------------------------------------------------------------


def pick(plan: Plan, words: Sequence[str]) -> Tuple[Picked, str]:
    """Return the selected units, and a complaint about a selector (empty if there is none)."""
    by_id: Dict[str, Tuple[Stage, Unit]] = {
        name: (stage, unit) for stage in plan.stages for name, unit in stage.by_id.items()
    }

    def read_facts(unit: Nameable) -> Facts:
        return _make_facts(by_id[unit.id][1], plan.now)

    selection = Selection(words, read_facts)
    for stage in plan.stages:
        if stage.expanded:
            selection.learn([unit.spec for unit in stage.units], stage.name)
    selection.set_stages(explain_unknown(plan))
    picked = [pair for pair in by_id.values() if selection(pair[1].spec)]
    complaint = selection.find_complaint()
    if complaint and any(stage.has_forgotten for stage in plan.stages):
        complaint += "; units that succeeded long ago cannot be named before the end of the run"
    return picked, complaint


def _make_facts(unit: Unit, now: float) -> Facts:
    state = unit.state
    if isinstance(state, (Running, Stopping, Inspecting)):
        return make_facts(unit.ends, running_s=max(now - state.since, 0.0))
    return make_facts(unit.ends)

"""A retry during the run: units that have failed go back into the queue."""

from typing import TYPE_CHECKING, Dict, Optional, Sequence, Set, Tuple

from procsup.core.outcome import Verdict
from procsup.core.picking import Picked, pick
from procsup.core.stages import Stage
from procsup.core.states import Done, Unit
from procsup.core.text import plural

if TYPE_CHECKING:
    from procsup.core.planner import Planner

_FINE = (Verdict.SUCCEEDED, Verdict.SKIPPED)
_LATER = "retry it when the run has ended"


def try_again(planner: "Planner", words: Sequence[str]) -> Tuple[bool, str]:
    """Queue units again and reset their tries: all of them, or (False, and why) none.

    The selectors select them; without selectors, all that have failed so far.
    """
    if planner.run_status is not None:
        return False, f"the run is final; {_LATER}"
    if planner.summary.ending:
        return False, f"nothing more is started: {planner.closing}; {_LATER}"
    if not words:
        found = _failed_so_far(planner)
        if not found:
            return True, "no unit has failed so far: there is nothing to retry"
    else:
        found, complaint = pick(planner, words)
        if complaint:
            return False, complaint
    decided = _decided_followers(planner, {unit.spec.id for _, unit in found})
    for stage, unit in found:
        why = _why_not(stage, unit, decided.get(unit.spec.id))
        if why is not None:
            return False, why
    for stage, unit in found:
        stage.reopen(unit)
        planner.admission.queue_again(stage, unit)
    return True, f"{plural(len(found), 'unit')} queued again"


def _failed_so_far(planner: "Planner") -> Picked:
    """Return the units that failed themselves (not skipped), in stages that are not final yet."""
    return [
        (stage, unit)
        for stage in planner.stages
        if not stage.tally.closed
        for unit in stage.units
        if isinstance(unit.state, Done) and unit.state.verdict not in _FINE
    ]


def _why_not(stage: Stage, unit: Unit, decided: Optional[str]) -> Optional[str]:
    """Say why a unit cannot go back into the queue now; None if it can.

    `decided` is a unit that follows it and has its verdict.
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
        return f"unit {name} was skipped: retry what it hangs on, when the run has ended"
    if decided is not None:
        return f"unit {decided}, which follows {name}, is decided; {_LATER}"
    return None


def _decided_followers(planner: "Planner", names: Set[str]) -> Dict[str, str]:
    """Return, for those of these units that have one, the first follower with a verdict."""
    found: Dict[str, str] = {}
    for stage in planner.stages:
        for other in stage.units:
            if other.spec.follows and isinstance(other.state, Done):
                for name in names.intersection(other.spec.follows):
                    found.setdefault(name, other.spec.id)
    return found

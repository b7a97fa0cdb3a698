"""Selects units of a running plan by the selectors of a request."""

from typing import TYPE_CHECKING, Dict, List, Sequence, Tuple

from procsup.core.selectors import Facts, Nameable, Selection, facts_of
from procsup.core.stages import Stage
from procsup.core.states import Inspecting, Running, Stopping, Unit
from procsup.core.text import known_when

if TYPE_CHECKING:
    from procsup.core.planner import Planner

Picked = List[Tuple[Stage, Unit]]


def pick(planner: "Planner", words: Sequence[str]) -> Tuple[Picked, str]:
    """Return the selected units, and a complaint about a selector (empty if there is none)."""
    by_id: Dict[str, Tuple[Stage, Unit]] = {
        name: (stage, unit) for stage in planner.stages for name, unit in stage.by_id.items()
    }

    def facts(unit: Nameable) -> Facts:
        return _facts(by_id[unit.id][1], planner.now)

    selection = Selection(words, facts)
    for stage in planner.stages:
        if stage.expanded or stage.units:
            selection.learn([unit.spec for unit in stage.units], stage.name)
    selection.set_stages({stage.name: _when_known(planner, stage) for stage in planner.stages})
    picked = [pair for pair in by_id.values() if selection(pair[1].spec)]
    return picked, selection.complaint()


def _when_known(planner: "Planner", stage: Stage) -> str:
    if stage.expanded or stage.units:
        return ""
    due = [name for name in stage.upstream if not planner.by_name[name].tally.closed]
    return f"the units of stage {stage.name} are {known_when(due or stage.upstream)}"


def _facts(unit: Unit, now: float) -> Facts:
    state = unit.state
    if isinstance(state, (Running, Stopping, Inspecting)):
        return facts_of(unit.ends, running_s=max(now - state.since, 0.0))
    return facts_of(unit.ends)

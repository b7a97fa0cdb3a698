"""Predicts what a sitting would do: runs the real planner without starting anything.

Units that would run are assumed to succeed and to make new outputs.
"""

from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from procsup.core.admission import Selector
from procsup.core.attempts import Attempts
from procsup.core.events import (
    Expand,
    Expanded,
    Fact,
    Order,
    Publish,
    Published,
    Standing,
    Synced,
    TakenBack,
    Withdraw,
)
from procsup.core.keep import INPUTS
from procsup.core.planner import Planner
from procsup.core.replay import History
from procsup.core.slots import Capacity
from procsup.core.spec import RunSpec, UnitSpec, upstream
from procsup.core.stages import Stage
from procsup.core.states import Aside, Done, Unit

ExpandLate = Callable[[Expand], Expanded]


class Foreseen(NamedTuple):
    """The prediction for a stage: its units and their standings; `problem`: why there are none.

    `known_after`: the stages that must run before its units are known.
    """

    units: Sequence[UnitSpec] = ()
    standings: Sequence[Standing] = ()
    known_after: Optional[Tuple[str, ...]] = None
    problem: str = ""


def rehearse(
    spec: RunSpec,
    capacity: Capacity,
    history: History,
    early: Mapping[str, Expanded],
    *,
    selector: Optional[Selector] = None,
    expand: Optional[ExpandLate] = None,
) -> Dict[str, Foreseen]:
    """Return the prediction for each stage, in the run file's order.

    `early` are the stages whose units are known now. `expand` expands a later stage if all
    stages before it are kept; without it, no later stage is expanded.
    """
    if selector is None and not _unfit(early) and _are_final(spec, early):
        return {name: Foreseen(fact.units, fact.standings) for name, fact in early.items()}
    return _Rehearsal(spec, capacity, history, early, selector, expand).play()


def _unfit(early: Mapping[str, Expanded]) -> bool:
    return any(fact.unfit for fact in early.values())


def _are_final(spec: RunSpec, early: Mapping[str, Expanded]) -> bool:
    """Whether no standing depends on what the units before it do.

    A unit that must run for a reason of its own runs for that reason.
    """
    if not any(map(upstream, spec.stages)):
        return True
    if any(stage.name not in early for stage in spec.stages):
        return False
    different = {id(one): one for fact in early.values() for one in fact.standings}
    return not any(one.kept or one.aside or one.reason in INPUTS for one in different.values())


class _Silent(Planner):
    """A planner whose records are not written."""

    def write_plan(
        self, stage: str, units: Sequence[UnitSpec], standings: Sequence[Standing]
    ) -> None:
        """Write nothing: the record of a plan is slow to make."""


class _Imagined(Attempts):
    """Predicts attempts instead of ordering them."""

    def __init__(self, planner: Planner) -> None:
        super().__init__(planner)
        self.whys: Dict[str, Standing] = {}  # of the units that would run

    def admit(self, stage: Stage, unit: Unit, why: Standing) -> None:
        """Record why it would run, and continue as if it had succeeded."""
        self.whys[unit.spec.id] = why
        self._planner.admission.imagine(stage, unit)


class _Rehearsal:
    def __init__(
        self,
        spec: RunSpec,
        capacity: Capacity,
        history: History,
        early: Mapping[str, Expanded],
        selector: Optional[Selector],
        expand: Optional[ExpandLate],
    ) -> None:
        self._planner = _Silent(spec, capacity, history, selector=selector)
        self._planner.attempts = self._imagined = _Imagined(self._planner)
        self._known = dict(early)
        self._expand = expand
        self._later: Dict[str, Tuple[str, ...]] = {}
        self._moved: Set[str] = set()  # later stages that a stage before them changes

    def play(self) -> Dict[str, Foreseen]:
        facts: List[Fact] = list(self._known.values())
        while facts and not self._planner.done:
            orders = self._planner.handle(facts, 0.0, 0.0)
            facts = [fact for order in orders for fact in self._answers(order)]
            if not self._planner.is_idle:
                facts.append(Synced(self._planner.seq))
        return {stage.name: self._foreseen(stage) for stage in self._planner.stages}

    def _answers(self, order: Order) -> List[Fact]:
        if isinstance(order, Withdraw):
            return [TakenBack(order.stages)]
        if isinstance(order, Publish):
            return [Published(order.stage)]
        return [self._expanded(order)] if isinstance(order, Expand) else []

    def _expanded(self, order: Expand) -> Expanded:
        """Answer with the stage's units if they are known or can be expanded, else with none."""
        name = order.stage
        if name in self._known:
            return self._known[name]
        stage = self._planner.by_name[name]
        moving = tuple(one for one in stage.upstream if self._moves(one))
        if self._expand is not None and not moving:
            self._known[name] = self._expand(order)
            return self._known[name]
        self._later[name] = moving or tuple(stage.upstream)
        if moving:
            self._moved.add(name)
            self._planner.seq += 1
            stage.newest_made = self._planner.seq
        return Expanded(name)

    def _moves(self, name: str) -> bool:
        """Whether a unit of a stage would run, as far as is known."""
        return name in self._moved or self._planner.by_name[name].may_move

    def _foreseen(self, stage: Stage) -> Foreseen:
        if stage.name in self._later or stage.name not in self._known:
            return Foreseen(known_after=self._later.get(stage.name, tuple(stage.upstream)))
        fact = self._known[stage.name]
        standings = [self._of(unit, at) for unit, at in zip(stage.units, fact.standings)]
        return Foreseen(fact.units, standings, problem=fact.problem)

    def _of(self, unit: Unit, found: Standing) -> Standing:
        """Return a unit's predicted standing, from its state."""
        if unit.kept:
            return found
        why = self._imagined.whys.get(unit.spec.id)
        if why is not None:
            return why
        if isinstance(unit.state, Aside):
            return Standing(False, found.reason, found.detail, aside=True)
        if not isinstance(unit.state, Done):
            return found
        past = unit.past
        if past is not None and unit.packed is past.packed:
            return Standing(True, found.reason, found.detail)
        return Standing(False, "cannot start", unit.ends[-1].cause, aside=True)

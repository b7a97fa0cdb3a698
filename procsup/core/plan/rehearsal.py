"""Predicts what a sitting would do: the planner itself, with no room to start anything.

Units that would run are assumed to succeed and to make new outputs.
"""

from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import msgspec

from procsup.core.events import (
    Expand,
    Expanded,
    Fact,
    Hold,
    Order,
    Publish,
    Published,
    Rerun,
    Standing,
    Synced,
    TakenBack,
    Withdraw,
)
from procsup.core.keep import INPUTS
from procsup.core.plan.reactor import handle
from procsup.core.plan.state import Plan, Selector, Stage
from procsup.core.plan.units import Aside, Blocked, Done, Unit
from procsup.core.plan.verdicts import imagine_success
from procsup.core.replay import History
from procsup.core.slots import Capacity
from procsup.core.spec import RunSpec, UnitSpec, list_upstream

ExpandLate = Callable[[Expand], Expanded]


class RehearsedStage(NamedTuple):
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
) -> Dict[str, RehearsedStage]:
    """Return the prediction for each stage, in the run file's order.

    `early` are the stages whose units are known now. `expand` expands a later stage if all
    stages before it are kept; without it, no later stage is expanded.
    """
    early = {name: msgspec.structs.replace(fact, last=True) for name, fact in early.items()}
    if selector is None and not _find_unfit(early) and _are_final(spec, early):
        return {name: RehearsedStage(fact.units, fact.standings) for name, fact in early.items()}
    return _Rehearsal(spec, capacity, history, early, selector, expand).play()


def _find_unfit(early: Mapping[str, Expanded]) -> bool:
    return any(fact.unfit for fact in early.values())


def _are_final(spec: RunSpec, early: Mapping[str, Expanded]) -> bool:
    """Whether no standing depends on units before it: then the planner need not be asked.

    A unit that must run for a reason of its own runs for that reason.
    """
    if not any(map(list_upstream, spec.stages)):
        return True
    if any(stage.name not in early for stage in spec.stages):
        return False
    different = {id(one): one for fact in early.values() for one in fact.standings}
    return not any(not isinstance(one, Rerun) or one.reason in INPUTS for one in different.values())


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
        no_room = msgspec.structs.replace(capacity, jobs=0)
        self._plan = Plan(spec, no_room, history, selector=selector)
        self._queued: Dict[str, Rerun] = {}  # why units would run, unless a policy ends them
        self._plan.reruns = self._queued
        self._reruns: Dict[str, Rerun] = {}  # of the units that would run
        self._known = dict(early)
        self._expand = expand
        self._later: Dict[str, Tuple[str, ...]] = {}
        self._moved: Set[str] = set()  # later stages that a stage before them changes

    def play(self) -> Dict[str, RehearsedStage]:
        plan = self._plan
        facts: List[Fact] = list(self._known.values())
        while facts and not plan.done:
            orders = handle(plan, facts, 0.0, 0.0)
            facts = [fact for order in orders for fact in self._answer(order)]
            if self._imagine_successes() or not plan.is_idle:
                facts.append(Synced(plan.seq))
        return {stage.name: self._collect_foreseen(stage) for stage in plan.stages}

    def _imagine_successes(self) -> bool:
        """Let all queued units succeed, also those that this queues."""
        is_any = False
        for stage in self._plan.stages:
            while stage.ready:
                is_any = True
                unit = stage.ready.popleft()
                self._reruns[unit.spec.id] = self._queued[unit.spec.id]
                imagine_success(self._plan, stage, unit)
        return is_any

    def _answer(self, order: Order) -> List[Fact]:
        if isinstance(order, Withdraw):
            return [TakenBack(order.stages)]
        if isinstance(order, Publish):
            return [Published(order.stage)]
        return [self._answer_expand(order)] if isinstance(order, Expand) else []

    def _answer_expand(self, order: Expand) -> Expanded:
        """Answer with the stage's units if they are known or can be expanded, else with none."""
        name = order.stage
        if name in self._known:
            return self._known[name]
        stage = self._plan.by_name[name]
        moving = tuple(one for one in stage.upstream if self._may_run(one))
        if self._expand is not None and not moving:
            self._known[name] = self._expand(order)
            return self._known[name]
        self._later[name] = moving or tuple(stage.upstream)
        if moving:
            self._moved.add(name)
            self._plan.seq += 1
            stage.newest_made = self._plan.seq
        return Expanded(name)

    def _may_run(self, name: str) -> bool:
        """Whether a unit of a stage would run, as far as is known."""
        return name in self._moved or self._plan.by_name[name].may_move

    def _collect_foreseen(self, stage: Stage) -> RehearsedStage:
        if stage.name in self._later or stage.name not in self._known:
            return RehearsedStage(known_after=self._later.get(stage.name, tuple(stage.upstream)))
        fact = self._known[stage.name]
        standings = [
            self._predict_standing(unit, at) for unit, at in zip(stage.units, fact.standings)
        ]
        return RehearsedStage(fact.units, standings, problem=fact.problem)

    def _predict_standing(self, unit: Unit, found: Standing) -> Standing:
        """Return a unit's predicted standing, from its state."""
        if unit.kept:
            return found
        why = self._reruns.get(unit.spec.id)
        if why is not None:
            return why
        if isinstance(unit.state, Aside):
            return Hold(found.reason, found.text)
        if isinstance(unit.state, Blocked) and (not isinstance(found, Hold) or found.keeps_verdict):
            return Hold("blocked", self._explain_block(unit))
        if not isinstance(unit.state, Done):
            return found
        past = unit.past
        if past is not None and unit.packed is past.packed:
            return Hold(found.reason, found.text, keeps_verdict=True)
        return Hold("cannot start", unit.ends[-1].cause)

    def _explain_block(self, unit: Unit) -> str:
        """Name the stage or unit that blocks a unit and that this sitting would not finish."""
        units = self._plan.list_followed(unit.spec)
        stages = self._plan.by_name[unit.spec.stage].upstream
        names = [one.spec.id for one in units if not isinstance(one.state, Done)]
        names += [name for name in stages if not self._plan.by_name[name].outcome]
        return f"it waits for {names[0]}" if names else ""

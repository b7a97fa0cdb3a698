"""What the planner does for one unit must not grow with their number, nor with what is over."""

import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest

from procsup.core.events import (
    Ended,
    Expanded,
    Fact,
    Inspected,
    Publish,
    Published,
    Rerun,
    Start,
    Synced,
    TakenBack,
    Withdraw,
    Write,
)
from procsup.core.outcome import AttemptId, Exited
from procsup.core.plan.reactor import handle
from procsup.core.plan.state import Plan
from procsup.core.plan.units import Unit
from procsup.core.replay import History
from procsup.core.slots import Capacity
from procsup.core.spec import OnFailure, Retry, RunSpec, StageSpec, UnitSpec

WALL = 1_700_000_000.0
TO_RUN = Rerun("new")


def unit(stage: str, number: int, **more: Any) -> UnitSpec:
    return UnitSpec(f"{stage}/{number}", stage, number, ("true",), "/", "f", **more)


def plan(stages: Dict[str, int], **settings: Any) -> Tuple[RunSpec, List[Fact]]:
    specs = tuple(StageSpec(name, **settings) for name in stages)
    spec = RunSpec("demo", None, "/", "/run", specs, on_failure=OnFailure("finish"))
    facts: List[Fact] = [
        Expanded(name, tuple(unit(name, n) for n in range(many)), (TO_RUN,) * many)
        for name, many in stages.items()
    ]
    return spec, facts


class Played:
    """A planner whose units end at once; `turns` is how often it was called, `done` what ended."""

    def __init__(self, spec: RunSpec, *, code: int = 0) -> None:
        self.plan = Plan(spec, Capacity(4.0), History())
        self.turns = 0
        self._code = code

    def to_the_end(self, facts: List[Fact], *, keep: Optional[AttemptId] = None) -> None:
        now = 0.0
        while not self.plan.done:
            orders = handle(self.plan, facts, now, WALL)
            self.turns, now = self.turns + 1, now + 0.001
            facts = []
            for order in orders:
                if isinstance(order, Start) and order.attempt != keep:
                    facts.append(Ended(order.attempt, Exited(self._code), WALL, WALL, 0.1, 7))
                    facts += [Inspected(order.attempt)] * (self._code == 0)
            if any(isinstance(order, Write) for order in orders):
                facts.append(Synced(self.plan.seq))
            facts += [TakenBack(order.stages) for order in orders if isinstance(order, Withdraw)]
            facts += [Published(order.stage) for order in orders if isinstance(order, Publish)]
            if not facts:
                return


def calls_of(act: Callable[[], None]) -> int:
    """Return how many functions, of Python and of C, were called."""
    counted = 0

    def count(_frame: Any, event: str, _arg: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.survives("F59")
@pytest.mark.parametrize(
    ("code", "settings"),
    [
        (0, {}),
        (0, {"timeout_s": 600.0}),
        (1, {}),
        (1, {"retry": Retry(2)}),
        (1, {"on_failure": OnFailure("drain", at_fraction=1.0)}),
    ],
)
def test_a_unit_costs_as_much_among_many_as_among_few(code: int, settings: Dict[str, Any]) -> None:
    def cost(many: int) -> float:
        spec, facts = plan({"s": many}, **settings)
        played = Played(spec, code=code)
        return calls_of(lambda: played.to_the_end(facts)) / many

    assert cost(3000) < 1.1 * cost(300)


def test_a_unit_costs_as_much_in_many_stages_as_in_few() -> None:
    def cost(many: int) -> float:
        spec, facts = plan({f"s{number}": 20 for number in range(many)})
        played = Played(spec)
        return calls_of(lambda: played.to_the_end(facts)) / (20 * many)

    # What is left of it is that a stage which becomes final looks at all others, once.
    assert cost(80) < 1.5 * cost(20)


def test_reminders_of_what_is_over_do_not_pile_up_behind_one_that_lives() -> None:
    spec, facts = plan({"s": 6000}, timeout_s=600.0)
    played = Played(spec)

    played.to_the_end(facts, keep=AttemptId("s/0", 1))

    assert played.plan.summary.stages["s"].done == 5999
    assert len(played.plan.deadlines) < 2100


@pytest.mark.survives("F59")
def test_a_unit_that_is_over_is_small() -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    spec, facts = plan({"s": 5000})
    played = Played(spec)
    tracemalloc.start()
    try:
        played.to_the_end(facts)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert played.plan.outcome == "succeeded"
    assert taken / 5000 < 600  # bytes beside its spec; 350 on CPython 3.11
    assert not hasattr(Unit(unit("s", 0)), "__dict__")

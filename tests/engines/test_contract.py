"""What every engine promises: played to the scripted one and to every real one."""

import os
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from procsup.core.events import Ended, Fact, Inspected, Start, Started, Stop
from procsup.core.outcome import AttemptId, Exited, NotStarted, Signaled, StopReason, Vanished
from procsup.core.slots import make_placement
from procsup.core.spec import UnitSpec
from procsup.core.task import Task
from procsup.host import system
from tests.support.engines import PROGRAM, Bench, HandClock, PipedBench, Script, ScriptedEngine

WINDOWS = os.name == "nt"
ENGINES = ["scripted", "local", "piped"] + ([] if WINDOWS else ["local-threads"])


class Stage:
    """An engine and the commands that it understands."""

    def __init__(self, engine: Any, now: Callable[[], float], folder: Path) -> None:
        self.engine = engine
        self.now = now
        self._folder = str(folder)

    def order(self, name: str, number: int = 1) -> Start:
        argv = {
            "good": (sys.executable, "-S", "-c", "pass"),
            "seven": (sys.executable, "-S", "-c", "raise SystemExit(7)"),
            "endless": (sys.executable, "-S", PROGRAM, "sleep"),
            "deaf": (sys.executable, "-S", PROGRAM, "ignore_term"),
            "missing": ("/no/such/program",),
        }[name]
        unit = UnitSpec(name, "s", 0, argv, self._folder, "f")
        return Start(Task(AttemptId(name, number), unit, make_placement("here", 1.0)))

    def facts_until(self, happened: Callable[[List[Fact]], bool]) -> List[Fact]:
        facts: List[Fact] = []
        limit = time.monotonic() + 20
        while not happened(facts):
            assert time.monotonic() < limit
            facts += self.engine.wait(self.now() + 5)
        return facts

    def end(self, attempt: AttemptId) -> List[Fact]:
        return self.facts_until(lambda facts: any(_ended(f) == attempt for f in facts))


def _ended(fact: Fact) -> Optional[AttemptId]:
    return fact.attempt if isinstance(fact, Ended) else None


@pytest.fixture(params=ENGINES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    if request.param == "scripted":
        clock = HandClock()
        scripts: Dict[str, Script] = {
            "seven": Script(Exited(7)),
            "endless": Script(after_s=None),
            "deaf": Script(after_s=None, heeds_stop=False),
            "missing": Script(NotStarted("program does not exist")),
        }
        yield Stage(ScriptedEngine(clock, scripts), clock.now, tmp_path)
        return
    if request.param == "piped":
        with PipedBench(tmp_path) as bench:
            yield Stage(bench.engine, time.monotonic, tmp_path)
        return
    way = "threads" if request.param == "local-threads" else ""
    with Bench(tmp_path, exits=system.exit_notifier(way)) as bench:
        yield Stage(bench.engine, time.monotonic, tmp_path)


def test_each_start_is_answered_by_exactly_one_end(stage: Stage) -> None:
    orders = [stage.order("good", number) for number in range(1, 6)]
    for order in orders:
        stage.engine.start(order)

    facts = stage.facts_until(lambda facts: sum(isinstance(f, Inspected) for f in facts) >= 5)

    facts += stage.engine.wait(stage.now())
    assert {order.attempt for order in orders} == {f.attempt for f in facts if _ended(f)}
    assert sum(isinstance(f, Ended) for f in facts) == 5
    assert sum(isinstance(f, Started) for f in facts) == 5


def test_the_exit_is_what_the_system_said(stage: Stage) -> None:
    stage.engine.start(stage.order("seven"))

    assert Exited(7) == stage.end(AttemptId("seven", 1))[-1].exit  # type: ignore[union-attr]


def test_a_start_is_told_before_its_end(stage: Stage) -> None:
    stage.engine.start(stage.order("good"))

    facts = stage.facts_until(lambda facts: any(isinstance(f, Inspected) for f in facts))

    assert [Started, Ended, Inspected] == [type(fact) for fact in facts]


def test_a_fault_of_the_unit_arrives_as_an_end(stage: Stage) -> None:
    stage.engine.start(stage.order("missing"))

    (end,) = stage.end(AttemptId("missing", 1))
    assert isinstance(end, Ended)
    assert isinstance(end.exit, NotStarted)
    assert not end.exit.passing
    assert end.pid is None
    assert end.started is None


def test_stopping_and_killing_what_has_ended_does_nothing(stage: Stage) -> None:
    stage.engine.start(stage.order("good"))
    stage.facts_until(lambda facts: any(isinstance(fact, Inspected) for fact in facts))

    stage.engine.stop(Stop(AttemptId("good", 1), StopReason.USER, 1.0))
    stage.engine.stop(Stop(AttemptId("good", 1), StopReason.DEADLINE, 1.0, dump=True))
    stage.engine.kill(AttemptId("good", 1))
    stage.engine.kill(AttemptId("never started", 1))

    assert stage.engine.wait(stage.now()) == []


def test_a_good_end_is_followed_by_one_inspection_and_a_bad_one_by_none(stage: Stage) -> None:
    for name in ("good", "seven"):
        stage.engine.start(stage.order(name))

    facts = stage.facts_until(
        lambda facts: sum(isinstance(fact, (Ended, Inspected)) for fact in facts) == 3
    )

    facts += stage.engine.wait(stage.now())
    assert [Inspected(AttemptId("good", 1))] == [f for f in facts if isinstance(f, Inspected)]


def test_an_end_says_whether_a_stop_reached_the_unit(stage: Stage) -> None:
    attempt = AttemptId("endless", 1)
    stage.engine.start(stage.order("good"))
    unasked = next(fact for fact in stage.end(AttemptId("good", 1)) if isinstance(fact, Ended))
    stage.engine.start(stage.order("endless"))
    stage.engine.stop(Stop(attempt, StopReason.USER, 60.0))
    asked = next(fact for fact in stage.end(attempt) if _ended(fact) == attempt)

    assert not unasked.stopped
    assert isinstance(asked, Ended)
    assert asked.stopped


def test_what_does_not_heed_the_stop_is_ended_when_its_grace_is_over(stage: Stage) -> None:
    attempt = AttemptId("deaf", 1)
    stage.engine.start(stage.order("deaf"))
    stage.engine.stop(Stop(attempt, StopReason.USER, 0.1))

    end = next(fact for fact in stage.end(attempt) if isinstance(fact, Ended))
    assert end.stopped
    assert isinstance(end.exit, (Signaled, Exited))


def test_a_kill_ends_what_does_not_heed_the_stop(stage: Stage) -> None:
    attempt = AttemptId("deaf", 1)
    stage.engine.start(stage.order("deaf"))
    stage.engine.stop(Stop(attempt, StopReason.USER, 60.0))
    stage.engine.kill(attempt)
    stage.engine.kill(attempt)

    end = stage.end(attempt)[-1]
    assert isinstance(end, Ended)
    assert end.stopped
    assert isinstance(end.exit, (Signaled, Exited))
    # What has no handler yet may end with 0 by CTRL_BREAK where that is emulated.
    assert WINDOWS or end.exit not in (Exited(0), Vanished(""))


def test_waiting_ends_when_the_time_is_over(stage: Stage) -> None:
    stage.engine.start(stage.order("endless"))
    stage.facts_until(lambda facts: any(isinstance(f, Started) for f in facts))
    until = stage.now() + 0.05

    assert stage.engine.wait(until) == []

    assert stage.now() >= until
    stage.engine.kill(AttemptId("endless", 1))
    stage.end(AttemptId("endless", 1))


def test_a_call_ends_the_wait(stage: Stage) -> None:
    stage.engine.start(stage.order("endless"))
    stage.facts_until(lambda facts: any(isinstance(f, Started) for f in facts))
    stage.engine.wake()

    assert stage.engine.wait(stage.now() + 1000) == []

    stage.engine.kill(AttemptId("endless", 1))
    stage.end(AttemptId("endless", 1))


def test_closing_twice_or_with_live_units_leaves_nothing(stage: Stage) -> None:
    stage.engine.start(stage.order("endless"))

    stage.engine.close()
    stage.engine.close()

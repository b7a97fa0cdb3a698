"""Why a unit has not started, told from the records of the planner that holds it."""

import random

import msgspec
import pytest

from procsup.core.outcome import Exited
from procsup.core.spec import After, OnFailure, Retry
from procsup.core.waits import SOON, Waits
from tests.support.plays import WALL, Play, stage, unit

RUN = {"on_failure": OnFailure()}


def why(play: Play, name: str, *, at: float = WALL, selected: "tuple[str, ...]" = ()) -> str:
    history = play.replayed()
    begin = history.begin
    assert begin is not None
    history.begin = msgspec.structs.replace(begin, selected=selected)
    units = {one.id: one for one in play.units}
    return Waits(play.spec, units, history, play.plan.capacity, at=at).explain(units[name])


def test_a_unit_waits_for_all_of_a_stage():
    stages = [stage("s"), stage("t", after=(After("s"),))]
    play = Play(stages, [unit("s/a"), unit("s/b"), unit("t/a")], **RUN).ended("s/a").synced()

    assert why(play, "t/a") == "it waits for all of stage s (1 of 2 units done)"


def test_a_stage_whose_units_are_not_known_yet_is_waited_for():
    stages = [
        stage("s"),
        stage("t", after=(After("s"),), late=True),
        stage("u", after=(After("t"),)),
    ]
    play = Play(stages, [unit("s/a"), unit("u/a")], **RUN)

    assert why(play, "u/a") == "it waits for all of stage t, whose units are not known yet"


def test_a_unit_waits_for_the_ones_that_it_follows_and_for_no_other():
    stages = [stage("s"), stage("t", for_each=("s",), unit_wise=True)]
    units = [unit("s/a"), unit("s/b"), unit("s/c")]
    units += [unit(f"t/{name}", follows=(f"s/{name}",)) for name in "abc"]
    play = Play(stages, units, cpus=1, **RUN)

    assert why(play, "t/a") == "it waits for s/a, which runs"
    assert why(play, "t/c") == "it waits for s/c, which waits, too"
    play.ended("s/a").synced()
    assert play.live == {"t/a": 1}
    assert why(play, "s/b") == "it waits for CPUs (it needs 1; 0 of 1 are free)"


def test_a_unit_waits_for_cpus_memory_or_one_of_the_jobs():
    big = unit("s/big", cpus=3.0)
    assert "CPUs (it needs 3; 1 of 4 are free)" in why(
        Play([stage()], [unit("s/a", cpus=3.0), big], cpus=4, **RUN), "s/big"
    )
    hungry = [unit("s/a", memory_bytes=3 << 30), unit("s/b", memory_bytes=2 << 30)]
    play = Play([stage()], hungry, cpus=4, memory_bytes=4 << 30, **RUN)
    assert why(play, "s/b") == "it waits for memory (it needs 2.0 GB; 1.0 GB of 4.0 GB are free)"
    play = Play([stage()], [unit("s/a"), unit("s/b")], cpus=4, jobs=1, **RUN)
    assert why(play, "s/b") == "it waits for a unit to end: 1 unit may run at once"
    play = Play([stage(jobs=1)], [unit("s/a"), unit("s/b")], cpus=4, **RUN)
    assert why(play, "s/b") == "it waits for a unit of its stage to end: 1 unit may run at once"


def test_a_unit_that_would_fit_waits_behind_one_that_does_not():
    units = [unit("s/a", cpus=3.0), unit("s/b", cpus=3.0), unit("s/c"), unit("s/d")]
    play = Play([stage()], units, cpus=4, **RUN)

    expected = "of which s/b waits for CPUs (it needs 3; 1 of 4 are free)"
    assert why(play, "s/c") == f"it waits behind 1 unit, {expected}"
    assert why(play, "s/d") == f"it waits behind 2 units, {expected}"


def test_a_retry_waits_for_its_delay_and_then_for_room():
    play = Play([stage(retry=Retry(1, delay_s=30.0))], [unit("s/a"), unit("s/b")], cpus=1, **RUN)
    play.ended("s/a", Exited(3)).synced()

    assert why(play, "s/a", at=WALL + 10).endswith(", in 20 s")
    assert why(play, "s/a", at=WALL + 31) == "it waits for CPUs (it needs 1; 0 of 1 are free)"


def test_a_retry_asks_for_the_memory_that_it_needs_now():
    retry = Retry(1, memory_factor=2.0)
    units = [unit("s/a", memory_bytes=2 << 30), unit("s/b", memory_bytes=1 << 30)]
    play = Play([stage(retry=retry)], units, cpus=4, memory_bytes=4 << 30, **RUN)
    play.ended("s/a", Exited(3)).synced()

    assert "it needs 4.0 GB; 3.0 GB of 4.0 GB are free" in why(play, "s/a")


@pytest.mark.parametrize(("verb", "word"), [("drain", "drained"), ("stop", "stopped")])
def test_when_nothing_more_is_started_that_is_why(verb, word):
    stages = [stage("s"), stage("t", after=(After("s"),))]
    play = Play(stages, [unit("s/a"), unit("t/a")], **RUN).asked(verb)

    assert why(play, "t/a") == f"nothing more is started: the run is being {word}"


def test_a_request_to_drain_holds_for_its_sitting_alone():
    play = Play([stage()], [unit("s/a"), unit("s/b")], cpus=1, **RUN).asked("drain")
    play.ended("s/a").synced()

    assert play.replayed().ending == "drain"
    assert play.again().replayed().ending == ""


def test_what_was_not_asked_for_is_left_alone():
    play = Play([stage()], [unit("s/a"), unit("s/b")], selector=lambda one: one.id == "s/a", **RUN)

    assert why(play, "s/b", selected=("s/a",)) == "it is left alone: --only selected s/a"
    assert why(play, "s/b", selected=("@failed",)) == f"{SOON}, if @failed selected it"


@pytest.mark.parametrize("seed", range(20))
def test_whatever_waits_once_the_planner_has_answered_is_held_by_something(seed):
    dice = random.Random(seed)
    stages = [stage("s", jobs=dice.choice((None, 1))), stage("t", for_each=("s",), unit_wise=True)]
    stages.append(stage("u", after=(After("t", "finished"),), retry=Retry(1, delay_s=5.0)))
    units = [unit(f"s/{n}", cpus=float(dice.randint(1, 2))) for n in range(4)]
    units += [unit(f"t/{n}", follows=(f"s/{n}",)) for n in range(4)]
    units += [unit(f"u/{n}", memory_bytes=dice.randint(1, 3)) for n in range(3)]
    play = Play(stages, units, cpus=2, memory_bytes=3, jobs=dice.choice((None, 2)), **RUN)
    asked = 0
    while play.live:
        play.ended(dice.choice(sorted(play.live)), Exited(dice.choice((0, 0, 3)))).synced()
        for one in units:
            state = play.state(one.id)
            if state not in ("Blocked", "Waiting") or not play.live:
                continue
            asked += 1
            assert SOON not in why(play, one.id)
            if state == "Blocked":
                assert why(play, one.id).startswith("it waits for ")
        if not play.live:
            play.tell(after_s=6.0)
    assert asked

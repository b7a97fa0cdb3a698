"""`enough` of a stage: from some units on the others are not needed."""

import msgspec
import pytest

from procsup.core.outcome import Exited, Signaled
from procsup.core.records import StageFinal
from procsup.core.spec import After, Enough, Retry
from tests.support.histories import World, live
from tests.support.plays import Play, stage, unit


def play(enough, count=4, **settings):
    made = Play([stage(enough=enough, **settings)], [unit(f"u{n}") for n in range(count)])
    made.take_orders()
    return made


def final(made):
    (record,) = [one for one in made.records if isinstance(one, StageFinal)]
    return record


def test_the_first_success_stops_the_others_and_the_run_has_succeeded():
    made = play(Enough())

    made.ended("u0")

    assert made.take_orders() == ["stop u1#1 on-failure"]
    made.ended("u1", Signaled(15)).synced()
    assert made.verdicts() == {
        "u0": "succeeded",
        "u1": "cancelled",
        "u2": "skipped",
        "u3": "skipped",
    }
    assert made.plan.outcome == "succeeded"
    assert (final(made).status, final(made).enough) == ("succeeded", "enough: 1 unit succeeded")
    assert made.plan.stages[0].counts().enough == "enough: 1 unit succeeded"


def test_drain_lets_running_units_end_whose_failure_does_not_matter():
    made = play(Enough("drain"))

    made.ended("u0").ended("u1", Exited(1)).synced()

    assert made.verdicts() == {"u0": "succeeded", "u1": "failed", "u2": "skipped", "u3": "skipped"}
    assert made.plan.outcome == "succeeded"


def test_failures_do_not_count_as_successes():
    made = play(Enough(at_count=2), 3)

    made.ended("u0", Exited(1)).ended("u1", Exited(1)).ended("u2").synced()

    assert made.plan.outcome == "failed"
    assert final(made).enough == ""


def test_a_share_is_one_of_the_planned_units():
    made = play(Enough("drain", None, 0.5))

    made.ended("u0")

    assert made.take_orders() == ["start u2#1"]

    made.ended("u1")

    assert made.take_orders() == []


@pytest.mark.parametrize(("code", "outcome"), [(0, "succeeded"), (1, "failed")])
def test_what_is_done_counts_and_must_not_have_failed(code, outcome):
    made = play(Enough(of="done"))

    made.ended("u0", Exited(code)).ended("u1", Signaled(15)).synced()

    assert list(made.verdicts().values())[1:] == ["cancelled", "skipped", "skipped"]
    assert made.plan.outcome == outcome


def test_a_try_that_failed_is_not_done_while_another_is_due():
    made = play(Enough("drain", of="done"), retry=Retry(1))

    made.ended("u0", Exited(1))

    assert made.take_orders() == ["start u2#1"]


def test_units_that_wait_for_the_stage_start():
    stages = [stage("s", enough=Enough()), stage("t", after=(After("s"),))]
    made = Play(stages, [unit("s/a"), unit("s/b"), unit("t/a")], cpus=1)

    made.ended("s/a").synced()

    assert made.take_orders()[-1] == "start t/a#1"


def test_all_units_of_a_stage_are_enough_without_a_word():
    made = play(Enough(at_count=2), 2)

    made.ended("u0").ended("u1").synced()

    assert (made.plan.outcome, final(made).enough) == ("succeeded", "")


def test_more_units_of_a_stage_that_grows_are_not_taken():
    made = Play([stage(enough=Enough())], [unit("a")], grows=True)

    made.ended("a").synced()

    assert (made.plan.outcome, made.plan.growing) == ("succeeded", [])


@pytest.mark.parametrize("start", range(0, 300, 100))
def test_the_laws_hold_in_any_history_with_enough(start):
    fired = 0
    for seed in range(start, start + 100):
        world = World(seed, wild=True)
        dice = world.dice
        stages = [
            msgspec.structs.replace(
                one,
                enough=Enough(
                    dice.choice(("stop", "drain")), dice.randint(1, 2), None,
                    dice.choice(("succeeded", "done")),
                ) if dice.random() < 0.5 else None,
            )
            for one in world.spec.stages
        ]  # fmt: skip
        world.spec = msgspec.structs.replace(world.spec, stages=tuple(stages))
        live(world, dice.randint(1, 6))
        fired += any(type(one) is StageFinal and one.enough for one in world.journal)
    assert fired > 10


def test_the_last_unit_may_bring_the_success_that_is_enough():
    made = play(Enough("drain"), 2, jobs=1)

    made.ended("u0", Exited(1)).ended("u1").synced()

    assert made.plan.outcome == "succeeded"
    assert final(made).enough == "enough: 1 unit succeeded"


def test_a_share_counts_at_the_end_of_the_units_though_all_have_ended_before():
    made = Play([stage(enough=Enough(at_fraction=0.5))], [unit("s/a"), unit("s/b")], grows=True)
    made.ended("s/a").ended("s/b", Exited(1)).synced()
    assert made.plan.outcome is None

    made.more(last=True)

    assert made.plan.outcome == "succeeded"

"""A stage whose units are made while the first ones run."""

import itertools
import random

import pytest

from procsup.core.events import Expand, Reuse
from procsup.core.outcome import Exited, Verdict
from procsup.core.plan.stages import _AHEAD
from procsup.core.plan.summary import StageStatus
from procsup.core.records import End, Planned
from procsup.core.spec import OnFailure
from tests.support.plays import Play, stage, unit


def grow(**settings):
    """Stage s has one unit so far."""
    return Play([stage("s", **settings)], [unit("s/a")], grows=True)


def planned(play):
    return [(r.units, r.last) for r in play.records if isinstance(r, Planned)]


def test_the_first_unit_starts_and_more_are_asked_for():
    play = grow()

    assert play.take_orders() == ["withdraw s", "expand s", "start s/a#1"]
    assert play.plan.by_name["s"].tally.grows


def test_each_answer_is_followed_by_one_question_until_the_last_one():
    play = grow()
    play.take_orders()

    play.more("s/b")
    assert sorted(play.take_orders()) == ["expand s", "start s/b#1"]
    play.more("s/c", last=True)
    assert play.take_orders() == []

    assert planned(play) == [(["s/a"], False), (["s/b"], False), (["s/c"], True)]
    assert not play.plan.by_name["s"].tally.grows


def test_the_stage_is_not_final_while_more_units_may_come():
    play = grow().ended("s/a").synced()

    assert "publish s succeeded" not in play.take_orders()
    assert not play.plan.done

    play.more(last=True)

    assert play.take_orders() == ["publish s succeeded", "publish run succeeded"]
    assert planned(play)[-1] == ([], True)


def test_units_are_not_asked_for_while_many_wait():
    play = grow()
    play.more(*[f"s/{number}" for number in range(_AHEAD + 1)])
    play.take_orders()

    play.ended("s/a").synced()  # one starts, and 199 wait

    assert "expand s" in play.take_orders()


def test_many_units_that_wait_keep_the_next_question_back():
    play = grow()
    play.take_orders()

    play.more(*[f"s/{number}" for number in range(_AHEAD + 2)])

    assert "expand s" not in play.take_orders()


def test_a_wrong_unit_ends_the_sitting_and_lets_those_that_run_finish():
    play = grow()
    play.more(problem="units[1]: no such program")

    assert play.plan.complaint == "units[1]: no such program"
    assert not play.plan.done
    play.ended("s/a").synced()

    assert play.plan.outcome == ""
    assert play.plan.closing == "units[1]: no such program"
    assert play.verdicts() == {"s/a": "succeeded"}


def test_no_units_are_asked_for_after_a_stop():
    play = grow()
    play.take_orders()
    play.asked("drain")
    play.more("s/b")

    assert "expand s" not in play.take_orders()
    play.ended("s/a").synced()
    assert play.plan.outcome == ""


def test_a_halted_stage_takes_no_more_units_and_is_final():
    play = grow(on_failure=OnFailure("drain", at_count=1))
    play.more("s/b", "s/c")
    play.ended("s/a", Exited(1)).ended("s/b").synced()

    assert play.verdicts() == {"s/a": "failed", "s/b": "succeeded", "s/c": "skipped"}
    assert planned(play)[-1] == ([], True)
    assert "publish s failed" in play.take_orders()

    count = len(play.records)
    play.more("s/d")

    assert len(play.records) == count


def test_a_fraction_of_failures_counts_once_all_units_are_known():
    play = grow(on_failure=OnFailure("drain", at_fraction=0.5))
    play.ended("s/a", Exited(1)).synced()
    play.more("s/b", "s/c")
    assert play.plan.by_name["s"].tally.grows
    play.ended("s/b", Exited(1)).synced()
    play.more("s/d", last=True)

    assert play.verdicts()["s/d"] == "skipped"


def test_kept_units_of_a_later_answer_are_kept():
    play = Play([stage("s")], [unit("s/a")]).ended("s/a").synced()
    again = Play(
        [stage("s")], [unit("s/b")], grows=True, history=play.replayed(), standings={"s/a": Reuse()}
    )

    again.more("s/a", last=True).ended("s/b").synced()

    assert again.plan.summary.stages["s"].kept == 1
    assert again.verdicts() == {"s/a": "succeeded", "s/b": "succeeded"}


def test_a_unit_that_cannot_start_is_not_started_and_the_others_go_on():
    play = grow()

    play.more("s/b", "s/c", unfit={"s/b": "input x is missing"}, last=True)
    play.ended("s/a").ended("s/c").synced()

    assert play.verdicts()["s/b"] == Verdict.NOT_STARTED.value
    assert play.plan.by_name["s"].outcome == StageStatus.FAILED


def test_the_question_names_no_versions():
    play = grow()

    assert [order for order in play.given if isinstance(order, Expand)] == [Expand("s")]


@pytest.mark.parametrize("seed", range(60))
def test_in_every_life_each_unit_that_was_made_ends_once_and_the_run_is_final_only_then(seed):
    rng = random.Random(seed)
    play = grow(on_failure=OnFailure(rng.choice(["finish", "drain"]), at_count=rng.randint(1, 4)))
    made, asked, is_last = ["s/a"], True, False
    for _step in range(400):
        if play.plan.done:
            break
        if play.live and rng.random() < 0.6:
            play.ended(rng.choice(sorted(play.live)), Exited(rng.choice([0, 0, 0, 1])))
        elif asked and rng.random() < 0.5:
            new = [f"s/{len(made) + number}" for number in range(rng.randint(0, 5))]
            is_last = len(made) > 30
            was_halted = play.plan.by_name["s"].halted
            play.more(*new, last=is_last)
            made += [] if was_halted else new
        else:
            play.synced()
        asked = play.plan.by_name["s"].is_asked
        assert not play.plan.done or is_last or play.plan.by_name["s"].halted

    assert play.plan.outcome in ("succeeded", "failed")
    ends = [r.unit for r in play.records if isinstance(r, End) and r.final]
    assert sorted(ends) == sorted(made) == sorted(set(ends))
    assert [name for units, _last in planned(play) for name in units] == made


def run_many(play, count):
    """Take so many units, of which each third one fails, as soon as they are asked for."""
    numbers = iter(range(count))
    play.ended("s/a").synced()
    while play.plan.by_name["s"].tally.grows or play.live:
        if "expand s" in play.take_orders():
            names = [f"s/{number}" for number in itertools.islice(numbers, 100)]
            play.more(*names, last=not names)
        for name in list(play.live):
            play.ended(name, Exited(name[2:].isdigit() and int(name[2:]) % 3 == 0))
        play.synced()
    return play


def test_units_that_succeeded_are_forgotten_and_all_are_counted():
    play = run_many(grow(), 3000)

    known = [one.spec.id for one in play.plan.by_name["s"].units]
    assert len(known) < 1000 + 500 + 2  # those that failed, and the next to be forgotten
    assert len(play.spilled) == len(set(play.spilled))
    assert {*known, *play.spilled} == {"s/a", *(f"s/{number}" for number in range(3000))}
    assert not any(int(name[2:]) % 3 == 0 for name in play.spilled if name != "s/a")
    tally = play.plan.by_name["s"].tally
    assert (tally.planned, tally.succeeded, tally.unsuccessful) == (3001, 2001, 1000)
    assert play.plan.outcome == "failed"


def test_a_forgotten_unit_is_none_that_a_request_can_name():
    play = grow()
    play.more(*(f"s/{number}" for number in range(501)))
    while play.live:
        for name in list(play.live):
            play.ended(name, Exited(name == "s/7"))
        play.synced()

    assert "s/3" in play.spilled
    play.asked("retry", units=["s/3"])
    assert not play.records[-1].ok
    assert "units that succeeded long ago cannot be named" in play.records[-1].message
    play.asked("retry", units=["s/7"])
    assert (play.records[-2].ok, "s/7" in play.live) == (True, True)


def test_units_are_not_forgotten_while_selectors_may_ask_for_them():
    play = Play([stage("s")], [unit("s/a")], grows=True, selector=lambda _: True)
    play = run_many(play, 600)

    assert play.spilled == []
    assert len(play.plan.by_name["s"].units) == 601


def test_no_unit_of_a_stage_that_is_known_at_the_start_is_forgotten():
    play = Play([stage("s")], [unit(f"s/{number}") for number in range(600)])
    while play.live:
        for name in list(play.live):
            play.ended(name)
        play.synced()

    assert play.spilled == []


def test_an_end_that_comes_with_an_interrupt_is_not_taken_for_the_end_of_all_units():
    play = grow()
    play.ended("s/a")
    play.interrupted()
    play.more("s/b", last=True, unsure=True)
    play.synced()

    assert play.plan.outcome == ""
    assert play.plan.by_name["s"].tally.grows
    assert not any(last for _, last in planned(play))


@pytest.mark.parametrize("early", ["drain", "stop"])
def test_an_end_that_comes_after_a_request_is_taken(early):
    play = grow()
    play.asked(early)
    play.more(last=True, unsure=True)
    play.ended("s/a").synced()

    assert planned(play)[-1] == ([], True)


def test_an_older_manifest_is_withdrawn_while_more_units_may_come():
    play = Play([stage("s")], [], grows=True)

    assert play.take_orders() == ["withdraw s", "expand s"]


def test_a_stage_that_a_failure_ended_knows_that_more_units_would_have_come():
    play = grow(on_failure=OnFailure("drain", at_count=1)).ended("s/a", Exited(1)).synced()

    assert play.plan.outcome == "failed"
    assert play.plan.by_name["s"].was_cut


def test_a_stage_whose_units_all_came_was_not_cut():
    play = grow(on_failure=OnFailure("drain", at_count=1))
    play.more("s/b", last=True)
    play.ended("s/a", Exited(1)).ended("s/b").synced()

    assert play.plan.outcome == "failed"
    assert not play.plan.by_name["s"].was_cut

"""Units that failed are queued again while the run goes on, by request."""

import pytest

from procsup.core.outcome import Exited, Verdict
from procsup.core.records import Answer
from procsup.core.spec import After, OnFailure, Retry
from tests.support.plays import Play, stage, unit


def answer(play):
    found = [record for record in play.records if isinstance(record, Answer)][-1]
    return found.ok, found.message


def test_a_unit_that_failed_runs_again_and_its_new_end_decides():
    play = Play([stage(retry=Retry(1))], [unit("a"), unit("b")], cpus=2)
    play.ended("a", Exited(1)).ended("a", Exited(1)).synced()
    assert play.verdict("a") is Verdict.FAILED
    play.take_orders()

    play.asked("retry", units=["a"])

    assert answer(play) == (True, "1 unit queued again")
    assert play.take_orders() == ["start a#3"]
    play.ended("a", Exited(1))
    assert play.take_orders() == ["start a#4"]  # its tries began anew
    play.ended("a").ended("b").synced()
    assert play.verdicts() == {"a": "succeeded", "b": "succeeded"}
    assert play.planner.outcome == "succeeded"
    tally = play.planner.by_name["s"].tally
    assert (tally.done, tally.succeeded, tally.unsuccessful) == (2, 2, 0)


def test_what_was_tried_again_by_request_is_replayed_as_it_was():
    play = Play([stage()], [unit("a"), unit("b")])
    play.ended("a", Exited(1)).synced().asked("retry", units=["a"])

    third = play.again()

    assert third.take_orders()[-2:] == ["start a#3", "start b#2"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nope", "'nope' selects no unit"),
        ("s/b", "has no verdict yet"),
        ("s/c", "has succeeded; retry it when the run has ended"),
    ],
)
def test_what_cannot_be_queued_again_is_refused_and_says_why(name, why):
    play = Play([stage()], [unit("s/a"), unit("s/b"), unit("s/c")], cpus=3)
    play.ended("s/a", Exited(1)).ended("s/c").synced()
    play.take_orders()

    play.asked("retry", units=["s/a", name])

    ok, message = answer(play)
    assert not ok
    assert why in message
    assert play.take_orders() == []  # none of them
    assert play.verdict("s/a") is Verdict.FAILED


def test_a_stage_that_is_final_stays_so():
    stages = [stage("s"), stage("t", after=(After("s", "finished"),))]
    play = Play(stages, [unit("s/a"), unit("t/a")])
    play.ended("s/a", Exited(1)).synced()

    play.asked("retry", units=["s/a"])

    assert answer(play) == (False, "stage s is final; retry it when the run has ended")


def test_nothing_is_queued_again_where_nothing_more_is_started():
    play = Play([stage(on_failure=OnFailure("drain"))], [unit("a"), unit("b")])
    play.ended("a", Exited(1)).synced().asked("retry", units=["a"])
    assert answer(play) == (
        False,
        "nothing more of stage s is started; retry it when the run has ended",
    )
    play.asked("drain").asked("retry", units=["a"])
    assert "drained by request" in answer(play)[1]


def test_a_unit_whose_follower_is_decided_is_not_queued_again():
    stages = [stage("s"), stage("t", for_each=("s",), unit_wise=True)]
    units = [unit("s/a"), unit("s/b"), unit("t/a", follows=("s/a",)), unit("t/b", follows=("s/b",))]
    play = Play(stages, units)
    play.ended("s/a", Exited(1)).synced()
    assert play.verdict("t/a") is Verdict.SKIPPED

    play.asked("retry", units=["s/a"])

    assert answer(play) == (
        False,
        "unit t/a, which follows s/a, is decided; retry it when the run has ended",
    )

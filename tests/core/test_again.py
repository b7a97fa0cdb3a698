"""Units that failed are queued again while the run goes on, by request."""

import pytest

from procsup.core.outcome import Exited, Verdict
from procsup.core.records import ControlReply
from procsup.core.selectors import make_facts
from procsup.core.spec import After, OnFailure, Retry
from tests.support.plays import Play, fold, stage, unit


def answer(play):
    found = [record for record in play.records if isinstance(record, ControlReply)][-1]
    return found.ok, found.message


@pytest.mark.parametrize(
    ("verb", "problem", "said"),
    [
        ("stop", "a grace of -1.0 s", "a grace of -1.0 s"),
        ("explode", "", "unknown request 'explode'"),
    ],
)
def test_an_invalid_request_changes_nothing_and_its_answer_says_what_is_wrong(verb, problem, said):
    play = Play([stage()], [unit("a")])
    play.take_orders()

    play.asked(verb, problem=problem)

    assert answer(play) == (False, said)
    assert play.take_orders() == []
    play.ended("a").synced()
    assert play.plan.outcome == "succeeded"


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
    assert play.plan.outcome == "succeeded"
    tally = play.plan.by_name["s"].tally
    assert (tally.done, tally.succeeded, tally.unsuccessful) == (2, 2, 0)


def test_what_is_queued_again_waits_until_it_starts():
    play = Play([stage()], [unit("a"), unit("b")], cpus=1)
    play.ended("a", Exited(1)).synced()
    assert fold(enumerate(play.records, 1)).find_final_verdict("a") is Verdict.FAILED

    play.asked("retry", units=["a"])  # while b runs

    history = fold(enumerate(play.records, 1))
    assert history.find_final_verdict("a") is None
    assert make_facts(history.units["a"].ends).states == ("waiting",)
    assert history.units["a"].tried == 0


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


def test_a_unit_cancelled_before_its_stage_began_waits_for_it_when_it_is_asked_for_again():
    units = [unit("s/a"), unit("t/a")]
    play = Play([stage("s"), stage("t", after=(After("s"),))], units)
    play.asked("stop-units", units=["t/a"])

    play.asked("retry", units=["t/a"])

    assert answer(play) == (True, "1 unit queued again")
    assert play.state("t/a") == "Blocked"
    play.take_orders()
    play.ended("s/a").synced()
    assert "start t/a#1" in play.take_orders()


def test_a_unit_cancelled_while_it_follows_another_waits_for_it_when_it_is_asked_for_again():
    play = Play(
        [stage("s"), stage("t", for_each=("s",), unit_wise=True)],
        [unit("s/a"), unit("s/b"), unit("t/a", follows=("s/a", "s/b"))],
    )
    play.asked("stop-units", units=["t/a"])

    play.asked("retry", units=["t/a"])

    play.take_orders()
    play.ended("s/a")
    assert play.take_orders() == []
    play.ended("s/b")
    assert play.take_orders() == ["start t/a#1"]


def test_an_attempt_of_a_unit_that_was_cancelled_before_its_stage_began_has_a_number_of_its_own():
    stages = [stage("s"), stage("t", after=(After("s", "finished"),))]
    play = Play(stages, [unit("s/a"), unit("t/a")], on_failure=OnFailure("finish"))
    play.ended("s/a").synced().ended("t/a", Exited(1))
    later = play.again(standings={})
    later.asked("stop-units", units=["t/a"])

    later.ended("s/a")
    later.asked("retry", units=["t/a"])
    later.synced()

    assert later.live == {"t/a": 2}
    later.ended("t/a").synced()
    (last,) = list(later.plan.results("t"))
    assert last.ends[0].attempt == 1
    assert last.ends[-1].attempt == 2


def test_no_unit_is_tried_again_whose_dependencies_have_failed():
    play = Play(
        [stage("s"), stage("t", for_each=("s",), unit_wise=True)],
        [unit("s/a"), unit("s/b"), unit("t/a", follows=("s/a",)), unit("t/b", follows=("s/b",))],
        on_failure=OnFailure("finish"),
    )
    play.asked("stop-units", units=["t/a"]).ended("s/a", Exited(1)).synced()

    play.asked("retry", units=["t/a"])

    why = "unit t/a follows s/a, which did not succeed: retry that first"
    assert answer(play) == (False, why)


def test_no_unit_is_tried_again_whose_stage_was_passed_over():
    stages = [stage("s"), stage("t", after=(After("s"),))]
    play = Play(stages, [unit("s/a"), unit("t/a"), unit("t/b")], on_failure=OnFailure("finish"))
    play.asked("stop-units", units=["t/a"]).ended("s/a", Exited(1)).synced()
    assert play.verdicts()["t/b"] == "skipped"

    play.asked("retry", units=["t/a"])

    assert answer(play)[0] is False
    assert play.live == {}

"""Withdrawals and publications go on beside the loop: what waits for them, what does not."""

import pytest

from procsup.core.events import Expanded, Rerun
from procsup.core.outcome import Exited, Signaled
from procsup.core.plan.summary import EarlyEnd
from procsup.core.records import Closed, ControlReply, RunFinal
from procsup.core.spec import After
from tests.support.plays import Play, stage, unit


def one(**settings):
    """One stage, one unit; what is ordered of manifests is done when the test says so."""
    return Play([stage(**settings)], [unit("a")], by_hand=True)


def publishing(exit=Exited(0), **settings):  # noqa: B008
    """All units are done, and stage and run are on their way to be published."""
    play = one(**settings).done().ended("a", exit).synced()
    assert play.take_orders()[-2:] == [
        f"publish s {'succeeded' if exit == Exited(0) else 'failed'}",
        f"publish run {'succeeded' if exit == Exited(0) else 'failed'}",
    ]
    return play


def answers(play):
    return [(a.ok, a.message) for a in play.records if isinstance(a, ControlReply)]


# --- withdrawals ---------------------------------------------------------------------------


def test_no_unit_starts_before_the_older_manifests_are_gone():
    play = one()

    assert play.take_orders() == ["withdraw s"]
    assert play.plan.summary.withdrawing == 1

    play.done()

    assert play.take_orders() == ["start a#1"]
    assert play.plan.summary.withdrawing == 0


def test_an_interrupt_while_manifests_are_withdrawn_starts_nothing_and_waits_for_the_answer():
    play = one().interrupted()

    assert play.take_orders() == ["withdraw s"]
    assert not play.plan.done

    play.done()

    assert play.take_orders() == []
    assert play.plan.outcome == ""
    assert isinstance(play.records[-1], Closed)


# --- the publication of a stage ------------------------------------------------------------


def pair(**settings):
    """Stage ``s`` is on its way to be published, and ``t`` comes after it."""
    stages = [stage("s"), stage("t", after=(After("s", "finished"),), **settings)]
    play = Play(stages, [unit("s/a"), unit("t/a")], by_hand=True).done()
    play.ended("s/a", Exited(1)).synced()
    assert play.take_orders()[-1] == "publish s failed"
    return play


def test_a_stage_is_final_for_the_next_one_when_its_manifest_stands():
    play = pair()
    tally = play.plan.summary.stages["s"]

    assert (tally.status.word, tally.final, tally.closed) == ("publishing", False, True)
    assert play.state("t/a") == "Blocked"

    play.done()

    assert (tally.status.word, tally.final, tally.closed) == ("failed", True, True)
    assert play.take_orders() == ["start t/a#1"]


def test_a_unit_that_follows_another_does_not_wait_for_that_ones_stage():
    stages = [stage("s"), stage("t", for_each=("s",), unit_wise=True)]
    units = [unit("s/a"), unit("t/a", follows=("s/a",))]
    play = Play(stages, units, by_hand=True).done()

    play.ended("s/a")

    assert play.take_orders() == ["withdraw s t", "start s/a#1", "start t/a#1"]

    play.synced()

    assert play.take_orders() == ["settled s/a#1 succeeded", "publish s succeeded"]


def test_a_retry_for_a_stage_on_its_way_is_refused_as_for_a_final_one():
    play = pair().asked("retry", units=["s/a"])

    assert answers(play) == [(False, "stage s is final; retry it when the run has ended")]
    assert play.state("s/a") == "Done"

    play.done().asked("retry", units=["s/a"])

    assert answers(play)[1] == answers(play)[0]


def test_an_interrupt_while_a_stage_is_published_ends_the_sitting_when_it_stands():
    play = pair().interrupted()

    assert not play.plan.done

    play.done()

    assert play.take_orders() == []
    assert play.plan.outcome == ""
    assert play.plan.summary.stages["s"].status.word == "failed"


def test_a_stage_that_is_told_anew_while_it_is_published_stays_as_it_is():
    play = pair()

    play.tell(Expanded("s", (unit("s/b"),), (Rerun("new"),)))

    assert [u.spec.id for u in play.plan.by_name["s"].units] == ["s/a"]


# --- the publication of the run ------------------------------------------------------------


def test_the_sitting_is_over_when_the_manifest_of_the_run_stands():
    play = publishing()

    assert not play.plan.done

    play.done()

    assert not play.plan.done
    assert play.plan.summary.stages["s"].final

    play.done()

    assert play.plan.outcome == "succeeded"
    assert isinstance(play.records[-1], RunFinal)


@pytest.mark.parametrize("signum", [2, 15, None])
@pytest.mark.parametrize("done", [0, 1])
def test_an_interrupt_changes_nothing_once_the_run_is_to_be_published(signum, done):
    play = publishing()
    for _ in range(done):
        play.done()

    play.interrupted(signum).interrupted(signum)
    while play.in_line:
        play.done()

    assert play.take_orders() == []
    assert play.plan.outcome == "succeeded"
    assert play.plan.interrupted_by is None
    assert play.plan.summary.ending is EarlyEnd.NONE


@pytest.mark.parametrize("verb", ["stop", "drain"])
def test_a_request_is_answered_by_what_is_true_once_the_run_is_to_be_published(verb):
    play = publishing(Exited(1)).asked(verb)

    assert answers(play) == [(True, "the run is final (failed): nothing of it runs any more")]
    assert play.plan.summary.ending is EarlyEnd.NONE

    play.done().done()

    assert play.plan.outcome == "failed"


def test_a_retry_is_refused_once_the_run_is_to_be_published():
    play = publishing(Exited(1)).asked("retry", units=["a"])

    assert answers(play) == [(False, "the run is final; retry it when the run has ended")]
    assert play.take_orders() == []


def test_a_second_interrupt_finds_what_lives_while_another_stage_is_published():
    stages = [stage("s"), stage("t")]
    play = Play(stages, [unit("s/a"), unit("t/a")], by_hand=True).done()
    play.ended("s/a").synced().take_orders()

    play.interrupted().interrupted()

    assert play.take_orders() == ["stop t/a#1 user", "kill t/a#1"]

    play.ended("t/a", Signaled(9)).synced()

    assert not play.plan.done

    play.done()

    assert play.plan.outcome == ""

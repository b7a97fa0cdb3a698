"""Single units are stopped on request while their run continues."""

from procsup.core.outcome import Exited, Signaled, Verdict
from procsup.core.records import ControlReply, End
from procsup.core.spec import After, Retry
from tests.support.plays import Play, stage, unit


def answer(play):
    found = [record for record in play.records if isinstance(record, ControlReply)][-1]
    return found.ok, found.message, found.units


def test_one_that_runs_is_asked_to_end_and_cancelled_for_this_run():
    play = Play([stage(retry=Retry(3))], [unit("a"), unit("b")], cpus=2)
    play.take_orders()

    play.asked("stop-units", grace_s=2.0, units=["a"])

    assert answer(play) == (True, "stopping 1 running unit", ("a",))
    assert play.take_orders() == ["stop a#1 user"]
    play.ended("a", Signaled(15)).ended("b").synced()
    assert play.verdicts() == {"a": "cancelled", "b": "succeeded"}
    end = next(one for one in play.records if isinstance(one, End) and one.unit == "a")
    assert (end.final, end.counts, end.cause) == (True, False, "stopped by request (signal 15)")
    assert play.plan.outcome == "failed"


def test_the_grace_that_is_asked_for_is_of_these_units_only():
    play = Play([stage(grace_s=5.0)], [unit("a"), unit("b")], cpus=2)
    play.asked("stop-units", grace_s=0.5, units=["a"])
    play.asked("stop")

    graces = {order.attempt.unit: order.grace_s for order in play.given if hasattr(order, "dump")}

    assert graces == {"a": 0.5, "b": 5.0}


def test_those_that_wait_are_never_begun_and_what_follows_them_is_skipped():
    stages = [
        stage("s"),
        stage("t", for_each=("s",), unit_wise=True),
        stage("u", after=(After("t"),)),
    ]
    specs = [unit("s/a"), unit("s/b"), unit("s/c"), unit("t/b", follows=("s/b",)), unit("u/x")]
    play = Play(stages, specs, cpus=1)
    play.take_orders()

    play.asked("stop-units", units=["s/b", "s/c", "u"])

    assert answer(play) == (True, "3 waiting units cancelled", ())
    play.ended("s/a").synced()
    assert play.take_orders()[0].startswith("settled")
    assert play.verdicts() == {
        "s/a": "succeeded",
        "s/b": "cancelled",
        "s/c": "cancelled",
        "t/b": "skipped",
        "u/x": "cancelled",
    }
    assert play.plan.outcome == "failed"


def test_it_runs_again_in_the_next_run():
    play = Play([stage()], [unit("a")])
    play.asked("stop-units", units=["a"]).ended("a", Signaled(15)).synced()

    assert play.again().take_orders()[-1] == "start a#2"


def test_what_ends_badly_by_itself_is_what_it_is_and_not_tried_again():
    play = Play([stage(retry=Retry(3))], [unit("a")])
    play.asked("stop-units", units=["a"]).ended("a", Exited(7), stopped=False).synced()

    assert play.verdict("a") is Verdict.FAILED
    assert play.plan.outcome == "failed"


def test_what_is_over_stays_and_what_means_nothing_is_refused():
    play = Play([stage()], [unit("a"), unit("b")]).ended("a").synced()
    play.asked("stop-units", units=["a"])
    assert answer(play) == (True, "the selected units have ended already", ())

    play.asked("stop-units", units=["b", "c"])
    assert answer(play)[:2] == (False, "'c' selects no unit: stages are s")
    assert play.verdict("b") is None


def test_asked_twice_it_is_told_of_the_new_grace_only():
    play = Play([stage()], [unit("a")])
    play.asked("stop-units", units=["a"])
    play.take_orders()

    play.asked("stop-units", units=["a"])
    assert play.take_orders() == []
    play.asked("stop-units", grace_s=0.0, units=["a"])
    assert play.take_orders() == ["stop a#1 user"]

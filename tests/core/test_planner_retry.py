"""Retries: some units run again, whatever became of them; the others keep their verdicts."""

import random

import pytest

from procsup.core.events import Hold, Rerun, Reuse
from procsup.core.keep import ASKED
from procsup.core.outcome import Exited, Verdict
from procsup.core.records import Kept
from procsup.core.spec import After, Retry
from tests.support.plays import Play, stage, unit

KEPT = Reuse()
FAILED = Hold("failed before", keeps_verdict=True)
SKIPPED = Hold("skipped before", keeps_verdict=True)
AGAIN = Rerun(ASKED)
ASIDE = Hold("not asked for")
CHAIN = [stage("s"), stage("t", after=(After("s"),))]


def drive(play, lost=(), limit=100):
    """Let every live unit end until the sitting is over."""
    for _ in range(limit):
        if play.plan.done:
            return play
        for name in list(play.live):
            play.ended(name, Exited(1) if name in lost else Exited(0))
        play.synced()
    raise AssertionError("the play does not end")


def starts(play):
    return [order for order in play.take_orders() if order.startswith("start")]


def test_a_unit_that_succeeded_without_outputs_runs_only_if_it_is_asked_for():
    first = drive(Play([stage()], [unit("a"), unit("b")]))

    second = drive(first.again(standings={"a": AGAIN, "b": KEPT}))

    assert starts(second) == ["start a#2"]
    assert second.plan.outcome == "succeeded"


def test_other_failures_keep_their_verdict_and_the_run_is_final():
    first = drive(Play([stage()], [unit("a"), unit("b"), unit("c")]), lost=("a", "b"))

    second = first.again(standings={"a": Rerun("failed before"), "b": FAILED, "c": KEPT})
    drive(second)

    assert second.verdicts() == {"a": "succeeded", "b": "failed", "c": "succeeded"}
    assert second.plan.outcome == "failed"
    assert starts(second) == ["start a#2"]


def test_a_verdict_that_is_left_as_it_is_can_be_replayed():
    first = drive(Play([stage()], [unit("a"), unit("b")]), lost=("a", "b"))
    second = first.again(standings={"a": Rerun("failed before"), "b": FAILED})
    drive(second)

    replayed = second.replayed()

    assert [record.units for record in second.records if isinstance(record, Kept)] == [["b"]]
    assert replayed.count_verdicts("s") == {Verdict.SUCCEEDED: 1, Verdict.FAILED: 1}


def test_what_was_skipped_runs_once_what_it_depends_on_has_succeeded():
    first = drive(Play(CHAIN, [unit("s/a"), unit("s/b"), unit("t/a")]), lost=("s/a",))
    assert first.verdict("t/a") is Verdict.SKIPPED

    second = first.again(standings={"s/a": Rerun("failed before"), "s/b": KEPT, "t/a": SKIPPED})
    drive(second)

    assert starts(second) == ["start s/a#2", "start t/a#1"]
    assert second.plan.outcome == "succeeded"


def test_what_depends_on_a_unit_that_was_asked_for_runs_again():
    first = drive(Play(CHAIN, [unit("s/a"), unit("s/b"), unit("t/a")]))

    second = drive(first.again(standings={"s/a": AGAIN, "s/b": KEPT, "t/a": KEPT}))

    assert starts(second) == ["start s/a#2", "start t/a#2"]


def test_what_depends_on_a_unit_that_fails_now_is_skipped():
    first = drive(Play(CHAIN, [unit("s/a"), unit("t/a")]))

    second = first.again(standings={"s/a": AGAIN, "t/a": KEPT})
    drive(second, lost=("s/a",))

    assert second.verdicts() == {"s/a": "failed", "t/a": "skipped"}
    assert second.plan.outcome == "failed"


def test_a_unit_without_a_verdict_that_is_not_selected_is_left_aside():
    first = Play([stage()], [unit("a"), unit("b")], cpus=1)
    first.ended("a", Exited(1)).asked("drain")
    drive(first)

    second = first.again(standings={"a": Rerun("failed before"), "b": ASIDE})
    drive(second)

    assert starts(second) == ["start a#2"]
    assert second.plan.outcome == ""
    assert second.state("b") == "Aside"


def test_a_unit_without_a_verdict_runs_if_what_it_depends_on_was_asked_for():
    first = Play(CHAIN, [unit("s/a"), unit("t/a")])
    first.ended("s/a").asked("drain")
    drive(first)

    second = drive(first.again(standings={"s/a": AGAIN, "t/a": ASIDE}))

    assert starts(second) == ["start s/a#2", "start t/a#1"]
    assert second.plan.outcome == "succeeded"


def test_manifests_are_withdrawn_before_the_first_start():
    first = drive(Play(CHAIN, [unit("s/a"), unit("t/a")]))

    second = first.again(standings={"s/a": AGAIN, "t/a": KEPT})

    assert second.take_orders() == ["withdraw s t", "start s/a#2"]


def test_a_success_that_was_asked_for_again_is_not_kept_by_a_resume():
    first = drive(Play([stage()], [unit("a"), unit("b")], cpus=1))
    second = first.again(standings={"a": AGAIN, "b": AGAIN})
    second.ended("a").synced()  # its end is recorded, b lives; then the supervisor dies

    third = drive(second.again())

    assert starts(third) == ["start b#3"]
    assert third.plan.outcome == "succeeded"
    history = third.replayed()
    assert [end.attempt for end in history.units["b"].ends if end.attempt] == [3]


def test_a_success_that_was_asked_for_is_not_kept_even_if_it_was_never_started():
    first = drive(Play([stage()], [unit("a"), unit("b")], cpus=1))
    second = first.again(standings={"a": AGAIN, "b": AGAIN})
    assert starts(second) == ["start a#2"]  # then the supervisor dies

    third = drive(second.again())

    assert starts(third) == ["start a#3", "start b#2"]


@pytest.mark.parametrize("seed", range(50))
def test_a_retry_that_dies_and_is_resumed_ends_as_an_undisturbed_one(seed):
    dice = random.Random(seed)
    stages = [stage("s", retry=Retry(1)), stage("t", after=(After("s", "finished"),))]
    units = [unit(f"s/{n}") for n in range(4)] + [unit(f"t/{n}") for n in range(2)]
    first = drive(Play(stages, units))
    asked = {u.id for u in units if dice.random() < 0.5}
    lost = {u.id for u in units if dice.random() < 0.3} & asked
    standings = {u.id: AGAIN if u.id in asked else KEPT for u in units}

    play = first.again(standings=standings)
    while not play.plan.done and dice.random() < 0.8:
        for name in list(play.live)[:1]:
            play.ended(name, Exited(1) if name in lost else Exited(0))
        play.synced()
    if not play.plan.done:
        play = drive(play.again(), lost)

    moved = any(name.startswith("s") for name in asked)
    left = {u.id for u in units} if moved else asked
    expected = {u.id: "failed" if u.id in lost & left else "succeeded" for u in units}
    assert play.verdicts() == expected

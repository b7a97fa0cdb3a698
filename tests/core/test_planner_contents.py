"""Outputs that are made again with the same content: dependent units do not run again."""

from typing import Any, List, Optional

import pytest

from procsup.core.events import Hold, Rerun, Reuse, Standing, Weighed
from procsup.core.outcome import Exited, Reading, Verdict
from procsup.core.plan.reuse import are_same
from procsup.core.records import Kept
from procsup.core.spec import After
from tests.support.plays import Play, stage, unit

KEPT, DUE = Reuse(), Rerun("changed")
GONE = Rerun("input deleted", "input deleted: out/a")
WHOLE = [stage("s"), stage("t", after=(After("s"),))]
ONE_BY_ONE = [stage("s"), stage("t", for_each=("s",), unit_wise=True)]
UNITS = [unit("s/a", outputs=["/out"]), unit("t/a", follows=("s/a",))]
APART = [UNITS[0], unit("t/a")]


def make_readings(sha256: Optional[str] = "ab", mtime_ns: int = 1, **more: Any) -> List[Reading]:
    return [Reading("/out", 1, mtime_ns, sha256, **more)]


def first(stages: Any, units: Any, outputs: List[Reading]) -> Play:
    play = Play(stages, units)
    play.ended("s/a").inspected("s/a", outputs=outputs).synced().ended("t/a").synced()
    assert play.plan.outcome == "succeeded"
    return play


def again(play: Play, outputs: List[Reading], number: int = 2, follower: Standing = KEPT) -> Play:
    later = play.again(standings={"s/a": DUE, "t/a": follower})
    return later.ended("s/a").inspected("s/a", number, outputs=outputs).synced()


def after_failure(play: Play, **settings: Any) -> Play:
    """Another run, in which the unit before the other fails."""
    later = play.again(standings={"s/a": DUE, "t/a": KEPT}, **settings)
    return later.ended("s/a", Exited(1)).synced()


def starts(play: Play) -> List[str]:
    return [order for order in play.take_orders() if order.startswith("start t")]


@pytest.mark.parametrize(("stages", "units"), [(WHOLE, APART), (ONE_BY_ONE, UNITS)])
def test_the_same_content_written_anew_moves_nothing(stages, units):
    play = first(stages, units, make_readings())

    for number in (2, 3):
        play = again(play, make_readings(mtime_ns=number, inode=number), number)
        assert starts(play) == []
        assert play.plan.outcome == "succeeded"


@pytest.mark.parametrize(("stages", "units"), [(WHOLE, APART), (ONE_BY_ONE, UNITS)])
@pytest.mark.parametrize(
    "now",
    [
        make_readings("cd"),
        make_readings(None, 2),
        make_readings(changed=True),
        [*make_readings(), Reading("/out2", 1, 1, "ab")],
    ],
)
def test_other_content_another_name_or_a_file_that_was_not_read_moves_what_depends_on_it(
    stages, units, now
):
    play = again(first(stages, units, make_readings()), now)

    assert starts(play) == ["start t/a#2"]


def test_without_digests_outputs_must_not_have_been_touched():
    assert are_same(make_readings(None, 1), make_readings(None, 1))
    assert not are_same(make_readings(None, 2), make_readings(None, 1))
    assert not are_same(
        [*make_readings("ab", 2), *make_readings(None, 1)],
        [*make_readings("ab", 1), *make_readings(None, 1)],
    )


def test_the_order_of_files_says_nothing_of_their_content():
    one, two = Reading("/a", 1, 1, "a"), Reading("/b", 1, 1, "b")

    assert are_same([one, two], [two, one])
    assert not are_same([one], [one, two])


def test_a_follower_whose_input_was_deleted_and_is_made_again_as_it_was_is_looked_at_again():
    play = again(
        first(ONE_BY_ONE, UNITS, make_readings()), make_readings(mtime_ns=2), follower=GONE
    )

    assert "weigh t/a" in play.take_orders()
    assert play.plan.outcome is None
    play.tell(Weighed("t", {"t/a": KEPT})).synced()

    assert starts(play) == []
    assert play.plan.outcome == "succeeded"


def test_what_is_found_then_holds_and_is_not_asked_for_twice():
    play = again(
        first(ONE_BY_ONE, UNITS, make_readings()), make_readings(mtime_ns=2), follower=GONE
    )
    play.tell(Weighed("t", {"t/a": GONE}))

    assert starts(play) == ["start t/a#2"]


def test_a_follower_whose_input_is_made_as_another_runs_without_another_look():
    play = again(first(ONE_BY_ONE, UNITS, make_readings()), make_readings("cd"), follower=GONE)

    assert not any(order.startswith("weigh") for order in play.orders)
    assert starts(play) == ["start t/a#2"]


def test_another_input_of_a_follower_whose_own_unit_is_kept_needs_no_other_look():
    play = first(ONE_BY_ONE, UNITS, make_readings()).again(standings={"s/a": KEPT, "t/a": GONE})

    assert starts(play) == ["start t/a#2"]


def test_an_interrupt_does_not_wait_for_a_look_and_an_answer_too_late_starts_nothing():
    play = again(
        first(ONE_BY_ONE, UNITS, make_readings()), make_readings(mtime_ns=2), follower=GONE
    )
    play.interrupted()
    assert play.plan.outcome == ""

    play.tell(Weighed("t", {"t/a": GONE}))
    assert starts(play) == []


def test_a_unit_that_is_skipped_meanwhile_stays_so_whatever_the_look_finds():
    from procsup.core.spec import OnFailure

    units = [*UNITS, unit("s/b"), unit("t/b", follows=("s/b",))]
    play = Play(ONE_BY_ONE, units)
    play.ended("s/a").inspected("s/a", outputs=make_readings()).ended("s/b").synced()
    play.ended("t/a").ended("t/b").synced()
    later = play.again(
        standings={"s/a": DUE, "s/b": DUE, "t/a": GONE, "t/b": KEPT}, on_failure=OnFailure("drain")
    )
    later.ended("s/a").inspected("s/a", 2, outputs=make_readings(mtime_ns=2))
    later.ended("s/b", Exited(1)).synced()
    later.tell(Weighed("t", {"t/a": GONE})).synced()

    assert starts(later) == []
    assert later.verdicts()["t/a"] == "skipped"


@pytest.mark.parametrize(("stages", "units"), [(WHOLE, APART), (ONE_BY_ONE, UNITS)])
@pytest.mark.parametrize("failures", [1, 2])
def test_the_same_content_as_at_the_last_success_moves_nothing_though_it_failed_since(
    stages, units, failures
):
    play = first(stages, units, make_readings())
    for _ in range(failures):
        play = after_failure(play)
        assert play.verdicts()["t/a"] == "skipped"

    play = again(play, make_readings(mtime_ns=2), 2 + failures)

    assert starts(play) == []
    assert play.plan.outcome == "succeeded"
    assert [(kept.units, kept.restored) for kept in kepts(play)] == [(["t/a"], True)]
    later = play.again()
    assert later.plan.outcome == "succeeded"
    assert all(not kept.restored for kept in kepts(later))


def kepts(play: Play) -> List[Kept]:
    return [record for record in play.records if isinstance(record, Kept)]


@pytest.mark.parametrize(("stages", "units"), [(WHOLE, APART), (ONE_BY_ONE, UNITS)])
def test_other_content_after_a_failure_moves_what_depends_on_it(stages, units):
    play = again(after_failure(first(stages, units, make_readings())), make_readings("cd"), 3)

    assert starts(play) == ["start t/a#2"]


def test_what_was_skipped_with_its_unit_is_restored_down_the_whole_chain():
    chain = [*ONE_BY_ONE, stage("u", for_each=("t",), unit_wise=True)]
    units = [
        UNITS[0],
        unit("t/a", outputs=["/out"], follows=("s/a",)),
        unit("u/a", follows=("t/a",)),
    ]
    play = Play(chain, units)
    play.ended("s/a").inspected("s/a", outputs=make_readings()).ended("t/a").inspected(
        "t/a", outputs=make_readings()
    )
    play.ended("u/a").synced()
    later = play.again(standings={"s/a": DUE, "t/a": KEPT, "u/a": KEPT})
    later.ended("s/a", Exited(1)).synced()
    assert later.verdicts() == {"s/a": "failed", "t/a": "skipped", "u/a": "skipped"}

    last = later.again(standings={"s/a": DUE, "t/a": KEPT, "u/a": KEPT})
    last.ended("s/a").inspected("s/a", 3, outputs=make_readings(mtime_ns=2)).synced()

    assert last.plan.outcome == "succeeded"
    assert set(last.verdicts().values()) == {"succeeded"}


TOLERANT = [stage("s"), stage("t", after=(After("s", "finished"),))]


def test_what_ran_while_it_had_failed_runs_again_when_the_same_content_is_back():
    play = after_failure(first(TOLERANT, APART, make_readings()))
    play.ended("t/a").synced()
    assert play.verdicts() == {"s/a": "failed", "t/a": "succeeded"}

    later = again(play, make_readings(mtime_ns=2), 3)
    assert starts(later) == ["start t/a#3"]
    later.ended("t/a").synced()

    assert later.plan.outcome == "succeeded"
    assert later.again().plan.outcome == "succeeded"


def test_what_ran_while_it_had_failed_runs_again_though_the_stage_tolerates_that_no_longer():
    play = after_failure(first(TOLERANT, APART, make_readings()))
    play.ended("t/a").synced()
    later = play.again(stages=WHOLE, standings={"s/a": DUE, "t/a": KEPT})
    later.ended("s/a").inspected("s/a", 3, outputs=make_readings(mtime_ns=2)).interrupted().synced()
    later = later.again(stages=WHOLE, standings={"s/a": KEPT, "t/a": KEPT})

    assert starts(later) == ["start t/a#3"]


def test_what_did_not_run_while_it_had_failed_is_kept_when_the_same_content_is_back():
    play = first(TOLERANT, APART, make_readings()).again(standings={"s/a": DUE, "t/a": KEPT})
    play.interrupted().ended("s/a", Exited(1)).synced()

    play = again(play, make_readings(mtime_ns=2), 3)

    assert starts(play) == []
    assert play.plan.outcome == "succeeded"


@pytest.mark.parametrize(("stages", "units"), [(WHOLE, APART), (ONE_BY_ONE, UNITS)])
def test_a_unit_that_was_skipped_and_left_at_that_runs_when_what_it_follows_is_mended(
    stages, units
):
    left = Hold("skipped before", keeps_verdict=True)
    play = again(
        after_failure(first(stages, units, make_readings())),
        make_readings(mtime_ns=2),
        3,
        follower=left,
    )

    assert starts(play) == ["start t/a#2"]


def test_a_unit_that_is_not_selected_is_restored_by_the_success_of_the_one_it_follows():
    play = after_failure(first(ONE_BY_ONE, UNITS, make_readings()))
    later = play.again(standings={"s/a": DUE, "t/a": KEPT}, selector=lambda one: one.id == "s/a")
    later.ended("s/a").inspected("s/a", 3, outputs=make_readings(mtime_ns=2)).synced()

    assert later.plan.outcome == "succeeded"
    assert later.verdicts() == {"s/a": "succeeded", "t/a": "succeeded"}


def test_a_unit_that_is_not_selected_stays_skipped_while_the_one_it_follows_has_failed():
    units = [*UNITS, unit("s/b"), unit("t/b", follows=("s/b",))]
    play = Play(ONE_BY_ONE, units)
    play.ended("s/a").inspected("s/a", outputs=make_readings()).ended("s/b").ended("t/a").ended(
        "t/b"
    ).synced()
    later = play.again(standings={"s/a": DUE, "s/b": KEPT, "t/a": KEPT, "t/b": KEPT})
    later.ended("s/a", Exited(1)).synced()

    standings = {"s/a": Rerun("failed before"), "s/b": DUE, "t/a": KEPT, "t/b": KEPT}
    last = later.again(standings=standings, selector=lambda one: one.id == "s/b")
    last.ended("s/b").synced()

    assert last.verdict("t/a") is Verdict.SKIPPED

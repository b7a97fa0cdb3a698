"""Outputs that are made again with the same content: dependent units do not run again."""

from typing import Any, List, Optional

import pytest

from procsup.core.admission import are_same
from procsup.core.events import Standing, Weighed
from procsup.core.outcome import Exited, Reading
from procsup.core.spec import After
from tests.support.plays import Play, stage, unit

KEPT, DUE = Standing(True), Standing(False, "changed")
GONE = Standing(False, "input deleted", "input deleted: out/a")
WHOLE = [stage("s"), stage("t", after=(After("s"),))]
ONE_BY_ONE = [stage("s"), stage("t", for_each=("s",), unit_wise=True)]
UNITS = [unit("s/a", outputs=["/out"]), unit("t/a", follows=("s/a",))]
APART = [UNITS[0], unit("t/a")]


def made(sha256: Optional[str] = "ab", mtime_ns: int = 1, **more: Any) -> List[Reading]:
    return [Reading("/out", 1, mtime_ns, sha256, **more)]


def first(stages: Any, units: Any, outputs: List[Reading]) -> Play:
    play = Play(stages, units)
    play.ended("s/a").inspected("s/a", outputs=outputs).synced().ended("t/a").synced()
    assert play.planner.outcome == "succeeded"
    return play


def again(play: Play, outputs: List[Reading], number: int = 2, follower: Standing = KEPT) -> Play:
    later = play.again(standings={"s/a": DUE, "t/a": follower})
    return later.ended("s/a").inspected("s/a", number, outputs=outputs).synced()


def starts(play: Play) -> List[str]:
    return [order for order in play.take_orders() if order.startswith("start t")]


@pytest.mark.parametrize(("stages", "units"), [(WHOLE, APART), (ONE_BY_ONE, UNITS)])
def test_the_same_content_written_anew_moves_nothing(stages, units):
    play = first(stages, units, made())

    for number in (2, 3):
        play = again(play, made(mtime_ns=number, inode=number), number)
        assert starts(play) == []
        assert play.planner.outcome == "succeeded"


@pytest.mark.parametrize(("stages", "units"), [(WHOLE, APART), (ONE_BY_ONE, UNITS)])
@pytest.mark.parametrize(
    "now", [made("cd"), made(None, 2), made(changed=True), [*made(), Reading("/out2", 1, 1, "ab")]]
)
def test_other_content_another_name_or_a_file_that_was_not_read_moves_what_hangs_on_it(
    stages, units, now
):
    play = again(first(stages, units, made()), now)

    assert starts(play) == ["start t/a#2"]


def test_without_digests_outputs_must_not_have_been_touched():
    assert are_same(made(None, 1), made(None, 1))
    assert not are_same(made(None, 2), made(None, 1))
    assert not are_same([*made("ab", 2), *made(None, 1)], [*made("ab", 1), *made(None, 1)])


def test_the_order_of_files_says_nothing_of_their_content():
    one, two = Reading("/a", 1, 1, "a"), Reading("/b", 1, 1, "b")

    assert are_same([one, two], [two, one])
    assert not are_same([one], [one, two])


def test_a_follower_whose_input_was_deleted_and_is_made_again_as_it_was_is_looked_at_again():
    play = again(first(ONE_BY_ONE, UNITS, made()), made(mtime_ns=2), follower=GONE)

    assert "weigh t/a" in play.take_orders()
    assert play.planner.outcome is None
    play.tell(Weighed("t", {"t/a": KEPT})).synced()

    assert starts(play) == []
    assert play.planner.outcome == "succeeded"


def test_what_is_found_then_holds_and_is_not_asked_for_twice():
    play = again(first(ONE_BY_ONE, UNITS, made()), made(mtime_ns=2), follower=GONE)
    play.tell(Weighed("t", {"t/a": GONE}))

    assert starts(play) == ["start t/a#2"]


def test_a_follower_whose_input_is_made_as_another_runs_without_another_look():
    play = again(first(ONE_BY_ONE, UNITS, made()), made("cd"), follower=GONE)

    assert not any(order.startswith("weigh") for order in play.orders)
    assert starts(play) == ["start t/a#2"]


def test_another_input_of_a_follower_whose_own_unit_is_kept_needs_no_other_look():
    play = first(ONE_BY_ONE, UNITS, made()).again(standings={"s/a": KEPT, "t/a": GONE})

    assert starts(play) == ["start t/a#2"]


def test_an_interrupt_does_not_wait_for_a_look_and_an_answer_too_late_starts_nothing():
    play = again(first(ONE_BY_ONE, UNITS, made()), made(mtime_ns=2), follower=GONE)
    play.interrupted()
    assert play.planner.outcome == ""

    play.tell(Weighed("t", {"t/a": GONE}))
    assert starts(play) == []


def test_a_unit_that_is_skipped_meanwhile_stays_so_whatever_the_look_finds():
    from procsup.core.spec import OnFailure

    units = [*UNITS, unit("s/b"), unit("t/b", follows=("s/b",))]
    play = Play(ONE_BY_ONE, units)
    play.ended("s/a").inspected("s/a", outputs=made()).ended("s/b").synced()
    play.ended("t/a").ended("t/b").synced()
    later = play.again(
        standings={"s/a": DUE, "s/b": DUE, "t/a": GONE, "t/b": KEPT}, on_failure=OnFailure("drain")
    )
    later.ended("s/a").inspected("s/a", 2, outputs=made(mtime_ns=2))
    later.ended("s/b", Exited(1)).synced()
    later.tell(Weighed("t", {"t/a": GONE})).synced()

    assert starts(later) == []
    assert later.verdicts()["t/a"] == "skipped"

"""`on-failed-outputs`: which attempt's files are to be moved away before the next attempt."""

from typing import Any, List, Optional

import pytest
from msgspec import structs

from procsup.core.events import Rerun
from procsup.core.outcome import AttemptId, Reading, Verdict
from procsup.core.records import End
from procsup.core.spec import OutputSpec, Retry
from procsup.core.task import Aside
from tests.support.plays import FAILED, LOST, NO_START, WALL, Play, stage, unit

MADE = (Reading("/out", 1, 1, "ab"),)
DUE = Rerun("changed")
UNITS = [unit("a", outputs=["/out"])]


def first(**settings: Any) -> Play:
    settings = {"on_failed_outputs": "aside", "retry": Retry(1), **settings}
    return Play([stage(**settings)], UNITS)


def again(play: Play, **settings: Any) -> Play:
    play.synced()
    return play.again(standings={"a": DUE}, **settings)


def aside(play: Play, number: int) -> Optional[Aside]:
    return play.tasks[AttemptId("a", number)].aside


def told(play: Play, number: int) -> Any:
    task = play.tasks[AttemptId("a", number)]
    return task.aside, task.vouched


def test_outputs_stay_unless_it_is_asked_for():
    play = first(on_failed_outputs="keep").ended("a", FAILED[0])

    assert aside(play, 2) is None


@pytest.mark.parametrize("exit", [*FAILED, LOST])
def test_what_a_bad_attempt_left_is_named_to_the_next_one(exit):
    play = first()
    assert aside(play, 1) is None

    play.ended("a", exit)

    assert aside(play, 2) == Aside(1, WALL)


def test_so_is_what_was_made_and_is_not_as_declared():
    play = first().ended("a").inspected("a", problem="is empty")

    assert aside(play, 2) == Aside(1, WALL)


def test_it_is_named_to_a_later_run_and_to_one_after_a_skip():
    play = first(retry=Retry()).ended("a", FAILED[0])
    later = again(play)
    assert aside(later, 2) == Aside(1, WALL)

    later.ended("a", FAILED[0]).synced()
    third = later.again(standings={"a": DUE}, selector=lambda _: False)
    skip = End("a", 0, Verdict.SKIPPED, WALL)
    third.records.append(skip)
    assert aside(again(third), 3) == Aside(2, WALL)


def test_what_the_last_success_vouches_for_is_told_with_it():
    good = first().ended("a").inspected("a", outputs=MADE)
    failed = again(good).ended("a", FAILED[0])
    assert aside(failed, 2) is None
    assert told(failed, 3) == (Aside(2, WALL), MADE)

    failed.ended("a", FAILED[0])
    assert told(again(failed), 4) == (Aside(3, WALL), MADE)


def test_an_attempt_that_the_supervisor_did_not_survive_has_no_good_end():
    play = first()
    play.records.append(End("a", 1, Verdict.LOST, WALL, final=False, started=WALL - 5))

    assert aside(again(play), 2) == Aside(1, WALL - 5)


def test_a_start_that_failed_left_nothing_itself():
    play = first(retry=Retry(3)).ended("a", FAILED[0])
    play.ended("a", NO_START)
    ends: List[End] = [one for one in play.records if isinstance(one, End)]
    assert [one.attempt for one in ends] == [1, 2]

    assert aside(again(play), 3) == Aside(2, WALL)


def test_an_attempt_before_a_success_of_the_same_run_has_left_nothing_any_more():
    play = Play([stage(on_failed_outputs="aside", retry=Retry(1))], [*UNITS, unit("b")])
    play.ended("a", FAILED[0]).ended("a").inspected("a", 2, outputs=MADE).interrupted()

    resumed = again(play)
    assert aside(resumed, 3) is None
    resumed.ended("a", FAILED[0])
    assert told(resumed, 4) == (Aside(3, WALL), MADE)


def test_the_outputs_of_the_last_success_are_told_to_a_unit_that_may_leave_them_unchanged():
    outputs = (OutputSpec("/out", unchanged=True),)
    play = Play([stage(retry=Retry(1))], [structs.replace(UNITS[0], outputs=outputs)])
    assert told(play, 1) == (None, ())
    play.ended("a").inspected("a", outputs=MADE)

    failed = again(play).ended("a", FAILED[0])
    assert told(failed, 2) == told(failed, 3) == (None, MADE)
    failed.ended("a", FAILED[0])
    assert told(again(failed), 4) == (None, MADE)
    assert told(again(first(on_failed_outputs="keep").ended("a").inspected("a")), 2) == (None, ())

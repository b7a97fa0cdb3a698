"""When a unit is over: histories of what its main process left behind."""

from typing import List, Optional, Sequence, Tuple

import pytest

from procsup.attempt.ending import Ending, Leftover

GZIP = Leftover(123, 7, "gzip", output="out.gz")
SERVER = Leftover(7, 8, "http.server", log=True)
TRACKER = Leftover(9, 9, "python3")
DEAF = Leftover(10, 10, "sleep", log=True, is_told=False)


class Story:
    """An ending that is looked at again and again, as time goes by."""

    def __init__(self, *, outputs: bool = True, **settings: object) -> None:
        self.stamp = 0
        known = {"at": 100.0, "is_good": True, "linger_s": 10.0, "grace_s": 10.0, **settings}
        self.ending = Ending(has_outputs=outputs, look=lambda: (self.stamp,), **known)  # type: ignore[arg-type]
        self.now = 100.0

    def seen(self, *left: Leftover, until_s: float = 1000.0) -> Optional[Tuple[float, float]]:
        """Look at these whenever a look is due; (seconds since the end, grace) of their stop."""
        while self.now <= 100.0 + until_s:
            grace_s = self.ending.find_due_grace_s(self.now, left)
            if grace_s is not None:
                return round(self.now - 100.0, 3), grace_s
            assert self.now < self.ending.look_at <= self.now + 0.1000001
            self.now = self.ending.look_at
        return None

    def outcome(self) -> Tuple[str, Sequence[str]]:
        return self.ending.find_fault(), self.ending.list_remarks()


def test_who_may_still_write_an_output_is_waited_for_then_ended_and_the_unit_failed():
    story = Story()

    assert story.seen(GZIP) == (10.0, 10.0)
    fault, remarks = story.outcome()

    assert fault == (
        "gzip (pid 123) still wrote to out.gz 10 s after the unit's main process had ended"
    )
    assert remarks == ()


def test_a_writer_that_ends_in_time_is_no_fault_however_much_it_wrote():
    story = Story()

    assert story.seen(GZIP, until_s=5.0) is None
    story.stamp += 1
    assert story.seen(TRACKER) is not None

    assert story.outcome() == ("", ())


def test_who_holds_the_log_only_is_waited_for_and_is_a_remark():
    story = Story()

    assert story.seen(SERVER) == (10.0, 10.0)

    assert story.outcome() == (
        "",
        (
            "http.server (pid 7) kept the log open and was ended after 10 s;"
            " `linger = 0` ends such at once",
        ),
    )


def test_what_holds_nothing_gets_a_second_and_little_grace_and_is_no_fault():
    story = Story()

    assert story.seen(TRACKER) == (1.0, 2.0)

    assert story.outcome() == ("", ())
    assert story.ending.ended == [TRACKER]


def test_no_process_is_ended_while_another_still_holds_a_file():
    story = Story()

    assert story.seen(TRACKER, GZIP, until_s=4.0) is None
    begun = story.now

    assert story.seen(TRACKER) is not None
    assert 0.8 <= story.now - begun <= 1.2


def test_after_a_bad_exit_there_is_the_second_only():
    story = Story(is_good=False)

    assert story.seen(GZIP, SERVER) == (1.0, 2.0)

    story.stamp += 1
    assert story.outcome() == ("", ())


def test_without_linger_holders_are_ended_at_once_and_the_rule_of_failing_stays():
    writer, server = Story(linger_s=0.0), Story(linger_s=0.0)

    assert writer.seen(GZIP) == (0.0, 10.0)
    assert server.seen(SERVER) == (0.0, 10.0)

    assert "gzip (pid 123) still wrote to out.gz" in writer.outcome()[0]
    assert server.outcome() == ("", ("http.server (pid 7) kept the log open and was ended",))


def test_with_linger_as_long_as_the_unit_may_take_the_planner_ends_it():
    assert Story(linger_s=None).seen(GZIP, until_s=5000.0) is None


def test_an_output_that_changes_without_a_holder_is_a_fault_if_a_process_had_to_be_ended():
    ended, gone = Story(), Story()

    ended.seen(TRACKER)
    ended.stamp += 1
    gone.seen(TRACKER, until_s=0.5)
    gone.stamp += 1

    assert ended.outcome()[0] == (
        "python3 (pid 9) had to be ended, and an output has changed"
        " since the unit's main process had ended"
    )
    assert gone.outcome() == ("", ())


@pytest.mark.survives("F82")
def test_without_outputs_a_log_that_grew_is_the_fault():
    story = Story(outputs=False)

    story.seen(SERVER, until_s=9.0)
    story.stamp += 1
    story.seen(SERVER)

    fault, _ = story.outcome()
    assert fault.startswith("http.server (pid 7) still wrote to its log 10 s after")


@pytest.mark.parametrize("changes", [False, True])
def test_where_files_are_not_told_everything_is_waited_for_and_stamps_decide(changes):
    story = Story()

    assert story.seen(DEAF) == (10.0, 10.0)
    story.stamp += changes

    fault, remarks = story.outcome()
    assert bool(fault) == changes
    assert remarks == (
        ("sleep (pid 10) was still alive and was ended after 10 s; `linger = 0` ends such at once",)
    )


def test_many_are_named_by_a_few():
    story = Story()
    many: List[Leftover] = [Leftover(n, n, "w", output="o") for n in range(8)]

    story.seen(*many)

    assert story.outcome()[0].startswith("w (pid 0), w (pid 1), w (pid 2) and 5 more still wrote")

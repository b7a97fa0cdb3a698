import pytest

from procsup.core.outcome import Exited, LeftoverFiles, Reading, Verdict
from procsup.core.records import (
    JOURNAL_VERSION,
    Begin,
    Closed,
    End,
    Kept,
    Launch,
    Planned,
    Refused,
    RunFinal,
    Seen,
    Spawned,
    StageFinal,
    Withdrawn,
)
from procsup.core.slots import make_placement
from procsup.core.versions import Version
from tests.support.plays import fold


def begin(run_id="r1", sitting=1, *, resumed=False, fresh=False):
    return Begin(
        JOURNAL_VERSION, run_id, sitting, "n", 0.0, "h", "b", 1, "0", "3", "x", None, resumed, fresh
    )


def history(*records):
    return fold(enumerate(records, 1))


def launch(attempt=1):
    return Launch("a", attempt, 0.0, "f")


def end(attempt=1, verdict=Verdict.SUCCEEDED, **settings):
    return End("a", attempt, verdict, 1.0, exit=Exited(0), **settings)


def test_an_empty_journal_tells_of_no_run():
    assert history().run_id is None
    assert history().sitting == 0


def test_a_started_attempt_is_open_until_its_end():
    seen = history(begin(), launch(), Spawned("a", 1, 42, 0.0))

    assert (seen.units["a"].open_attempt, seen.units["a"].open_pid) == (1, 42)

    seen.add(4, end())

    assert seen.units["a"].open_attempt is None
    assert seen.units["a"].ended_seq == 4


def test_attempt_numbers_only_grow():
    seen = history(begin(), launch(1), end(1), begin("r2", 2), launch(2))

    assert seen.units["a"].last_number == 2


def test_a_later_run_forgets_the_ends_of_an_earlier_one_only_where_it_ran():
    seen = history(begin(), launch(), end(), begin("r2", 2))

    assert len(seen.units["a"].ends) == 1
    assert seen.units["a"].generation != seen.generation

    seen.add(5, launch(2))

    assert seen.units["a"].ends == ()


def test_a_resume_keeps_run_and_generation():
    seen = history(begin(), launch(), end(), Closed(0.0, "drained"), begin("r1", 2, resumed=True))

    assert (seen.run_id, seen.sitting, seen.generation) == ("r1", 2, 1)
    assert seen.closed is None


def test_tries_count_until_a_final_verdict():
    failed = end(1, Verdict.FAILED, final=False)
    seen = history(begin(), launch(1), failed)

    assert seen.units["a"].tried == 1

    seen.add(4, launch(2))
    seen.add(5, end(2, Verdict.FAILED))

    assert seen.units["a"].tried == 0


def test_a_second_end_of_an_attempt_replaces_the_first():
    seen = history(
        begin(), launch(), end(verdict=Verdict.FAILED, final=False), end(verdict=Verdict.FAILED)
    )

    assert [one.final for one in seen.units["a"].ends] == [True]


def test_a_plan_of_a_later_sitting_replaces_the_earlier_one():
    seen = history(
        begin(),
        Planned("s", ["a"], False),
        Planned("s", ["b"]),
        begin("r1", 2, resumed=True),
        Planned("s", ["c"]),
    )

    assert seen.plan == {"s": ["c"]}


def test_what_is_withdrawn_is_no_longer_final():
    seen = history(
        begin(),
        StageFinal("s", "succeeded", {}),
        RunFinal("r1", "succeeded", 0.0),
        Withdrawn(["s"]),
    )

    assert seen.finals == {}
    assert seen.run_final is None


def test_verdicts_are_counted_over_the_plan_kept_ones_included():
    seen = history(
        begin(), launch(), end(), begin("r2", 2), Planned("s", ["a", "b"]), Kept("s", ["a"])
    )

    assert seen.count_verdicts("s") == {Verdict.SUCCEEDED: 1}

    seen.add(7, launch(2))

    assert seen.count_verdicts("s") == {}


def test_a_fresh_run_marks_where_keeping_ends():
    assert history(begin(), begin("r2", 2, fresh=True)).fresh_generation == 2


def test_a_second_whole_plan_of_a_stage_in_one_sitting_replaces_the_first():
    seen = history(begin(), Planned("s", ["a"]), Planned("s", ["a"], True, "input x is missing"))

    assert seen.plan == {"s": ["a"]}
    assert seen.problems == {"s": "input x is missing"}


@pytest.mark.parametrize(("status", "done"), [("succeeded", 1), ("failed", 0)])
def test_only_a_run_that_succeeded_is_done_with(status, done):
    final = RunFinal("r1", status, 2.0)

    assert history(begin(), final, begin("r2", 2)).done_generation == done
    assert history(begin(), final, begin("r1", 2, resumed=True)).done_generation == 0


def test_newer_stamps_of_kept_files_are_those_of_the_last_end():
    old, other = Reading("/o/a", 1, 2, "ab", 3, 4), Reading("/o/b", 1, 2, "cd", 5, 6)
    used, now = Reading("/i", 1, 2, "ef", 7, 8), Reading("/o/a", 1, 2, "ab", 9, 10)
    records = [begin(), launch(), end(outputs=(old, other), inputs=(used,)), Seen("a", (now,))]

    last = history(*records).units["a"].last

    assert (last.outputs, last.inputs) == ((now, other), (used,))
    assert history(*records, Seen("b", (now,))).units.keys() == {"a"}


def test_leftover_files_are_those_of_the_last_end_or_of_a_later_look():
    found, fewer = LeftoverFiles(2, ("o/x", "o/y")), LeftoverFiles(1, ("o/y",))
    made = [begin(), launch(), end(leftover_files=found)]

    for more, known in [
        ([], found),
        ([Seen("a", ())], found),
        ([Seen("a", (), fewer)], fewer),
        ([Seen("a", (), LeftoverFiles())], None),
        ([launch(2), end(2)], None),
        ([launch(2), end(2, leftover_files=fewer)], fewer),
    ]:
        told = history(*made, *more)
        assert told.leftover_files.get("a") == known
        assert told.units["a"].last.leftover_files == known


def test_an_open_plan_grows_within_its_sitting():
    seen = history(begin(), Planned("s", ["a"], open=True), Planned("s", ["b"], open=True))
    assert seen.plan == {"s": ["a", "b"]}

    seen.add(4, Planned("s", ["c"]))
    seen.add(5, Planned("s", ["d"]))
    assert seen.plan == {"s": ["d"]}


def test_a_launch_of_the_first_form_says_what_it_was_to_get():
    first = Launch("a", 1, 0.0, "f", cpus=2.0, cpu_ids=(0, 1), memory_bytes=5)
    second = Launch("a", 1, 0.0, "f", host="h", amounts={"cpus": 0.5, "tokens": 3})

    assert first.placement == make_placement("", 2.0, 5, (0, 1))
    assert (second.placement.host, second.placement.cpus) == ("h", 0.5)
    assert second.placement.amounts["tokens"] == 3
    assert (second.placement.memory_bytes, second.placement.cpu_ids) == (None, ())
    assert launch().placement == make_placement("", 1.0)


def make_skipped(**settings):
    return End("a", 0, Verdict.SKIPPED, 1.0, **settings)


def unit_after(*records):
    return history(begin(), launch(), end(), *records).units["a"]


def test_a_unit_that_was_skipped_since_its_success_has_it_still():
    success = unit_after()

    for records in (
        (begin("r2", 2), make_skipped()),
        (begin("r2", 2), make_skipped(), begin("r3", 3), make_skipped(same_as=5)),
        (make_skipped(),),
    ):
        unit = unit_after(*records)
        assert unit.verdict is Verdict.SKIPPED
        assert unit.standing_success is unit.success
        assert unit.success.last == success.last
        assert (unit.success.ended_seq, unit.success.generation) == (3, 1)


def test_a_success_is_known_but_does_not_stand_after_an_attempt_that_was_none():
    for records in (
        (begin("r2", 2), launch(2)),
        (begin("r2", 2), launch(2), end(2, Verdict.LOST, final=False, counts=False)),
        (begin("r2", 2), launch(2), end(2, Verdict.FAILED), begin("r3", 3), make_skipped()),
        (begin("r2", 2), end(0, Verdict.CANCELLED, final=False), make_skipped()),
        (launch(2), end(2, Verdict.FAILED)),
    ):
        unit = unit_after(*records)
        assert unit.standing_success is None
        assert unit.success.last.attempt == 1
    assert unit_after(begin("r2", 2), launch(2), Refused("a", 2, 0.0, "full")).standing_success


def test_a_success_at_the_end_is_the_only_one_that_is_remembered():
    assert unit_after(begin("r2", 2), launch(2), end(2, Verdict.FAILED)).before is not None
    assert unit_after(begin("r2", 2), launch(2), end(2)).before is None
    assert unit_after(launch(2), end(2)).before is None


def test_a_success_that_was_skipped_since_is_restored_with_the_newest_stamps_of_its_files():
    old, now = Reading("/o", 1, 2, "ab", 3, 4), Reading("/o", 1, 9, "ab", 3, 9)
    first = begin(), launch(), end(outputs=(old,))
    past = (begin("r2", 2), make_skipped(), begin("r3", 3), Planned("s", ["a"]))
    seen = history(*first, *past, Seen("a", (now,)), Kept("s", ["a"], restored=True))
    unit = seen.units["a"]

    assert unit.last.outputs == (now,)
    assert (unit.verdict, unit.is_final, unit.ended_seq) == (Verdict.SUCCEEDED, True, 3)
    assert unit.find_version_at(99) == Version(3, ((5, 9),))
    assert seen.count_verdicts("s") == {Verdict.SUCCEEDED: 1}


def test_a_unit_that_is_not_started_leaves_what_it_left_in_its_outputs():
    left = LeftoverFiles(1, ("/o/x",))
    seen = history(begin(), launch(), end(leftover_files=left), begin("r2", 2), make_skipped())

    assert seen.leftover_files == {"a": left}


def test_what_cannot_be_restored_stays_what_it_is():
    kept = Kept("s", ["a"], restored=True)

    failed = unit_after(begin("r2", 2), launch(2), end(2, Verdict.FAILED), kept)
    assert failed.verdict is Verdict.FAILED
    assert unit_after(kept).last.attempt == 1


def test_the_same_content_after_a_failure_is_the_same_version_but_for_the_gap():
    broken = (begin("r2", 2), launch(2), end(2, Verdict.FAILED), begin("r3", 3), make_skipped())
    mended = (*broken, begin("r4", 4), launch(3), end(3, same_as=3))

    assert unit_after(*broken).find_version_at(20) == Version(3, ((6, 20),))
    assert unit_after(*mended).find_version_at(20) == Version(3, ((6, 11),))
    again = (*mended, launch(4), end(4, Verdict.FAILED), launch(5), end(5, same_as=3))
    assert unit_after(*again).find_version_at(20) == Version(3, ((6, 11), (13, 15)))
    assert unit_after(*again, launch(6), end(6)).find_version_at(30) == Version(17)

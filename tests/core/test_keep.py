from typing import List, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.core.events import Hold, Rerun, Reuse, Standing
from procsup.core.keep import ASKED, Change, FileChanges, find_standing, find_standing_again
from procsup.core.outcome import Reading, Verdict
from procsup.core.records import End, Launch
from procsup.core.replay import UnitHistory
from procsup.core.spec import OutputSpec, StageSpec, UnitSpec

OUTPUTS = (OutputSpec("/out/a"),)
UNTOUCHED = FileChanges()
GONE = FileChanges(outputs=Change("/out/a", "missing", kind="deleted"), missing=True)
UNIT = UnitSpec("s/a", "s", 0, ("true",), "/", "print-1", outputs=OUTPUTS)


def make_end(verdict: Verdict = Verdict.SUCCEEDED, attempt: int = 1, **fields: object) -> End:
    return End("s/a", attempt, verdict, 1.0, **{"fingerprint": "print-1", **fields})  # type: ignore


def history(*ends: End, is_open: bool = False) -> UnitHistory:
    found = UnitHistory()
    for seq, end in enumerate(ends, 10):
        found.add_end(end, seq)
    if is_open:
        found.open_launch = Launch("s/a", 9, 1.0, "print-1")
    return found


def ask(
    past: Optional[UnitHistory],
    unit: UnitSpec = UNIT,
    look: FileChanges = UNTOUCHED,
    keep: str = "unchanged",
    run_succeeded: bool = False,
    earlier: bool = False,
    fresh: bool = False,
    program: Optional[str] = None,
) -> Standing:
    return find_standing(
        unit,
        past,
        intact=lambda _unit, _end: look,
        stage=StageSpec("s", keep=keep),
        run_succeeded=run_succeeded,
        earlier=earlier,
        fresh=fresh,
        program=program,
    )


def test_a_unit_that_succeeded_and_is_unchanged_is_kept():
    assert ask(history(make_end())) == Reuse()


@pytest.mark.parametrize("past", [None, UnitHistory()])
def test_a_unit_without_a_past_is_new(past):
    assert ask(past) == Rerun("new")


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (make_end(Verdict.FAILED), "failed before"),
        (make_end(Verdict.TIMED_OUT), "failed before"),
        (make_end(Verdict.BAD_OUTPUT), "failed before"),
        (make_end(Verdict.NOT_STARTED), "failed before"),
        (make_end(Verdict.CANCELLED), "interrupted before"),
        (make_end(Verdict.LOST), "interrupted before"),
    ],
)
@pytest.mark.parametrize("keep", ["unchanged", "always"])
def test_what_did_not_succeed_last_time_is_never_kept(last, reason, keep):
    assert ask(history(make_end(), last), keep=keep) == Rerun(reason)


NOT_STARTED = [
    (make_end(Verdict.CANCELLED, attempt=0), "not run yet"),
    (make_end(Verdict.SKIPPED, attempt=0), "skipped before"),
]


@pytest.mark.parametrize(("last", "reason"), NOT_STARTED)
def test_a_success_stands_though_the_unit_was_skipped_since(last, reason):
    assert ask(history(make_end(), last)) == Reuse()
    assert ask(history(last)) == Rerun(reason)
    assert ask(history(make_end(), make_end(Verdict.FAILED), last)) == Rerun(reason)
    asked_for = make_end(Verdict.CANCELLED, attempt=0, final=False)
    assert ask(history(make_end(), asked_for, last)) == Rerun(reason)


def test_a_success_that_was_skipped_since_is_compared_as_any_other():
    past = history(make_end(), make_end(Verdict.SKIPPED, attempt=0))
    gone = FileChanges(outputs=Change("/out/a", "missing", kind="deleted"), missing=True)

    assert ask(past, look=gone).reason == "output deleted"
    assert ask(past, fresh=True) == Rerun("fresh")


@pytest.mark.survives("F06")
@pytest.mark.parametrize("keep", ["unchanged", "always"])
def test_an_attempt_without_an_end_spoils_an_earlier_success(keep):
    assert ask(history(make_end(), is_open=True), keep=keep).reason == "interrupted before"
    assert ask(history(is_open=True), keep=keep).reason == "interrupted before"


def test_another_fingerprint_is_a_change():
    assert ask(history(make_end(fingerprint="print-0"))) == Rerun("changed")


def test_touched_files_are_named_by_their_side():
    for side in ("input", "output"):
        grown, gone = Change("in/a", "size 10 → 12"), Change("in/a", "missing", kind="deleted")
        found = ask(history(make_end()), look=FileChanges(**{f"{side}s": grown}))
        assert found.reason == f"{side} changed"
        assert found.text == f"{side} changed: in/a (size 10 → 12)"
        found = ask(history(make_end()), look=FileChanges(**{f"{side}s": gone}))
        assert (found.reason, found.text) == (f"{side} deleted", f"{side} deleted: in/a")


def test_files_that_were_read_and_are_the_same_are_handed_on():
    seen = (Reading("/out/a", 1, 2, "ab", 3, 4),)

    assert ask(history(make_end()), look=FileChanges(seen=seen)) == Reuse(seen=seen)


def test_a_run_that_succeeded_repeats_units_without_outputs_and_no_other_does():
    bare = UnitSpec("s/a", "s", 0, ("true",), "/", "print-1")

    assert ask(history(make_end()), bare, run_succeeded=True).reason == "no outputs to keep"
    assert ask(history(make_end()), bare, run_succeeded=False) == Reuse()
    assert ask(history(make_end()), bare, earlier=True) == Reuse(bare=True)
    assert ask(history(make_end()), earlier=True) == Reuse()


def test_a_file_for_stdout_is_an_output_to_keep():
    printing = UnitSpec("s/a", "s", 0, ("true",), "/", "print-1", stdout="/out/text")

    assert ask(history(make_end()), printing, run_succeeded=True) == Reuse()


def test_fresh_and_never_keep_nothing():
    assert ask(history(make_end()), fresh=True) == Rerun("fresh")
    assert ask(history(make_end()), fresh=True, keep="always") == Rerun("fresh")
    never = Rerun("never kept")
    assert ask(history(make_end()), keep="never", earlier=True) == never
    assert ask(history(make_end()), keep="never", run_succeeded=True, earlier=True) == never
    assert ask(history(make_end()), keep="never", look=GONE, earlier=True) == never


def test_a_resumed_run_repeats_nothing_that_succeeded_in_it_though_it_is_never_kept():
    assert ask(history(make_end()), keep="never") == Reuse()
    assert ask(history(make_end()), keep="never", look=GONE).reason == "output deleted"
    assert ask(history(make_end()), keep="never", fresh=True) == Rerun("fresh")


def test_always_looks_at_nothing_but_that_the_outputs_are_there():
    past = history(make_end(fingerprint="print-0"))
    changed = FileChanges(Change("/in", "size differs"), Change("/o", "size differs"))

    assert ask(past, look=changed, keep="always", run_succeeded=True) == Reuse()
    new = FileChanges(outputs=Change("/o", "missing", kind="new"), missing=True)
    assert ask(past, look=new, keep="always").text == "output new: /o"
    gone = FileChanges(outputs=Change("/o", "missing", kind="deleted"), missing=True)
    assert ask(past, look=gone, keep="always").text == "output deleted: /o"


def test_a_changed_program_makes_a_kept_unit_stale():
    past = history(make_end(program="sha-1"))

    assert ask(past, program="sha-2") == Reuse(stale=True)
    assert ask(past, program="sha-1") == Reuse()
    assert ask(past, program=None) == Reuse()
    assert ask(history(make_end()), program="sha-2") == Reuse()


def test_files_are_not_looked_at_when_the_answer_is_known_without():
    def look(_unit: UnitSpec, _end: End) -> FileChanges:
        raise AssertionError("a look at files")

    for past in (None, history(make_end(Verdict.FAILED)), history(make_end(fingerprint="print-0"))):
        answer = find_standing(
            UNIT,
            past,
            intact=look,
            stage=StageSpec("s"),
            run_succeeded=False,
            fresh=False,
            program=None,
        )
        assert not answer.keeps_verdict


ENDS = st.builds(
    make_end,
    st.sampled_from(Verdict),
    st.integers(0, 3),
    final=st.booleans(),
    fingerprint=st.sampled_from(["print-1", "print-0"]),
    program=st.sampled_from([None, "sha-1", "sha-2"]),
)


def is_passed_over(end: End) -> bool:
    return end.attempt == 0 and end.final and end.verdict is not Verdict.SUCCEEDED


@given(
    ends=st.lists(ENDS, max_size=3),
    is_open=st.booleans(),
    look=st.builds(
        FileChanges,
        st.sampled_from([None, Change("in", "content differs")]),
        st.sampled_from([None, Change("out", "missing", kind="deleted")]),
        st.booleans(),
    ),
    keep=st.sampled_from(["unchanged", "never", "always"]),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    program=st.sampled_from([None, "sha-1", "sha-2"]),
)
def test_nothing_is_kept_but_an_unchanged_success_after_which_nothing_was_tried(
    ends: List[End], is_open, look, keep, flags, program
):
    past = history(*ends, is_open=is_open)
    answer = ask(
        past,
        look=look,
        keep=keep,
        run_succeeded=flags[0],
        fresh=flags[1],
        earlier=flags[2],
        program=program,
    )

    assert isinstance(answer, (Reuse, Rerun))
    if isinstance(answer, Reuse):
        last = [end for end in ends if not is_passed_over(end)][-1]
        assert last.verdict is Verdict.SUCCEEDED
        assert not is_open
        assert keep != "never" or not flags[2]
        assert not flags[1]
        assert keep == "always" or (
            last.fingerprint == UNIT.fingerprint and look[:2] == (None, None)
        )
        assert keep != "always" or not look.missing


# --- a retry -----------------------------------------------------------------------------------


def ask_again(
    past: Optional[UnitHistory],
    asked: Optional[bool],
    look: FileChanges = UNTOUCHED,
    keep: str = "unchanged",
    unit: UnitSpec = UNIT,
) -> Standing:
    return find_standing_again(
        unit,
        past,
        asked=asked,
        intact=lambda _unit, _end: look,
        stage=StageSpec("s", keep=keep),
        fresh=False,
        program=None,
    )


@pytest.mark.parametrize("keep", ["unchanged", "never", "always"])
def test_a_retry_keeps_a_success_whatever_the_stage_says_and_without_outputs(keep):
    bare = UnitSpec("s/a", "s", 0, ("true",), "/", "print-1")

    for asked in (None, False):
        assert ask_again(history(make_end()), asked, keep=keep, unit=bare) == Reuse()
    assert ask_again(history(make_end()), True, keep=keep) == Rerun(ASKED)


def test_a_retry_runs_a_success_whose_outputs_cannot_be_confirmed():
    gone = FileChanges(outputs=Change("/out/a", "missing", kind="deleted"), missing=True)
    other = UnitSpec("s/a", "s", 0, ("false",), "/", "print-2", outputs=OUTPUTS)

    assert ask_again(history(make_end()), False, look=gone).reason == "output deleted"
    assert ask_again(history(make_end()), None, unit=other) == Rerun("changed")


def test_a_retry_leaves_a_failure_as_it_is_unless_it_is_about_it():
    failed = history(make_end(Verdict.FAILED))

    assert ask_again(failed, None) == Rerun("failed before")
    assert ask_again(failed, True) == Rerun("failed before")
    assert ask_again(failed, False) == Hold("failed before", keeps_verdict=True)


def test_a_retry_keeps_a_success_that_was_skipped_since_if_it_still_stands():
    past = history(make_end(), make_end(Verdict.SKIPPED, attempt=0))
    gone = FileChanges(outputs=Change("/out/a", "missing", kind="deleted"), missing=True)

    assert ask_again(past, None) == ask_again(past, False) == Reuse()
    assert ask_again(past, None, look=gone).reason == "output deleted"
    assert ask_again(past, False, look=gone) == Hold("skipped before", keeps_verdict=True)
    assert ask_again(past, True) == Rerun("skipped before")


@pytest.mark.parametrize(
    "past", [None, history(is_open=True), history(make_end(Verdict.CANCELLED, final=False))]
)
def test_a_retry_leaves_aside_what_has_no_verdict_and_was_not_asked_for(past):
    assert ask_again(past, False) == Hold("not asked for")
    assert isinstance(ask_again(past, None), Rerun)

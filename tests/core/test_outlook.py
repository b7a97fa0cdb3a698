from procsup.core.events import Hold, Rerun, Reuse
from procsup.core.plan.news import make_rerun_after
from procsup.core.plan.outlook import LastSitting, count_outlook, format_first_line, list_notes
from procsup.core.plan.rehearsal import RehearsedStage
from procsup.core.records import RunFinal
from procsup.core.spec import After, RunSpec, sort_stages
from tests.support.plays import stage, unit

KEPT, STALE = Reuse(), Reuse(stale=True)
NEW, FAILED = Rerun("new"), Rerun("failed before")


def run(*stages):
    return RunSpec("run", None, "/", "/d", stages)


def seen(*standings, selector=None, **more):
    units = [unit(f"s/{n}") for n in range(len(standings))]
    return count_outlook({"s": RehearsedStage(units, standings), **more}, selector)


def test_stages_are_put_in_the_order_of_their_dependencies():
    spec = run(stage("c", after=(After("b"),)), stage("b", inputs_from="a"), stage("a"))

    assert sort_stages(spec) == ["a", "b", "c"]


def test_the_first_line_counts_reasons_the_most_frequent_first():
    line = format_first_line(seen(*[KEPT] * 3, NEW, FAILED, FAILED), LastSitting(), fresh=False)

    assert line == "kept 3 of 6, 3 to run: 2 failed before, 1 new; --fresh runs all"


def test_the_first_line_counts_kinds_of_reasons_not_their_details():
    changed = [Rerun("input changed", f"input changed: in/{n}") for n in range(300)]
    moved = [make_rerun_after(f"align/S{n}", now=True) for n in range(397)]

    line = format_first_line(seen(*changed, *moved), LastSitting(), fresh=False)

    assert line == "kept 0 of 697, 697 to run: 397 after align, 300 input changed"


def test_the_first_line_says_when_the_run_last_finished():
    before = LastSitting(run_final=RunFinal("r", "succeeded", 1_700_000_000.0))

    line = format_first_line(seen(KEPT), before, fresh=False)

    assert line.startswith("kept 1 of 1 (finished 2023-11-1")
    assert line.endswith("), 0 to run; --fresh runs all")


def test_the_first_line_names_what_is_kept_without_outputs_after_a_failure():
    before = LastSitting(run_final=RunFinal("r", "failed", 1_700_000_000.0))
    bare = Reuse(bare=True)

    line = format_first_line(seen(KEPT, bare, bare, FAILED), before, fresh=False)

    assert (
        "1 to run: 1 failed before; kept 2 without outputs from the unsuccessful run of 2" in line
    )
    assert line.endswith("; --fresh repeats them")


def test_stale_programs_and_late_stages_have_notes():
    spec = run(stage("s", script="/somewhere/train.py"), stage("t", late=True))

    lines = list_notes(seen(STALE, KEPT, t=RehearsedStage(known_after=("s",))), spec)

    assert lines[0].startswith("train.py changed since 1 kept unit ran (--fresh runs all")
    assert "t" in lines[1]


def test_stale_units_that_only_leaves_alone_are_told_since_others_use_their_outputs():
    found = seen(STALE, STALE, NEW, selector=lambda one: one.id == "s/2")

    (line,) = list_notes(found, run(stage("s", script="/somewhere/train.py")))

    assert line.startswith("train.py changed since 2 kept units ran")
    assert (found.kept, found.left_alone) == (0, 2)


def test_units_left_alone_by_only_are_counted_apart():
    found = seen(NEW, NEW, selector=lambda one: one.id == "s/0")

    assert (found.to_run, found.left_alone) == (1, 1)


def test_what_a_retry_leaves_as_it_is_is_counted_by_itself():
    left = [Hold("failed before", keeps_verdict=True), Hold("not asked for")]

    line = format_first_line(seen(KEPT, FAILED, *left), LastSitting(), fresh=True)

    assert line == "kept 1 of 4, 1 to run: 1 failed before, 2 left as they are"

import csv
import json
import time

from procsup.core.events import Rerun, Reuse
from procsup.core.outcome import LeftoverFiles, Verdict
from procsup.core.plan.rehearsal import RehearsedStage
from procsup.core.plan.summary import StageStatus, Summary
from procsup.core.replay import History
from procsup.core.spec import After, RunSpec, StageSpec, UnitSpec
from procsup.host.logfiles import LogPlaces
from procsup.queries.rows import FLAT, make_ends_row
from procsup.queries.status import RunningUnit, Status
from procsup.report.counts import make_stage_data, make_stage_table, summarise_counts
from procsup.report.ending import Commands, format_ending, make_ending_data
from procsup.report.failures import format_failures, read_tail
from procsup.report.plan import format_graph, format_plan, make_plan_data
from procsup.report.standing import format_standing
from procsup.report.tables import align, format_csv, format_json, format_json_lines, list_columns
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import Ending
from tests.support.sittings import end

COMMANDS = Commands("procsup run run.toml", "demo")


def summary(**counts):
    made = Summary(list(counts))
    for name, (status, planned, verdicts) in counts.items():
        stage = made.stages[name]
        stage.status = StageStatus[status.upper()]
        stage.planned, stage.verdicts = planned, verdicts
    return made


def ended(status, numbers, directory=".", **more):
    return Ending(status, "r1", LogPlaces(directory), numbers, **more)


def lines_of_end(*args, **more):
    return format_ending("demo", ended(*args, **more), 12.0, COMMANDS)


def standing(numbers, running=(), failures=()):
    stages = list(numbers.stages.values())
    return Status(
        RunDir("demo"), "running", "running", None, History(), stages, running, failures, []
    )


# --- the end of a sitting --------------------------------------------------------------------


def test_a_success_is_one_line_and_the_manifest():
    numbers = summary(s=("succeeded", 3, {Verdict.SUCCEEDED: 3}))
    numbers.stages["s"].kept = 2

    assert lines_of_end("succeeded", numbers, manifest_path="m.json") == [
        "",
        "demo succeeded: 3 succeeded (2 kept), in 12 s",
        "manifest: m.json",
    ]


def test_a_failed_run_says_who_failed_why_and_what_to_type_next(tmp_path):
    (tmp_path / "e").write_bytes(b"Traceback\n\x1b[2Jboom\n")
    numbers = summary(
        s=("failed", 2, {Verdict.SUCCEEDED: 1, Verdict.FAILED: 1}),
        t=("skipped", 1, {Verdict.SKIPPED: 1}),
    )
    failed = end("s/x=1", 2, 7, stderr_path="e")

    lines = lines_of_end(
        "failed", numbers, failures=(failed,), failed_total=1, directory=str(tmp_path)
    )

    assert lines == [
        "",
        "demo failed: 1 succeeded, 1 failed, 1 skipped, in 12 s",
        "  stage  status   planned  kept  succeeded  failed  skipped",
        "  s      failed         2     0          1       1        0",
        "  t      skipped        1     0          0       0        1",
        "",
        "1 unit did not succeed:",
        "s/x=1: failed, exit 7 (attempt 2, 2.0 s)",
        "  end of stderr:",
        "    Traceback",
        "    \\e[2Jboom",
        "",
        "next:",
        "  procsup logs demo --failed",
        "  procsup retry demo    # tries what did not succeed again",
    ]


def test_failures_of_earlier_sittings_are_counted_apart():
    numbers = summary(s=("failed", 3, {Verdict.FAILED: 2, Verdict.TIMED_OUT: 1}))
    numbers.stages["s"].verdicts[Verdict.SKIPPED] = 1

    lines = lines_of_end("failed", numbers, failures=(end("s/x=1", 2, 7),), failed_total=1)

    assert "1 unit did not succeed this time, 3 in all (procsup status demo):" in lines


def test_a_run_that_is_not_final_says_why_and_how_it_goes_on():
    numbers = summary(s=("open", 5, {Verdict.SUCCEEDED: 2}))

    lines = lines_of_end(None, numbers, reason="interrupted by SIGINT")

    assert lines[1:] == [
        "demo is not finished: interrupted by SIGINT; 2 succeeded, 3 units left, after 12 s",
        "next:",
        "  procsup run run.toml    # goes on where this ended",
    ]


def test_a_stage_that_could_not_be_planned_is_explained():
    numbers = summary(s=("failed", None, {}))
    numbers.stages["s"].problem = "the glob matches\nnothing"

    lines = lines_of_end("failed", numbers)

    assert lines[2] == "  s: the glob matches\\nnothing"


def test_leftover_files_are_counted_and_the_first_three_named():
    numbers = summary(s=("succeeded", 2, {Verdict.SUCCEEDED: 2}), t=("succeeded", 1, {}))
    numbers.stages["s"].note_leftover_files("s/a", LeftoverFiles(1, ("out/\x1b",)))
    alone = "s: 1 leftover file in its outputs is not vouched for (out/\\e)"
    assert "  " + alone in lines_of_end("succeeded", numbers)
    numbers.stages["s"].note_leftover_files("s/b", LeftoverFiles(5, ("b/1", "b/2", "b/3")))
    many = "s: 6 leftover files in its outputs are not vouched for (out/\\e, b/1, b/2, ...)"
    assert "  " + many in lines_of_end("succeeded", numbers)
    assert many in format_standing(standing(numbers))
    assert [make_stage_data(one).get("leftover_files") for one in numbers.stages.values()] == [
        6,
        None,
    ]

    for name in ("s/a", "s/b"):
        numbers.stages["s"].note_leftover_files(name, None)
    assert "leftover" not in "".join(lines_of_end("succeeded", numbers))


def test_of_many_failures_twenty_are_shown():
    failures = [end(f"s/x={number}", 1, 3) for number in range(25)]

    lines = format_failures(failures[:20], 25, LogPlaces("."))

    assert lines[19] == "s/x=19: failed, exit 3 (attempt 1, 2.0 s)"
    assert lines[20:] == ["... and 5 more"]


def test_without_stderr_the_end_of_stdout_is_shown(tmp_path):
    (tmp_path / "o").write_text("last words\n")
    (tmp_path / "e").write_text("")
    failed = end("s", 1, 7, stdout_path="o", stderr_path="e")

    assert format_failures([failed], 1, LogPlaces(str(tmp_path)))[1:] == [
        "  end of stdout:",
        "    last words",
    ]


def test_the_tail_of_a_long_log_is_ten_whole_lines(tmp_path):
    (tmp_path / "log").write_text("".join(f"line {number}\n" for number in range(9000)))

    tail = read_tail("log", LogPlaces(str(tmp_path)))

    assert tail == [f"line {number}" for number in range(8990, 9000)]
    assert read_tail("none", LogPlaces(str(tmp_path))) == []
    assert read_tail(None, LogPlaces(str(tmp_path))) == []


def test_one_endless_line_is_cut(tmp_path):
    (tmp_path / "log").write_text("x" * 100_000)
    failed = end("s", 1, 7, stderr_path="log")

    assert max(map(len, format_failures([failed], 1, LogPlaces(str(tmp_path))))) < 500


def test_the_end_as_data_has_the_names_of_the_manifest():
    numbers = summary(s=("failed", 2, {Verdict.TIMED_OUT: 2}))

    data = make_ending_data(
        ended("failed", numbers, failures=(end("s/x=1", 1, 7),), failed_total=2)
    )

    assert data["stages"]["s"]["timed-out"] == 2
    assert data["failed_total"] == 2
    assert data["failures"][0]["exit_code"] == 7
    json.dumps(data)


# --- counts and tables -----------------------------------------------------------------------


def test_what_runs_is_a_column_only_while_something_runs():
    numbers = summary(s=("open", 9, {Verdict.SUCCEEDED: 1}))
    numbers.stages["s"].running = 2

    assert make_stage_table(numbers.stages.values()) == [
        "stage  status  planned  kept  succeeded  running",
        "s      open          9     0          1        2",
    ]
    assert make_stage_data(numbers.stages["s"])["running"] == 2
    assert summarise_counts(Summary(["s"]).stages.values()) == "nothing was done"


def test_tables_align_and_show_unknown_as_a_dash():
    rows = [["a\x1b", None, 1.5, True], ["long", 10, 0.25, False]]

    assert align(["name", "n", "s", "yes"], rows) == [
        "name   n     s  yes",
        "a\\e    -   1.5  yes",
        "long  10  0.25  no",
    ]
    assert align(["x"], []) == ["x"]


def test_csv_can_be_read_back():
    rows = [
        {"id": 'a "b", c\nd', "n": None, "yes": True, "list": [1, "x"]},
        {"id": "\udcff", "n": 2.5, "yes": False},
    ]

    read = list(csv.DictReader("\n".join(format_csv(list_columns(rows), rows)).splitlines(True)))

    assert [row["id"] for row in read] == ['a "b", c\nd', "\\xff"]
    assert [row["n"] for row in read] == ["", "2.5"]
    assert [row["yes"] for row in read] == ["true", "false"]
    assert json.loads(read[0]["list"]) == [1, "x"]


def test_json_is_ascii_and_one_line_a_row():
    lines = list(format_json_lines([{"id": "é\n\udcff"}, {"id": None}]))

    assert lines == ['{"id": "\\u00e9\\n\\\\xff"}', '{"id": null}']
    assert format_json([]) == "[]"


def test_a_row_has_all_columns_whatever_is_known():
    empty = make_ends_row("s/x=1", "s", 0, [])
    retried = make_ends_row("s/x=1", "s", 0, [end("s/x=1", 1, 7, final=False)])

    assert list(empty) == list(retried) == list(FLAT)
    assert (empty["verdict"], empty["tries"], empty["peak_memory_bytes"]) == (None, 0, None)
    assert (retried["verdict"], retried["tries"], retried["exit_code"]) == (None, 1, 7)


# --- how it stands, what is planned ----------------------------------------------------------


def test_the_standing_of_a_run_is_title_table_what_runs_and_what_failed():
    numbers = summary(s=("open", 2, {Verdict.FAILED: 1}))
    running = [RunningUnit(f"s/x={number}", 1, None, time.time() - 7200.0) for number in range(22)]

    lines = format_standing(standing(numbers, running, [end("s/y", 1, 7)]))

    assert lines[0] == "demo: running"
    assert [line.split() for line in lines[5:7]] == [
        ["running", "attempt", "pid", "for"],
        ["s/x=0", "1", "-", "2h", "00m"],
    ]
    assert "... and 2 more" in lines
    assert lines[-1] == "s/y: failed, exit 7 (attempt 1, 2.0 s)"


def test_a_plan_gives_a_reason_for_each_unit_that_runs():
    unit = UnitSpec("s/x=1", "s", 0, ("true",), "w", "f")
    spec = RunSpec("demo", None, "f", "d", (StageSpec("s"), StageSpec("t", after=(After("s"),))))
    changed = Rerun("input changed", "input changed: in/a (size 10 → 12)")
    stages = {
        "s": RehearsedStage([unit] * 3, [changed, Reuse(), Reuse(stale=True)]),
        "t": RehearsedStage(known_after=("s",)),
    }

    assert format_plan(spec, stages) == [
        "demo, in d",
        "s: 3 units: 2 kept, 1 to run",
        "  run (input changed: in/a (size 10 → 12))  s/x=1",
        "  keep  s/x=1",
        "  keep (its program has changed)  s/x=1",
        "t: known when s has run",
    ]
    assert "  keep  s/x=1" not in format_plan(spec, stages, kept_too=False)
    data = make_plan_data(spec, stages)
    assert data["stages"]["t"] is None
    assert [unit["keep"] for unit in data["stages"]["s"]] == [False, True, True]
    assert data["known_after"] == {"t": ["s"]}
    assert data["stages"]["s"][0]["detail"] == "input changed: in/a (size 10 → 12)"


def test_a_plan_is_drawn_as_a_graph_whatever_stages_are_called():
    stages = (StageSpec("a"), StageSpec("b", for_each=("a",), unit_wise=True, after=(After("a"),)))
    spec = RunSpec("demo", None, "f", "d", stages)
    seen = {"a": RehearsedStage(problem='no "x"\nhere'), "b": RehearsedStage(known_after=("a",))}

    assert format_graph(spec, seen, "dot") == [
        "digraph {",
        '  s0 [shape=box, label="a\\ncannot be run: no \\"x\\"\\\\nhere"];',
        '  s1 [shape=box, label="b\\nknown when a has run"];',
        "  s0 -> s1 [style=dashed];",
        "}",
    ]
    assert format_graph(spec, seen, "mermaid") == [
        "flowchart TD",
        '  s0["a<br>cannot be run: no #quot;x#quot; here"]',
        '  s1["b<br>known when a has run"]',
        "  s0 -.-> s1",
    ]

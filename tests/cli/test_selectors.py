"""One table tests every verb that takes a selector, on a live run and on a dead one."""

import json
import sys
from contextlib import contextmanager

import pytest

import procsup
from procsup.cli.main import main
from procsup.store.rundir import RunDir
from procsup.store.sitting import read_owner
from tests.e2e.test_retry import wait_for_ends
from tests.support.gate import Gate
from tests.support.projects import PROGRAMS, PYTHON, Project, finish
from tests.support.selectors import (
    BY_NAME,
    BY_STATE,
    FIT,
    HOLD,
    LATE_RUN_FILE,
    LATE_SAID,
    NOT_OF_LATE_STAGE,
    OF_LATE_STAGE,
    RUN_FILE,
    UNCLEAR,
    WRONG,
)


@contextmanager
def start(folder, run_file=RUN_FILE, ended=FIT):
    """Start the run of the table in a folder; ``hold`` runs until it is told to exit."""
    with Gate() as gate:
        hold = [sys.executable, str(PROGRAMS / "gated.py"), str(gate.port), "hold"]
        text = run_file.format(python=PYTHON, hold=json.dumps(hold))
        project = Project(folder, text)
        child = project.start("run", "run.toml", "-q")
        held = gate.meet("hold")
        for unit in ended:
            wait_for_ends(project, unit, 1)
        yield project, child, held


@pytest.fixture(scope="module", params=["live", "dead"])
def run(request, tmp_path_factory):
    """The run of the table; its supervisor is alive or was stopped."""
    with start(tmp_path_factory.mktemp("selectors")) as (project, child, held):
        if request.param == "dead":
            project.call("stop", "run", "--grace", "0")
            finish(child)
        yield project
        if request.param == "live":
            held.exit(0)
            finish(child)


@pytest.fixture(autouse=True)
def here(run, monkeypatch):
    monkeypatch.chdir(run.folder)


@pytest.fixture
def is_live(run):
    return read_owner(RunDir(run.rundir)).ended is None


def of_status(words, capsys):
    code = main(["status", "run", *words, "--format", "jsonl"])
    return code, [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()]


def of_logs(words, capsys):
    code = main(["logs", "run", "--json", *words])
    found = [json.loads(line)["unit"] for line in capsys.readouterr().out.splitlines()]
    return code, list(dict.fromkeys(found))


def of_dry_run(verb, words, capsys):
    code = main([verb, "--dry-run", "--json", *words])
    stages = json.loads(capsys.readouterr().out)["stages"]
    return code, [unit for units in stages.values() for unit in units]


@pytest.mark.parametrize(("words", "meant"), [*BY_NAME, *BY_STATE])
def test_status_and_logs_are_held_to_the_table(words, meant, capsys):
    assert of_status(words, capsys) == (0, meant)
    code, found = of_logs(words, capsys)
    assert (code, found) == (0, [unit for unit in meant if unit in [*FIT, HOLD]])


def of_explain(words, capsys):
    code = main(["explain", "run", "--json", *words])
    return code, [unit["id"] for unit in json.loads(capsys.readouterr().out)["units"]]


@pytest.mark.parametrize(("words", "meant"), [*BY_NAME, *BY_STATE])
def test_explain_is_held_to_the_table(words, meant, capsys):
    assert of_explain(words, capsys) == (0, meant)
    assert [unit.id for unit in procsup.explain("run.toml", only=words)] == meant


@pytest.mark.parametrize(("words", "meant"), [*BY_NAME, *BY_STATE])
def test_only_and_retry_are_held_to_the_table(words, meant, capsys):
    only = [f"--only={word}" for word in words]
    code, planned = of_dry_run("run", ["run.toml", *only], capsys)
    assert (code, [unit["id"] for unit in planned]) == (0, meant)

    code, planned = of_dry_run("retry", ["run", "--", *words], capsys)
    # What is selected, but waits for what is not, is blocked.
    reasons = (*REASONS, "blocked")
    asked = [unit["id"] for unit in planned if not unit["keep"] and unit["reason"] in reasons]
    # The reason of a running unit is always "running now".
    running = [unit["id"] for unit in planned if unit["reason"] == "running now"]
    assert (code, asked) == (0, [unit for unit in meant if unit not in running])
    assert [unit.id for unit in procsup.plan("run.toml", only=words).units] == meant


@pytest.mark.parametrize("column", ["wall_s", "linger_s", "tries", "exit_code", "signal"])
def test_numbers_are_those_of_the_rows(is_live, column, capsys):
    main(["status", "run", "--format", "jsonl"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    shown = [row["id"] for row in rows if (row[column] or 0) > 0]
    if is_live and column in ("wall_s", "tries"):  # of the attempt that runs
        shown = [*shown, HOLD]

    if shown:
        assert of_status([f"{column}>0"], capsys) == (0, shown)
    else:
        assert main(["status", "run", f"{column}>0"]) == 2


@pytest.mark.parametrize(("words", "meant"), [*BY_NAME, *BY_STATE])
def test_stop_is_held_to_the_table(is_live, words, meant, capsys):
    if not is_live:
        assert main(["stop", "run", "--", *words]) == 3
        assert "no supervisor works on" in capsys.readouterr().err
    elif set(meant) <= set(FIT):  # which have ended; the others have a run of their own below
        assert main(["stop", "run", "--", *words]) == 0
        assert "the selected units have ended already" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_stop_of_what_means_nothing_is_a_mistake_of_the_command_line(is_live, words, said, capsys):
    assert main(["stop", "run", "--", *words]) == (2 if is_live else 3)
    assert (said if is_live else "no supervisor works on") in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["hold"], ["!fit,!k=x"], ["@running"], ["k=y*"], ["sum/k=y?", "fit"], ["@waiting"]]
)
def test_what_stop_ends_is_what_status_selects(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with start(tmp_path) as (_, child, held):
        code, meant = of_status(words, capsys)
        assert (code, main(["stop", "run", "--grace", "0", "--", *words])) == (0, 0)
        if HOLD not in meant:
            held.exit(0)
        finish(child)
        capsys.readouterr()

        code, cancelled = of_status(["@cancelled"], capsys)
        assert (code, cancelled) == (0, [unit for unit in meant if unit not in FIT])


@pytest.fixture(scope="module", params=["live", "dead"])
def late_run(request, tmp_path_factory):
    """A run of which a stage is not planned yet; its supervisor is alive or was stopped."""
    with start(tmp_path_factory.mktemp("late"), LATE_RUN_FILE, ["quick"]) as (project, child, _):
        if request.param == "dead":
            project.call("stop", "run", "--grace", "0")
            finish(child)
        yield project, request.param == "live"
        if request.param == "live":
            project.call("stop", "run", "--grace", "0")
            finish(child)


@pytest.mark.parametrize("verb", ["status", "logs", "stop", "retry"])
@pytest.mark.parametrize(
    ("words", "said"), [*((words, LATE_SAID) for words in OF_LATE_STAGE), *NOT_OF_LATE_STAGE]
)
def test_a_stage_that_is_not_planned_yet_is_known_by_name(
    late_run, verb, words, said, capsys, monkeypatch
):
    project, live = late_run
    if verb in ("stop", "retry") and not live:
        return  # nobody is there to stop it; a retry plans it
    monkeypatch.chdir(project.folder)

    assert main([verb, "run", "--", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("word", UNCLEAR)
def test_a_dry_run_says_what_only_units_known_later_may_match(late_run, word, capsys, monkeypatch):
    monkeypatch.chdir(late_run[0].folder)

    for verb, option in ((["run", "run.toml", f"--only={word}"], "--only "),
                         (["retry", "run", "--", word], "")):  # fmt: skip
        assert main([verb[0], "--dry-run", *verb[1:]]) == 0
        said = [line for line in capsys.readouterr().err.splitlines() if repr(word) in line]
        assert [line.startswith(f"{option}{word!r}") for line in said] == [True]
        assert said[0].endswith(LATE_SAID)


def test_explain_tells_of_a_stage_that_is_not_planned_yet(late_run, capsys, monkeypatch):
    project, _live = late_run
    monkeypatch.chdir(project.folder)

    assert main(["explain", "run", "late"]) == 0
    assert capsys.readouterr().out == f"late: {LATE_SAID}.\n"
    assert main(["explain", "run"]) == 0
    assert capsys.readouterr().out.endswith(f"late: {LATE_SAID}.\n")


REASONS = ("asked for", "failed before", "interrupted before", "new", "not run yet")


@pytest.mark.parametrize(("words", "said"), WRONG)
@pytest.mark.parametrize(
    "verb",
    [
        ["status", "run"],
        ["logs", "run"],
        ["explain", "run"],
        ["retry", "run", "--dry-run"],
        ["run", "--dry-run"],
    ],
)
def test_what_means_nothing_is_a_mistake_of_the_command_line(verb, words, said, capsys):
    given = [f"--only={word}" for word in words] if verb[0] == "run" else ["--", *words]
    given = ["run.toml", *given] if verb[0] == "run" else given

    assert main([*verb, *given]) == 2
    assert said in capsys.readouterr().err

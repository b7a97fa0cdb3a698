"""One table tests every verb that takes a selector, on a live run and on a dead one."""

import json
import sys

import pytest

import procsup
from procsup.cli.main import main
from tests.e2e.test_retry import wait_for_ends
from tests.support.gate import Gate
from tests.support.projects import PROGRAMS, Project, finish
from tests.support.selectors import BY_NAME, BY_STATE, FIT, HOLD, RUN_FILE, WRONG


@pytest.fixture(scope="module", params=["live", "dead"])
def run(request, tmp_path_factory):
    """The run of the table; its supervisor is alive or was stopped."""
    with Gate() as gate:
        hold = [sys.executable, str(PROGRAMS / "gated.py"), str(gate.port), "hold"]
        text = RUN_FILE.format(python=sys.executable.replace("\\", "/"), hold=json.dumps(hold))
        project = Project(tmp_path_factory.mktemp("selectors"), text)
        child = project.start("run", "run.toml", "-q")
        held = gate.meet("hold")
        for unit in FIT:
            wait_for_ends(project, unit, 1)
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


def is_live(project):
    return main(["wait", "run", "--timeout", "0"]) == 124


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
    asked = [unit["id"] for unit in planned if not unit["keep"] and unit["reason"] in REASONS]
    # The reason of a running unit is always "running now".
    running = [unit["id"] for unit in planned if unit["reason"] == "running now"]
    assert (code, asked) == (0, [unit for unit in meant if unit not in running])
    assert [unit.id for unit in procsup.plan("run.toml", only=words).units] == meant


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

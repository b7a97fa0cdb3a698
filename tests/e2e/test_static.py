"""What a dry run executes: the interpreters that the run file names, and with `static` nothing."""

import sys
from pathlib import Path

import pytest

import procsup
from tests.support.projects import Project
from tests.support.users import EVE, give, root_only

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a script is an interpreter here")

RUN = '[stage.s]\npython = "./python"\nmodule = "package.part"\n[stage.t]\ncommand = ["true"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose interpreter and whose package leave a mark when they are executed."""
    project = Project(tmp_path, RUN)
    line = f'touch {tmp_path}/interpreter\nexec {sys.executable} "$@"\n'
    project.write("python", f"#!/bin/sh\n{line}").chmod(0o755)
    mark = tmp_path / "imported"
    project.write("package/__init__.py", f"open({str(mark)!r}, 'w').close()\n")
    project.write("package/part.py", "")
    return project


def list_executed(project: Project) -> "list[str]":
    return [one for one in ("imported", "interpreter") if (project.folder / one).exists()]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "run.toml", "--dry-run=static"],
        ["run", "--dry-run=static", "run.toml", "--json"],
        ["run", "--dry-run", "--dry-run=static", "run.toml"],
        ["run", "run.toml", "--dry-run=static", "--graph", "dot"],
    ],
    ids=" ".join,
)
def test_a_static_dry_run_executes_nothing(project: Project, words: "list[str]") -> None:
    done = project.call(*words)

    assert done.returncode == 0, done.stderr
    assert "1 to run" in done.stdout or '"s"' in done.stdout
    assert "static: no interpreter was asked" in done.stderr
    assert list_executed(project) == []


def test_a_plain_dry_run_asks_the_interpreter_which_imports_the_package(project: Project) -> None:
    done = project.call("run", "run.toml", "--dry-run")

    assert done.returncode == 0, done.stderr
    assert "static" not in done.stderr
    assert list_executed(project) == ["imported", "interpreter"]


@pytest.mark.parametrize("verb", ["status", "list", "wait", "verify", "logs", "schema"])
def test_verbs_that_look_execute_nothing(project: Project, verb: str) -> None:
    project.run()
    for one in ("imported", "interpreter"):
        (project.folder / one).unlink()

    assert project.call(verb, *(["run"] if verb not in ("list", "schema") else [])).returncode == 0
    assert list_executed(project) == []


def test_a_static_retry_executes_nothing_and_runs_nothing(project: Project) -> None:
    project.write("package/part.py", "raise SystemExit(3)")
    project.run(expect=1)
    for one in ("imported", "interpreter"):
        (project.folder / one).unlink()

    done = project.call("retry", "run", "--dry-run=static")

    assert done.returncode == 0, done.stderr
    assert list_executed(project) == []


def test_the_library_loads_without_executing_and_plans_so_if_asked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    spec = procsup.load("run.toml")

    assert {unit.id for unit in procsup.plan("run.toml", static=True).to_run} == {"s", "t"}
    assert procsup.plan(spec, static=True).name == "run"
    assert list_executed(project) == []
    procsup.plan("run.toml")
    assert list_executed(project) == ["imported", "interpreter"]


@pytest.mark.parametrize("word", ["--dry-run=else", "--dry-run=", "--dry-run=statics"])
def test_another_kind_of_dry_run_is_refused(project: Project, word: str) -> None:
    done = project.call("run", word, "run.toml")

    assert done.returncode == 2
    assert "--dry-run" in done.stderr
    assert not (project.folder / ".procsup").exists()


@root_only
@pytest.mark.parametrize("owner", [0, EVE])
def test_to_explain_a_run_of_another_user_executes_nothing_of_theirs(
    project: Project, owner: int
) -> None:
    project.run()
    for one in ("imported", "interpreter"):
        (project.folder / one).unlink()
    give(project.folder, owner)

    done = project.call("explain", ".procsup/run", "s")

    assert done.returncode == 0, done.stderr
    assert (list_executed(project) == []) == (owner == EVE)

"""What a shell is offered for the last word of a line."""

import os
import shutil
import subprocess
import sys

import pytest

from procsup.cli.completion import VARIABLE
from procsup.cli.main import main
from tests.support.projects import LIMIT_S, Project

WORK = '[stage.a]\ncommand = ["sort", "run.toml"]\n'


@pytest.fixture
def offered(tmp_path, monkeypatch, capsys):
    """A function that returns what is offered for a line, in a folder with the run `run`."""
    Project(tmp_path, WORK).run()
    (tmp_path / ".procsup" / "no-run").mkdir()
    monkeypatch.chdir(tmp_path)

    def complete(line):
        words = line.split(" ")
        monkeypatch.setenv(VARIABLE, "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        assert main([]) == 0
        return capsys.readouterr().out.split()

    return complete


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("procsup st", ["status", "stop"]),
        ("procsup status ", ["run", "last"]),
        ("procsup wait run r", ["run"]),
        ("procsup logs run --fa", ["--failed"]),
        ("procsup run --progress p", ["plain"]),
        ("procsup help tu", ["tutorial"]),
        ("procsup init sw", ["sweep"]),
        ("procsup help nothing", []),
    ],
)
def test_verbs_runs_options_and_topics_are_offered(offered, line, words):
    assert [word for word in offered(line) if not word.startswith("file,")] == [
        f"plain,{word}" for word in words
    ]


@pytest.mark.parametrize(
    "line", ["run x", "stop x", "map sort ::: x", "run --dir x", "init sweep x"]
)
def test_elsewhere_files_are_offered(offered, line):
    assert offered(f"procsup {line}") == ["file,x"]


def test_nothing_is_offered_for_units_and_after_no_verb(offered):
    assert offered("procsup logs run a") == []
    assert offered("procsup nothing x") == ["file,x"]


def test_without_runs_files_are_offered(offered, tmp_path):
    shutil.rmtree(tmp_path / ".procsup")

    assert offered("procsup status ru") == ["file,ru"]


@pytest.mark.parametrize("instruction", ["csh_source", "bash_complete", ""])
def test_an_unknown_shell_is_refused_with_those_there_are(monkeypatch, capsys, instruction):
    monkeypatch.setenv(VARIABLE, instruction)

    assert main([]) == 2
    assert "expected bash_source, zsh_source or fish_source" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="there is no bash")
def test_the_script_for_bash_is_one(tmp_path):
    Project(tmp_path, WORK).run()
    program = tmp_path / "procsup"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m procsup "$@"\n')
    program.chmod(0o700)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    script = f"""
    eval "$({VARIABLE}=bash_source procsup)"
    COMP_WORDS=(procsup status r) COMP_CWORD=2
    _procsup_completion procsup
    echo "${{COMPREPLY[@]}}"
    """
    settings = {"cwd": tmp_path, "env": {**os.environ, "PATH": path}, "timeout": LIMIT_S}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, **settings)

    assert (done.stdout, done.stderr) == ("run\n", "")

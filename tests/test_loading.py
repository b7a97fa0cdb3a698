"""What each verb loads: start-up time, held without a clock."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import procsup

ROOT = str(Path(procsup.__file__).resolve().parent.parent)
HEAVY = ("rich", "psutil", "pygments", "traceback", "difflib", "numpy")
# `python -c REPORT ARGS...`: the program, which says which modules it has loaded: when it starts
# a process (the guard is a fork, no start), or at its end if it starts none.
REPORT = """\
import atexit, os, sys
wanted = os.environ["MODULES"].split()
said = False
def say():
    global said
    if said: return
    said = True
    found = [name for name in wanted if name in sys.modules]
    with open(os.environ["REPORT"], "w") as file: file.write(" ".join(found))
atexit.register(say)
sys.addaudithook(lambda event, args: say() if event == "subprocess.Popen" else None)
from procsup.__main__ import program
sys.exit(program())
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a final run."""
    folder = tmp_path_factory.mktemp("finished")
    file = f'name = "demo"\n[stage.one]\ncommand = [{str(sys.executable)!r}, "-c", ""]\n'
    (folder / "procsup.toml").write_text(file, encoding="utf-8")
    assert loaded(folder, "run", "--quiet") is not None
    return folder


def loaded(folder, *arguments, modules=HEAVY):
    report = folder / "loaded.txt"
    environment = {
        **os.environ,
        "PYTHONPATH": ROOT,
        "MODULES": " ".join(modules),
        "REPORT": str(report),
    }
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *arguments],
        cwd=str(folder),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return report.read_text(encoding="utf-8").split()


def test_the_version_is_said_without_click_typing_or_regular_expressions(tmp_path):
    heavy = (*HEAVY, "click", "typing", "enum", "msgspec")
    assert loaded(tmp_path, "--version", modules=heavy) == []


@pytest.mark.parametrize("line", ["wait demo", "status demo", "list", "logs demo", "--help"])
def test_a_verb_that_only_looks_loads_nothing_heavy(finished, line):
    assert loaded(finished, *line.split(), modules=("rich", "psutil", "difflib")) == []


def test_waiting_for_a_final_run_loads_no_reader_of_journals_and_no_cryptography(finished):
    modules = (
        "procsup.store.reader",
        "procsup.store.journal",
        "procsup.core.replay",
        "procsup.host.opened",
        "procsup.host.units_lock",
        "procsup.host.birth",
        "hashlib",
    )
    assert loaded(finished, "wait", "demo", modules=modules) == []


def test_the_help_of_run_loads_no_run_file(tmp_path):
    modules = ("procsup.runfile.load", "procsup.supervisor.session", "procsup.console.bar", "rich")
    assert loaded(tmp_path, "run", "--help", modules=modules) == []


def test_rich_and_psutil_are_not_loaded_before_the_first_unit_starts(finished):
    modules = (
        ("rich", "psutil") if sys.platform == "linux" else ("rich",)
    )  # elsewhere psutil measures

    assert loaded(finished, "run", "--fresh", "--progress", "bar", modules=modules) == []


def test_what_is_loaded_is_seen(finished):
    assert loaded(finished, "wait", "demo", modules=("click", "msgspec")) == ["click", "msgspec"]

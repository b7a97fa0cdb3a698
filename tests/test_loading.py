"""What each verb loads: start-up time, held without a clock."""

import ast
import os
import subprocess
import sys
from typing import Iterator

import pytest

from procsup.supervisor.requests import Display, HostedRequest, Request
from tests.support.modules import PACKAGE, list_modules

ROOT = str(PACKAGE.parent)
HEAVY = ("rich", "psutil", "pygments", "traceback", "difflib", "numpy")
# All that may be imported in functions, with the reason; all else is imported at the top.
NOT_EVERYWHERE = "not every system has it"
MESSAGES = "for messages that most runs do not need"
THE_GUARD = "the guard stays small, and forks before anything is imported"
ONE_WAY = "only one way through a verb needs it"
A_LOOK = "a verb that only looks starts without it"
LATE = {
    "ctypes": "8 ms, for a few calls of the system",
    "difflib": MESSAGES,
    "faulthandler": ONE_WAY,
    "fcntl": NOT_EVERYWHERE,
    "hashlib": "loads OpenSSL",
    "importlib": "the names of the library are loaded on first use",
    "json": A_LOOK,
    "psutil": "10 ms: nothing is measured before the first unit has started",
    "resource": NOT_EVERYWHERE,
    "select": THE_GUARD,
    "shlex": MESSAGES,
    "shutil": ONE_WAY,
    "socket": "5 ms, for runs only",
    "sqlite3": "very many names only, and not in every Python",
    "tempfile": "loads four compressors, for stages that grow only",
    "termios": NOT_EVERYWHERE,
    "threading": THE_GUARD,
    "tomli": A_LOOK,
    "tomllib": A_LOOK,
    "traceback": MESSAGES,
    "winreg": NOT_EVERYWHERE,
    "procsup.cli.completion": ONE_WAY,
    "procsup.cli.dry": ONE_WAY,
    "procsup.cli.group": "the version is printed without it",
    "procsup.cli.hosted": ONE_WAY,
    "procsup.cli.main": THE_GUARD,
    "procsup.cli.map": "its options, where its command line is wrong",
    "procsup.cli.queue": "its options, where its command line is wrong",
    "procsup.cli.unknown": MESSAGES,
    "procsup.console.bar": "loads rich",
    "procsup.console.drawing": "loads rich",
    "procsup.console.pages": "loads rich",
    "procsup.core.slots": THE_GUARD,
    "procsup.errors": THE_GUARD,
    "procsup.host.birth": A_LOOK,
    "procsup.host.detach": ONE_WAY,
    "procsup.host.guard": THE_GUARD,
    "procsup.host.guardian": THE_GUARD,
    "procsup.host.leftovers": THE_GUARD,
    "procsup.host.lock_holders": A_LOOK,
    "procsup.host.machine": THE_GUARD,
    "procsup.host.opened": A_LOOK,
    "procsup.host.signals": THE_GUARD,
    "procsup.host.threads": THE_GUARD,
    "procsup.host.units_lock": A_LOOK,
    "procsup.host.watchdog": THE_GUARD,
    "procsup.lib.manifest": ONE_WAY,
    "procsup.queries.current_units": "loads the reader of run files",
    "procsup.queries.session_end": "loads the reader of journals",
    "procsup.queries.unit_end": ONE_WAY,
    "procsup.report.ending": "shown when the last unit has ended",
    "procsup.report.html": "only notebooks need it",
    "procsup.report.tables": "loads csv and json",
    "procsup.runfile.load": A_LOOK,
    "procsup.runfile.syntax.kinds": MESSAGES,
    "procsup.runfile.templates.bash": ONE_WAY,
    "procsup.runfile.templates.powershell": ONE_WAY,
    "procsup.store.left_alive": A_LOOK,
    "procsup.store.reader": A_LOOK,
    "procsup.store.removal": ONE_WAY,
    "procsup.store.trust": A_LOOK,
    "procsup.store.unit_lines": A_LOOK,
    "procsup.supervisor.session": "help of `run` is shown without it",
}
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


@pytest.mark.parametrize(
    "line", ["wait demo", "status demo", "list", "logs demo", "--help", "help files"]
)
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


def test_a_supervisor_that_a_program_starts_loads_no_command_line(finished):
    report = finished / "hosted.txt"
    code = (
        "import sys; from procsup.__main__ import main\n"
        "sys.argv = ['procsup', 'procsup.toml']; main(hosted=True)\n"
        f"open({str(report)!r}, 'w').write(str('click' in sys.modules))"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=str(finished),
        env={**os.environ, "PYTHONPATH": ROOT},
        input=HostedRequest(Request(), Display()).encode(),
        timeout=60,
        check=True,
    )
    assert report.read_text(encoding="utf-8") == "False"


def test_what_is_loaded_is_seen(finished):
    assert loaded(finished, "wait", "demo", modules=("click", "msgspec")) == ["click", "msgspec"]


def imported_in_functions() -> Iterator[str]:
    modules = {path.relative_to(ROOT).with_suffix("").as_posix() for path in list_modules()}
    for path in list_modules():
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    if isinstance(node, ast.Import):
                        yield from (alias.name for alias in node.names)
                    elif isinstance(node, ast.ImportFrom):
                        inner = [f"{node.module}.{alias.name}" for alias in node.names]
                        found = [name for name in inner if name.replace(".", "/") in modules]
                        yield from found or [str(node.module)]


def test_only_what_loads_late_for_a_reason_is_imported_in_functions():
    assert sorted(set(imported_in_functions())) == sorted(LATE)

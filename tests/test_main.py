import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import procsup
from procsup import __main__ as entry
from tests.support.guarded import Told

ROOT = Path(procsup.__file__).resolve().parent.parent
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")

# `python -c ENTRY CODE ARGS...`: the entry, with Python code that stands in for the command line.
ENTRY = """\
import sys, types
code = sys.argv.pop(1)
cli = types.ModuleType("procsup.cli.main")
cli.main = lambda argv: exec(code, {"argv": argv}) or 0
sys.modules["procsup.cli.main"] = cli
from procsup.__main__ import main
sys.exit(main())
"""


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run_entry(code, *args, before=()):
    argv = [*before, sys.executable, "-c", ENTRY, code, *args]
    return subprocess.run(argv, stdout=subprocess.PIPE, env=environment(), timeout=20)


IS_GUARDED = "from procsup.host import guard; print(guard.find_guard_link() is not None)"


@posix_only
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run", True),
        ("run procsup.toml --jobs 4", True),
        ("--quiet run", True),
        ("map echo --help", True),
        ("map -- ls --detach", True),
        ("run -- --help", True),
        ("run --detach", False),
        ("run file.toml --dry-run", False),
        ("run --help", False),
        ("retry last", True),
        ("retry last s/a --here", False),
        ("retry last --dry-run", False),
        ("retry last --detach", False),
        ("wait run", False),
        ("status", False),
        ("--version", False),
        ("", False),
    ],
)
def test_verbs_that_start_processes_here_are_guarded(line, expected):
    assert entry.is_guarded(line.split()) is expected


@posix_only
def test_the_command_line_of_a_run_is_under_a_guard():
    assert run_entry(IS_GUARDED, "run").stdout.split() == [b"True"]
    assert run_entry(IS_GUARDED, "status").stdout.split() == [b"False"]


def test_the_exit_code_is_the_command_line_s():
    assert run_entry("raise SystemExit(4)", "run").returncode == 4
    assert run_entry("", "run").returncode == 0


@posix_only
@pytest.mark.parametrize("verb", ["run", "status"])
def test_control_c_before_anything_is_installed_is_a_death_by_SIGINT_without_a_word(verb):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); signal.pause()"
    argv = [sys.executable, "-c", ENTRY, code, verb]
    done = subprocess.run(argv, env=environment(), stderr=subprocess.PIPE, timeout=20)

    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


@posix_only
def test_a_fork_that_fails_is_said_and_is_an_internal_error():
    code = (
        "import os, sys\ndef no(): raise BlockingIOError(11, 'no more')\nos.fork = no\n"
        "sys.argv = ['procsup', 'run']\nfrom procsup.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), stderr=subprocess.PIPE, timeout=20
    )

    assert done.returncode == 70
    assert done.stderr.startswith(b"procsup: cannot start a second process: ")


PLANTED = ("json", "signal", "enum", "click", "msgspec", "psutil", "rich", "subprocess", "typing_x")


@pytest.fixture
def trap(tmp_path):
    """A folder full of modules that must not be executed."""
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(f"print('hijacked by {name}', flush=True)")
    return tmp_path


@pytest.mark.survives("F53")
@pytest.mark.parametrize("args", [["--version"], ["run", "--help"], ["run", "nowhere.toml"]])
def test_a_module_in_the_current_folder_is_not_executed(trap, args):
    argv = [sys.executable, "-m", "procsup", *args]
    done = subprocess.run(
        argv, cwd=trap, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

    assert b"hijacked" not in done.stdout


def test_it_runs_from_a_source_tree_that_is_the_current_folder():
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    argv = [sys.executable, "-m", "procsup", "--version"]
    done = subprocess.run(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True)

    assert done.stdout.split() == [b"procsup", procsup.__version__.encode()]


def test_a_folder_of_the_search_path_that_is_not_the_current_one_stays(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(ROOT), "elsewhere"])
    entry.leave_out_current_folder()

    assert sys.path == [str(ROOT), "elsewhere"]


@pytest.mark.parametrize("first", ["", "."])
def test_the_current_folder_is_taken_out_of_the_search_path(monkeypatch, tmp_path, first):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [first, "elsewhere"])
    entry.leave_out_current_folder()

    assert sys.path == ["elsewhere"]


@posix_only
def test_a_current_folder_that_was_deleted_is_no_trouble(tmp_path):
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    argv = ["sh", "-c", script, "sh", sys.executable, "-m", "procsup", "--version"]
    done = subprocess.run(argv, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE)

    assert (done.returncode, done.stdout.split()[:1]) == (0, [b"procsup"])


OPEN_FDS = """
import os, sys
found = [os.fstat(fd).st_rdev for fd in (0, 1, 2)] == [os.stat(os.devnull).st_rdev] * 3
streams = None not in (sys.stdin, sys.stderr)
print("to nobody"); print("to nobody", file=sys.stderr)
new = os.open(os.devnull, os.O_RDONLY)
with open(argv[1], "w") as file: print(found, streams, new > 2, file=file)
"""


@pytest.mark.survives("F23")
@posix_only
@pytest.mark.parametrize("verb", ["run", "status"])
@pytest.mark.parametrize("redirect", ["<&- >&- 2>&-", "<&- >/dev/null 2>&-", "</dev/null >&- 2>&-"])
def test_closed_standard_streams_are_the_null_device(tmp_path, verb, redirect):
    said = tmp_path / "said"
    redirect = redirect.replace("/dev/null", os.devnull)
    closing = ["sh", "-c", f'exec "$@" {redirect}', "sh"]
    done = run_entry(OPEN_FDS, verb, str(said), before=closing)

    assert done.returncode == 0
    assert said.read_text().split() == ["True", "True", "True"]


@posix_only
def test_nothing_of_a_killed_run_survives_the_real_entry():
    code = (
        "import os, signal, subprocess, sys; from procsup.host import guard;"
        "guard.find_guard_link().wait_until_ready(20);"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'],"
        " start_new_session=True);"
        "print('child', child.pid, 'supervisor', flush=True);"
        "print('supervisor', os.getpid(), flush=True); signal.pause()"
    )
    with Told([sys.executable, "-c", ENTRY, code, "run"]) as run:
        os.kill(run.pid_of("supervisor"), signal.SIGKILL)
        run.wait_until_all_gone()

        assert run.wait() == -signal.SIGKILL


UNREAD = """\
import sys
from procsup.__main__ import leave_quickly
sys.stderr = open(2, "w", closefd=False)
sys.stderr.write("status")
leave_quickly(7)
"""


@posix_only
def test_status_without_a_reader_changes_no_exit_code():
    """What is left in the buffer of a stderr without a reader made the interpreter end with 120."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        argv = [sys.executable, "-c", UNREAD]
        done = subprocess.run(argv, env=environment(), stderr=writer, timeout=20)
    finally:
        os.close(writer)

    assert done.returncode == 7

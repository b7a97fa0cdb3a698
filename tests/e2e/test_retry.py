"""`procsup retry` for real: what runs again, what is left, by hand, and while the run goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from procsup.core.records import End
from procsup.store.reader import read_journal
from tests.support.gate import Gate
from tests.support.projects import PROGRAMS, ROOT, Project, finish, kill

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="a shell and signals of POSIX")

WORKER = """
import os, sys
with open("ran", "a") as log:
    log.write(sys.argv[1] + "\\n")
sys.exit(os.path.exists("bad-" + sys.argv[1]) * 7)
"""
RUN = """
vars = { word = "x" }
[stage.s]
script = "worker.py"
args = ["{n}-{word}"]
matrix.n = ["a", "b", "c"]
[stage.t]
script = "worker.py"
args = ["t-{word}"]
after = ["s"]
"""


@pytest.fixture
def made(tmp_path):
    """A run of which ``s/n=a`` and ``s/n=b`` failed."""
    project = Project(tmp_path, RUN)
    project.write("worker.py", WORKER)
    for name in ("a", "b"):
        project.write(f"bad-{name}-x", "")
    project.run("-q", expect=1)
    (tmp_path / "ran").unlink()
    return project


def ran(project):
    path = project.folder / "ran"
    return sorted(path.read_text().split()) if path.exists() else []


def mend(project, *names):
    for name in names:
        (project.folder / f"bad-{name}-x").unlink()


def test_what_did_not_succeed_runs_again_and_nothing_else(made):
    mend(made, "a", "b")

    done = made.call("retry", "run")

    assert done.returncode == 0, done.stderr
    assert ran(made) == ["a-x", "b-x", "t-x"]
    assert set(made.verdicts.values()) == {"succeeded"}
    assert "kept 1 of 4" in done.stderr
    assert "2 failed before, 1 skipped before" in done.stderr
    assert made.starts()[-3:] == ["s/n=a#2", "s/n=b#2", "t#1"]
    again = made.call("retry", "run")
    assert (again.returncode, ran(made)) == (0, ["a-x", "b-x", "t-x"])
    assert "there is nothing to retry" in again.stderr


def test_one_that_is_named_runs_and_the_others_keep_their_verdicts(made):
    mend(made, "a")

    done = made.call("retry", "run", "s/n=a")

    assert done.returncode == 1, done.stderr
    assert ran(made) == ["a-x"]
    assert made.verdicts == {
        "s/n=a": "succeeded",
        "s/n=b": "failed",
        "s/n=c": "succeeded",
        "t": "skipped",
    }
    status = json.loads(made.call("status", "run", "--json").stdout)
    counts = status["stages"]["s"]
    assert (counts["succeeded"], counts["failed"], counts["kept"]) == (2, 1, 1)
    assert [one["id"] for one in status["failures"]] == ["s/n=b"]


def test_a_success_that_is_named_runs_again_with_what_depends_on_it(made):
    mend(made, "a", "b")
    made.call("retry", "run")
    (made.folder / "ran").unlink()

    done = made.call("retry", "run", "n=c", "--json")

    assert (done.returncode, ran(made)) == (0, ["c-x", "t-x"])
    assert json.loads(done.stdout)["status"] == "succeeded"


def test_the_variables_and_the_folder_of_the_run_are_used_again(tmp_path):
    project = Project(tmp_path, RUN)
    project.write("worker.py", WORKER)
    project.write("bad-a-y", "")
    project.run("-q", "--var", "word=y", "--dir", "elsewhere", expect=1)
    (tmp_path / "ran").unlink()
    (tmp_path / "bad-a-y").unlink()

    done = project.call("retry", os.path.join("elsewhere", "run"))

    assert (done.returncode, ran(project)) == (0, ["a-y", "t-y"])
    assert not (tmp_path / ".procsup").exists()


def test_what_cannot_be_retried_is_refused_and_nothing_is_begun(made):
    sittings = len(made.records("begin"))
    for words, code, said in [
        (["nope"], 2, "no run 'nope'"),
        (["run", "nope"], 2, "'nope' selects no unit"),
        (["run", "--here"], 2, "name one UNIT"),
        (["run", "s", "--here"], 2, "'s' selects 3"),
        ([f"{made.rundir}@other"], 3, "superseded"),
    ]:
        done = made.call("retry", *words)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    made.write("run.toml", RUN.replace("vars", 'name = "other"\nvars'))
    assert "has another name by now" in made.call("retry", "run").stderr
    os.unlink(made.folder / "run.toml")
    done = made.call("retry", "run")
    assert (done.returncode, "is gone" in done.stderr) == (2, True)
    assert len(made.records("begin")) == sittings


def test_a_dry_run_shows_the_plan_and_begins_nothing(made):
    sittings = len(made.records("begin"))

    done = made.call("retry", "run", "s/n=a", "--dry-run")

    assert done.returncode == 0
    assert "run (failed before)  s/n=a" in done.stdout
    assert "leave as it is (failed before)  s/n=b" in done.stdout
    assert "s: 3 units: 1 kept, 1 to run, 1 left as they are\n" in done.stdout
    assert len(made.records("begin")) == sittings


def test_a_detached_retry_can_be_waited_for(made):
    mend(made, "a", "b")

    done = made.call("retry", "run", "--detach")

    assert done.returncode == 0, done.stderr
    assert made.call("wait", done.stdout.strip()).returncode == 0
    assert set(made.verdicts.values()) == {"succeeded"}


# --- by hand -----------------------------------------------------------------------------------


def test_a_unit_run_here_leaves_no_record(made):
    before = sorted(
        (path, path.stat().st_mtime_ns) for path in made.rundir.rglob("*") if path.is_file()
    )

    done = made.call("retry", "run", "n=a", "--here")

    assert done.returncode == 7
    assert ran(made) == ["a-x"]
    assert "s/n=a, in the foreground: nothing of this is recorded" in done.stderr
    after = sorted(
        (path, path.stat().st_mtime_ns) for path in made.rundir.rglob("*") if path.is_file()
    )
    assert after == before


@pytest.mark.skipif(sys.platform == "win32", reason="scripts of POSIX")
def test_a_script_without_an_interpreter_line_is_run_here_as_in_the_run(tmp_path):
    project = Project(tmp_path, '[stage.s]\ncommand = ["./tool", "word"]\n')
    project.write("tool", 'echo "got $1"\n').chmod(0o755)
    project.run("-q")

    assert project.call("logs", "run").stdout == "got word\n"
    assert project.call("retry", "run", "s", "--here").stdout == "got word\n"
    line = project.call("retry", "run", "s", "--here", "--dry-run").stdout
    assert subprocess.check_output(["sh", "-c", line], text=True, timeout=30) == "got word\n"


def test_a_unit_run_here_has_its_folder_environment_and_streams(tmp_path):
    code = "import os; print(os.getcwd(), os.environ['A'], os.environ['PROCSUP_UNIT'], input())"
    (tmp_path / "work").mkdir()
    project = Project(tmp_path)
    project.write("in.txt", "line\n")
    project.write(
        "run.toml",
        f"[stage.s]\ncommand = [{json.dumps(sys.executable)}, '-c', {json.dumps(code)}]\n"
        'cwd = "work"\nenv = { A = "it is" }\nstdin = "in.txt"\nstdout = "out.txt"\n',
    )
    project.run("-q")
    (tmp_path / "out.txt").unlink()

    done = project.call("retry", "run", "s", "--here")

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'work'} it is s line\n"
    assert not (tmp_path / "out.txt").exists()
    line = project.call("retry", "run", "s", "--here", "--dry-run").stdout
    if sys.platform == "win32":
        assert line.startswith(f"Set-Location -LiteralPath '{tmp_path / 'work'}'; ${{env:")
        assert "-RedirectStandardInput" in line
    else:
        shell = subprocess.run(["sh", "-c", line], stdout=subprocess.PIPE, text=True, timeout=30)
        assert shell.stdout == done.stdout


def test_a_secret_reaches_a_unit_run_here_and_is_not_shown(tmp_path):
    code = "import os, sys; sys.exit(os.environ['TOKEN'][::-1] != 'hsuh')"
    project = Project(tmp_path)
    project.write(
        "run.toml",
        f"[stage.s]\ncommand = [{json.dumps(sys.executable)}, '-c', {json.dumps(code)}]\n"
        'secrets = ["TOKEN"]\n',
    )
    project.call("run", "run.toml", "-q", env={"TOKEN": "hush"})

    done = project.call("retry", "run", "s", "--here", env={"TOKEN": "hush"})
    assert (done.returncode, "hush" in done.stderr + done.stdout) == (0, False)
    unset = project.call("retry", "run", "s", "--here")
    assert (unset.returncode, "TOKEN is not set" in unset.stderr) == (2, True)


@posix_only
def test_control_c_goes_to_the_unit_and_its_signal_is_the_verb_s(tmp_path):
    with Gate() as gate:
        program = [sys.executable, str(PROGRAMS / "gated.py"), str(gate.port), "a"]
        project = Project(tmp_path, f"[stage.s]\ncommand = {json.dumps(program)}\n")
        first = project.start("run", "run.toml", "-q")
        gate.meet("a").exit(0)
        finish(first)

        child = project.start("retry", "run", "s", "--here", start_new_session=True)
        unit = gate.meet("a")
        os.killpg(child.pid, signal.SIGINT)
        assert unit.ends_within(10)
        finish(child)

    # Python turns the signal into its own; a shell would see either.
    assert child.returncode in (-signal.SIGINT, 128 + signal.SIGINT, 1)


# --- while somebody works on it ----------------------------------------------------------------


def make_gated(tmp_path, gate, names):
    program = [sys.executable, str(PROGRAMS / "gated.py"), str(gate.port), "{n}"]
    text = f"[stage.s]\ncommand = {json.dumps(program)}\nmatrix.n = {json.dumps(names)}\n"
    return Project(tmp_path, text)


def wait_for_ends(project, unit, number, limit_s=10.0):
    """The gate tells of a death, the journal of its record."""
    deadline = time.monotonic() + limit_s
    journal = project.rundir / "journal.jsonl"

    def ends():  # of whole lines: the last one may be on its way
        records = (entry.record for entry in read_journal(journal))
        return sum(isinstance(record, End) and record.unit == unit for record in records)

    while ends() < number:
        assert time.monotonic() < deadline, f"fewer than {number} ends of {unit}"


def test_a_live_run_queues_again_what_has_failed(tmp_path):
    with Gate() as gate:
        project = make_gated(tmp_path, gate, ["a", "b"])
        child = project.start("run", "run.toml", "--jobs", "2")
        first, other = gate.meet("a"), gate.meet("b")
        first.exit(3)
        wait_for_ends(project, "s/n=a", 1)

        refused = project.call("retry", "run", "s/n=b")
        asked = project.call("retry", "run", "--json")

        gate.meet("a").exit(0)
        other.exit(0)
        _out, err = finish(child)

    assert (refused.returncode, "has no verdict yet" in refused.stderr) == (2, True)
    assert (asked.returncode, json.loads(asked.stdout)["message"]) == (0, "1 unit queued again")
    assert child.returncode == 0, err
    assert project.verdicts == {"s/n=a": "succeeded", "s/n=b": "succeeded"}
    assert "did not succeed" not in err


def test_a_live_unit_is_not_run_here_a_second_time(tmp_path):
    with Gate() as gate:
        project = make_gated(tmp_path, gate, ["a", "b"])
        child = project.start("run", "run.toml", "--jobs", "2", "-q")
        live = [gate.meet("a"), gate.meet("b")]

        done = project.call("retry", "run", "s/n=a", "--here")

        for one in live:
            one.exit(0)
        finish(child)
    assert (done.returncode, "s/n=a runs right now" in done.stderr) == (75, True)


@posix_only
def test_a_retry_that_is_killed_is_resumed_and_nothing_runs_twice(tmp_path):
    with Gate() as gate:
        project = make_gated(tmp_path, gate, ["a", "b", "c"])
        child = project.start("run", "run.toml", "--jobs", "3", "-q")
        for name, code in (("a", 1), ("b", 1), ("c", 0)):
            gate.meet(name).exit(code)
        finish(child)

        again = project.start("retry", "run", "--jobs", "2", "-q")
        done, live = gate.meet("a"), gate.meet("b")
        done.exit(0)
        wait_for_ends(project, "s/n=a", 2)
        kill(project.supervisor_pid)
        assert live.ends_within(10)
        finish(again)
        assert not (project.rundir / "manifest.json").exists()

        last = project.start("retry", "run", "-q")
        gate.meet("b").exit(0)
        finish(last)

    assert last.returncode == 0
    assert set(project.verdicts.values()) == {"succeeded"}
    assert [one for one in project.starts() if one.startswith("s/n=a")] == ["s/n=a#1", "s/n=a#2"]


def test_a_run_of_the_library_is_retried_by_its_plan(tmp_path):
    code = "import os, sys; sys.exit(os.path.exists('bad'))"
    project = Project(tmp_path)
    project.write("bad", "")
    project.write(
        "script.py",
        "import procsup, sys\n"
        f"procsup.run_units([[sys.executable, '-c', {code!r}]], name='run', check=False,"
        " progress='none')\n",
    )
    subprocess.run(
        [sys.executable, "script.py"],
        cwd=str(tmp_path),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=60,
    )
    (tmp_path / "bad").unlink()

    hand = project.call("retry", "run", "*", "--here")
    done = project.call("retry", "run")

    assert hand.returncode == 0, hand.stderr
    assert done.returncode == 0, done.stderr
    assert set(project.verdicts.values()) == {"succeeded"}

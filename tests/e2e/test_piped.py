"""The same runs with the units behind a pipe: nothing that a person sees depends on the seam."""

import json
import os
import shutil
import signal
import sys

import pytest

from tests.support.gate import Gate, complete
from tests.support.projects import PROGRAMS, PYTHON, PipedProject, Project, finish, kill, slashed

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="names that are no text, bash, and kills by signals"
)

# Its arguments say what it does; what it is given goes to its stdout.
UNIT = """
import json, os, sys
from pathlib import Path
how, *outputs = sys.argv[1:]
attempt = int(os.environ["PROCSUP_ATTEMPT"])
if how == "flaky" and attempt == 1:
    sys.exit(9)
if how == "killed":
    os.kill(os.getpid(), 9)
if how != "lazy":
    for path in outputs:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_text(how)
given = {name: value for name, value in os.environ.items() if name.startswith("PROCSUP_")}
given["SECRET"] = os.environ.get("SECRET")
if "PROCSUP_UNIT_FILE" in given:
    given["PROCSUP_UNIT_FILE"] = json.loads(Path(given["PROCSUP_UNIT_FILE"]).read_text())
given.pop("PROCSUP_RUN")
print(json.dumps(given, sort_keys=True).replace(os.environ["PROCSUP_RUN"], "RUN"))
print(sys.stdin.read())
sys.exit(7 if how == "fails" else 0)
"""
RUN = r"""
jobs = 2
[defaults]
grace = "5s"

[stage.make]
script = "unit.py"
matrix.how = ["good", "fails", "flaky", "lazy", "killed", "naïve 部 \n\"x\" {{y}}"]
args = ["{how}", "{outputs[0]}"]
outputs = ["out/{index}.txt"]
retries = { times = 1, on = ["failed"] }
secrets = ["SECRET"]
env = { GREETING = "hello\n❤", EMPTY = "" }

[stage.each]
for-each = "make"
script = "unit.py"
args = ["good", "{outputs.one}", "{outputs.two}"]
inputs = { of = "{make.outputs[0]}" }
outputs = { one = "each/{index}/one", two = { path = "each/{index}/two", optional = true } }
stdin = "unit.py"
stdout = "each/{index}/said"
unit-file = true
scratch = true

[stage.names]
matrix.source.glob = "odd/*"
script = "unit.py"
args = ["good", "names/{source.name}", "{scratch}"]
outputs = ["names/{source.name}"]
unit-file = true
scratch = true

[stage.numbers]
matrix.n = [0.10, 1e300, -7, 9223372036854775807, true, "", "0.10"]
script = "unit.py"
args = ["good", "numbers/{index}/a", "{n}"]
outputs = ["numbers/{index}/*"]
id = "n{index}"

[stage.slow]
shell = "sleep 60"
timeout = "500ms"

[stage.take]
shell = "rm gone.sh"

[stage.none]
after = ["take"]
command = ["./gone.sh"]

[stage.lines]
after = [{ stage = "make", when = "finished" }]
shell = "cat {inputs.file}; exec 3> lines.held; (sleep 0.3; echo late >&3) & echo early >&3"
inputs = { a = "odd/*", b = "unit.py" }
outputs = ["lines.held"]

[stage.after]
after = ["make"]
command = ["true"]
"""
# Times, pids, and what is measured.
VARIES = {
    *("run_id", "started", "ended", "journal", "wall_s", "cpu_s", "pid", "cpu_user_s"),
    *("cpu_system_s", "samples", "sample_interval_s", "linger_s", "affinity"),
    *("mtime_ns", "ctime_ns", "inode"),
    *("peak_memory_bytes", "peak_memory_source", "peak_processes"),
}


def without_what_varies(value):
    if isinstance(value, dict):
        return {k: without_what_varies(v) for k, v in value.items() if k not in VARIES}
    if isinstance(value, list):
        return [without_what_varies(item) for item in value]
    return value


def laid(kind, folder):
    """The project, in an empty folder of that name."""
    shutil.rmtree(folder, ignore_errors=True)
    made = kind(folder)
    made.write("run.toml", RUN)
    made.write("unit.py", UNIT)
    made.write("gone.sh", "#!/bin/sh\n").chmod(0o700)
    (folder / "odd").mkdir()
    for name in (b"plain", b"new\nline", b"caf\xe9 \xff", "❤ {x} 'q' \"p\"".encode()):
        (folder / "odd" / os.fsdecode(name)).write_text("x")
    return made


def logs_of(made):
    """What every attempt printed, by the path that its record names."""
    attempts = [attempt for unit in made.manifest["units"] for attempt in unit["attempts"]]
    paths = {attempt["stdout_path"] for attempt in attempts if attempt["stdout_path"]}
    return {path: (made.rundir / path).read_bytes() for path in paths if path[0] != "/"}


def test_a_plan_ends_in_the_same_manifest_through_a_pipe(tmp_path):
    told = []
    for kind in (Project, PipedProject):
        made = laid(kind, tmp_path / "p")
        done = made.call("run", "run.toml", env={"SECRET": "hush 8d5c"})
        assert done.returncode == 1, done.stderr
        told.append((without_what_varies(made.manifest), logs_of(made)))
        said = done.stderr
    near, far = told

    assert near[0] == far[0]
    assert near[1] == far[1]
    verdicts = {unit["verdict"] for unit in far[0]["units"]}
    expected = {"succeeded", "failed", "timed-out", "bad-output", "not-started", "skipped"}
    assert expected == verdicts, said
    assert any(len(unit["attempts"]) == 2 for unit in far[0]["units"])
    assert "hush 8d5c" in str(far[1])
    assert "hush 8d5c" not in json.dumps(far[0])


def test_what_was_finished_through_a_pipe_is_kept_without_one(tmp_path):
    made = laid(PipedProject, tmp_path / "p")
    made.call("run", "run.toml", env={"SECRET": "x"})
    good = {u["id"] for u in made.manifest["units"] if u["verdict"] == "succeeded"}
    made.write("gone.sh", "#!/bin/sh\n").chmod(0o700)

    Project(made.folder).call("run", "run.toml", env={"SECRET": "x"})

    kept = {u["id"] for u in made.manifest["units"] if u["kept"]}
    assert good - kept == set()


# --- deaths ----------------------------------------------------------------------------------

GATED = """
[stage.s]
grace = "1s"
command = ["{python}", "{program}", "{port}", "{{n}}", "--daemon", "--lock", "{{n}}.lock"]
matrix.n = ["a", "b"]
"""


@pytest.fixture
def gate():
    with Gate() as gate:
        yield gate


def begin(tmp_path, gate):
    """Start a run; return it, its process and everybody who lives."""
    program = PROGRAMS / "gated.py"
    text = GATED.format(python=PYTHON, program=slashed(program), port=gate.port)
    made = PipedProject(tmp_path, text)
    child = made.start("run", "run.toml", "--jobs", "2")
    return made, child, [gate.meet(name) for name in ("a", "b", "a-daemon", "b-daemon")]


@pytest.mark.parametrize("who", ["served", "its guard"])
def test_after_a_death_behind_the_pipe_nothing_lives_and_the_run_says_so(tmp_path, gate, who):
    made, child, crowd = begin(tmp_path, gate)
    guard, served = made.far_pids

    kill(served if who == "served" else guard)

    assert [visitor.ends_within(1.0) for visitor in crowd] == [True] * 4
    _out, err = finish(child)
    assert child.returncode == 1, err
    units = made.manifest["units"]
    said = {(unit["verdict"], unit["cause"]) for unit in units}
    assert said == {("lost", "the process that ran it died")}
    complete(Project(tmp_path), gate)


@pytest.mark.parametrize("who", ["supervisor", "its guard"])
def test_after_a_death_before_the_pipe_nothing_lives(tmp_path, gate, who):
    made, child, crowd = begin(tmp_path, gate)

    kill(made.supervisor_pid if who == "supervisor" else child.pid)

    assert [visitor.ends_within(1.0) for visitor in crowd] == [True] * 4
    finish(child)
    complete(Project(tmp_path), gate)


def test_after_the_death_of_supervisor_and_guard_the_end_of_the_pipe_ends_all(tmp_path, gate):
    made, child, crowd = begin(tmp_path, gate)
    supervisor = made.supervisor_pid

    os.kill(child.pid, signal.SIGSTOP)  # so that it cannot see the other's death
    kill(supervisor)
    kill(child.pid)

    assert [visitor.ends_within(1.0) for visitor in crowd] == [True] * 4
    finish(child)
    complete(Project(tmp_path), gate)


def test_an_interrupt_ends_the_units_as_without_a_pipe(tmp_path, gate):
    made, child, crowd = begin(tmp_path, gate)

    kill(child.pid, signal.SIGINT)

    finish(child)
    assert child.returncode == -signal.SIGINT
    assert [visitor.ends_within(0.1) for visitor in crowd] == [True] * 4
    ends = made.records("end")
    assert {(end["verdict"], end["stopped_for"]) for end in ends} == {("cancelled", "user")}
    complete(Project(tmp_path), gate)

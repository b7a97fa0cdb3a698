"""`procsup map` with inputs that come while the first units run."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.faults.laws import until
from tests.support.projects import LIMIT_S, PROGRAMS, ROOT

GATED = [sys.executable, "-S", str(PROGRAMS / "gated.py")]
POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def call(folder, *words, **more):
    return subprocess.run(
        [sys.executable, "-m", "procsup", *words],
        cwd=str(folder),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        **more,
    )


class Stream:
    """A `map` whose stdin stays open."""

    program = ("-m", "procsup")

    def __init__(self, folder, *words, **settings):
        self.folder = folder
        self.child = subprocess.Popen(
            [sys.executable, *self.program, "map", "--name", "m", *words],
            cwd=str(folder),
            env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, text):
        self.child.stdin.write(text)
        self.child.stdin.flush()

    def has_kept_one(self):
        """Whether a live run has kept a unit of an earlier one."""
        stage = json.loads(call(self.folder, "status", "m", "--json").stdout)["stages"]["map"]
        return stage["kept"] == 1 and stage["status"] == "open"

    def end(self, text=""):
        return self.child.communicate(text, timeout=LIMIT_S)


@pytest.fixture
def stream(tmp_path, gate):
    started = []

    def start(*words):
        started.append(Stream(tmp_path, *words, *GATED, str(gate.port)))
        return started[-1]

    yield start
    for one in started:
        if one.child.poll() is None:
            one.child.kill()
            one.end()


def test_a_unit_runs_while_the_next_input_has_not_come(stream, gate):
    run = stream("-j1")
    run.send("a\n")
    gate.meet("a").exit(0)
    run.send("b\n")
    gate.meet("b").exit(3)

    run.end()

    assert run.child.returncode == 1
    manifest = json.loads((run.folder / ".procsup" / "m" / "manifest.json").read_text())
    assert [unit["verdict"] for unit in manifest["units"]] == ["succeeded", "failed"]
    last = (run.folder / ".procsup" / "m" / "plan.jsonl").read_text().splitlines()[-1]
    assert json.loads(last) == {"end": 2}


def test_a_run_whose_input_has_not_ended_is_not_final_whoever_asks(stream, gate):
    run = stream()
    run.send("a\n")
    gate.meet("a").exit(0)

    assert call(run.folder, "wait", "m", "--timeout", "1s").returncode == 124
    assert call(run.folder, "list").stdout.split()[:10][-1] == "1/1+"
    run.end()

    assert call(run.folder, "wait", "m").returncode == 0


def test_a_run_without_any_input_yet_is_begun(stream, gate):
    run = stream()
    waited = call(run.folder, "wait", "m", "--start-timeout", "60s", "--timeout", "1s")
    assert waited.returncode == 124

    _, err = run.end()

    assert run.child.returncode == 0, err
    assert "m succeeded: nothing was done" in err


def test_its_plan_holds_back_the_program_that_makes_the_inputs(stream, gate):
    run = stream("-j1")
    writer, size = run.child.stdin.fileno(), 0
    os.set_blocking(writer, False)
    gate_is_shut = "x" * 999 + "\n"
    try:
        while size < 1 << 24:
            size += os.write(writer, gate_is_shut.encode())
            if size % 100_000 == 0:
                gate.may_meet("x", 0.0)
    except BlockingIOError:
        pass
    assert size < 1 << 22  # a pipe, 700 lines, and what is between them


def test_output_in_the_order_of_inputs_that_come_late(stream, gate):
    run = stream("-j2", "-k")
    run.send("a\nb\n")
    first = gate.meet("a")
    gate.meet("b").exit(0)
    run.send("c\n")
    gate.meet("c").exit(0)
    first.exit(0)

    run.end()
    assert run.child.returncode == 0


@POSIX
def test_an_interpreter_is_asked_once_however_often_inputs_come(tmp_path, gate):
    starts = tmp_path / "starts"
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho >> {starts}\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    (python.parent.parent / "pyvenv.cfg").touch()
    script = [str(PROGRAMS / "gated.py"), str(gate.port)]
    run = Stream(tmp_path, "-j1", *script, VIRTUAL_ENV=str(python.parent.parent))
    for number in range(5):
        run.send(f"{number}\n")
        gate.meet(str(number)).exit(0)

    run.end()

    assert run.child.returncode == 0
    assert starts.read_text().count("\n") == 5 + 1


def test_units_that_end_are_seen_while_no_input_comes_and_no_thread_can_be_had(
    tmp_path, gate, monkeypatch
):
    monkeypatch.setattr(Stream, "program", ("-c", NO_THREAD))
    run = Stream(tmp_path, "-j1", *GATED, str(gate.port))
    run.send("a\n")
    gate.meet("a").exit(3)
    journal = tmp_path / ".procsup" / "m" / "journal.jsonl"
    until(lambda: '"verdict":"failed"' in journal.read_text(), "its end is not seen", LIMIT_S)
    run.send("b\n")
    gate.meet("b").exit(0)

    run.end()

    assert run.child.returncode == 1


NO_THREAD = """
import sys
from procsup.cli.main import main
from procsup.host import threads

start = threads.try_start_thread
threads.try_start_thread = lambda work, name: name != "procsup-expand" and start(work, name) or None
sys.exit(main())
"""


@POSIX
def test_an_interrupt_while_no_input_comes_ends_it(stream, gate):
    run = stream()
    run.send("a\n")
    visitor = gate.meet("a")
    run.child.send_signal(signal.SIGINT)
    assert visitor.ends_within(LIMIT_S)

    _, err = run.child.communicate(timeout=LIMIT_S)

    assert run.child.returncode == -signal.SIGINT
    assert "m is not finished: interrupted by SIGINT" in err
    assert "  the same line again    # goes on where this ended" in err
    again = call(run.folder, "run", ".procsup/m/plan.jsonl")
    assert (again.returncode, "the plan has no last line" in again.stderr) == (2, True)


def test_a_stop_while_no_input_comes_ends_it(stream, gate):
    run = stream()
    run.send("a\n")
    gate.meet("a")

    assert call(run.folder, "stop", "m").returncode == 0
    assert run.child.wait(timeout=LIMIT_S) == 3
    run.end()


def test_a_wrong_row_ends_the_run_and_what_runs_may_finish(stream, gate):
    run = stream("--csv", "-j1")
    run.send("a\n")
    visitor = gate.meet("a")
    run.send('"b"x\n')
    visitor.exit(0)

    _, err = run.end()
    assert run.child.returncode == 2
    assert "line 2" in err


def test_equal_inputs_have_ids_of_their_own(tmp_path):
    done = call(tmp_path, "map", "--name", "m", "echo", input="y\ny #2\ny\ny\n")

    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / ".procsup" / "m" / "manifest.json").read_text())
    ids = [unit["id"] for unit in manifest["units"]]
    assert ids == ["map/y", "map/y #2", "map/y #3", "map/y #4"]


def test_more_units_than_stay_in_memory_are_all_in_the_manifest_in_order(tmp_path):
    text = "".join(f"{number}\n" for number in range(1100))

    done = call(tmp_path, "map", "--name", "m", "-j4", "-k", "echo", input=text)

    assert (done.returncode, done.stdout) == (0, text), done.stderr
    manifest = json.loads((tmp_path / ".procsup" / "m" / "manifest.json").read_text())
    assert [unit["id"] for unit in manifest["units"]] == [f"map/{n}" for n in range(1100)]
    assert call(tmp_path, "verify", "m").returncode == 0


def test_a_stream_that_a_failure_ended_is_not_whole_and_no_retry_says_that_it_has_succeeded(
    stream, gate
):
    run = stream("-j1", "--halt", "now,fail=1")
    run.send("a\nb\n")
    gate.meet("a").exit(1)
    _, err = run.end("c\n")

    assert run.child.returncode == 1
    assert "  the same line again    # goes on where this ended" in err
    again = call(run.folder, "retry", "m")
    assert (again.returncode, "the plan has no last line" in again.stderr) == (2, True)


def test_an_older_result_does_not_stand_while_more_inputs_may_come(stream, gate):
    first = stream()
    first.send("a\n")
    gate.meet("a").exit(0)
    first.end()
    assert first.child.returncode == 0

    second = stream()
    second.send("a\n")
    until(second.has_kept_one, "it has kept nothing", LIMIT_S)
    assert call(second.folder, "stop", "m").returncode == 0
    second.end()

    assert call(second.folder, "wait", "m").returncode == 3

"""P3, P4, P6: whatever is killed, no process stays, no unit lives twice, waiters know at once."""

import os
import signal
import sys
import time

import pytest

from tests.support.gate import Gate, complete
from tests.support.projects import (
    PROGRAMS,
    PYTHON,
    ROOT,
    Project,
    finish,
    kill,
    slashed,
    wait_for,
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="kills by signals; Windows ends trees by Job Objects"
)

RUN = """
[stage.s]
command = ["{python}", "{program}", "{port}", "{{n}}", "--daemon", {options} "--lock", "{{n}}.lock"]
matrix.n = ["a", "b"]
"""


def project(tmp_path, gate, *options):
    text = RUN.format(
        python=PYTHON,
        program=slashed(PROGRAMS / "gated.py"),
        port=gate.port,
        options="".join(f'"{option}", ' for option in options),
    )
    return Project(tmp_path, text)


@pytest.fixture
def gate():
    with Gate() as gate:
        yield gate


def begin(made, gate):
    """Start the run; returns the guard's Popen and everybody who lives."""
    child = made.start("run", "run.toml", "--jobs", "2")
    return child, [gate.meet(name) for name in ("a", "b", "a-daemon", "b-daemon")]


def wait_for_records(made, kind, number, limit_s=10.0):
    deadline = time.monotonic() + limit_s
    while len(made.records(kind)) < number:
        assert time.monotonic() < deadline, f"fewer than {number} {kind} records"


@pytest.mark.survives("F03")
@pytest.mark.parametrize("options", [(), ("--ignore-term",), ("--scrub",)])
def test_after_the_death_of_the_supervisor_nothing_of_the_run_lives(tmp_path, gate, options):
    made = project(tmp_path, gate, *options)
    child, crowd = begin(made, gate)
    waiter = made.start("wait", "run", "--start-timeout", "0")

    kill(made.supervisor_pid)

    assert [visitor.ends_within(1.0) for visitor in crowd] == [True] * 4
    finish(child)
    assert child.returncode == -signal.SIGKILL
    _, said = finish(waiter, 5.0)
    assert waiter.returncode == 3
    assert "died" in said

    complete(made, gate)

    assert made.starts() == ["s/n=a#1", "s/n=b#1", "s/n=a#2", "s/n=b#2"]


@pytest.mark.survives("F04")
def test_after_the_death_of_the_guard_nothing_of_the_run_lives(tmp_path, gate):
    made = project(tmp_path, gate)
    child, crowd = begin(made, gate)
    waiter = made.start("wait", "run", "--start-timeout", "0")

    kill(child.pid)

    assert [visitor.ends_within(1.0) for visitor in crowd] == [True] * 4
    finish(child)
    _, said = finish(waiter, 5.0)
    assert waiter.returncode == 3
    assert "guard" in said
    causes = [end["cause"].partition(" (")[0] for end in made.records("end")]
    assert causes == ["the guard process died"] * 2

    complete(made, gate)


STICK = """
import os, re
from procsup.host import watchdog
from procsup.store.control import ControlInbox
from procsup.supervisor import session

def stick(real):
    def stuck(*args, **more):
        if os.path.exists("stick"):
            open("is-stuck", "w").close()
            re.match("(a*)*b", "a" * 99)  # it holds the interpreter's lock for ever
        return real(*args, **more)
    return stuck

watchdog.CPU_LIMIT_S, watchdog.RESET_EVERY_S = 0.5, 0.02
session.read = stick(session.read)
ControlInbox.drain = stick(ControlInbox.drain)
"""


def sticking(made):
    """The environment of a supervisor that is stuck as soon as there is a file `stick`."""
    made.write("site/sitecustomize.py", STICK)
    return {"PYTHONPATH": os.pathsep.join([str(made.folder / "site"), str(ROOT)])}


def stick_while_units_run(made, gate, *options):
    """Let a supervisor get stuck while units run; return its starter and them."""
    child = made.start("run", "run.toml", "--jobs", "2", *options, env=sticking(made))
    crowd = [gate.meet(name) for name in ("a", "b", "a-daemon", "b-daemon")]
    wait_for_records(made, "spawned", 2)
    made.write("stick", "")
    return child, crowd


@pytest.mark.survives("F90")
def test_a_supervisor_that_is_stuck_is_ended_and_nothing_of_its_run_lives(tmp_path, gate):
    made = project(tmp_path, gate)
    child, crowd = stick_while_units_run(made, gate)
    waiter = made.start("wait", "run", "--start-timeout", "0")

    _, err = finish(child)

    assert child.returncode == -signal.SIGPROF
    assert "the supervisor was stuck" in err
    assert [visitor.ends_within(1.0) for visitor in crowd] == [True] * 4
    finish(waiter)
    assert waiter.returncode == 3
    os.unlink(made.folder / "stick")
    complete(made, gate)


@pytest.mark.survives("F90")
def test_the_log_of_a_detached_run_tells_where_its_supervisor_was_stuck(tmp_path, gate):
    made = project(tmp_path, gate)
    child, crowd = stick_while_units_run(made, gate, "--detach")
    finish(child)

    assert made.call("wait", "run").returncode == 3
    assert [visitor.ends_within(1.0) for visitor in crowd] == [True] * 4
    assert " in stuck\n" in (made.rundir / "supervisor.log").read_text()


@pytest.mark.survives("F90")
@pytest.mark.parametrize("when", ["before any unit", "while units run"])
def test_a_supervisor_that_is_stuck_does_not_outlive_its_guard(tmp_path, gate, when):
    made = project(tmp_path, gate)
    if when == "before any unit":
        made.write("stick", "")
        child = made.start("run", "run.toml", env=sticking(made))
    else:
        child, _ = stick_while_units_run(made, gate)
    wait_for(made, "is-stuck")

    kill(child.pid)

    finish(child)  # the end of its stderr, which the supervisor holds
    os.unlink(made.folder / "stick")
    complete(made, gate)  # units that still lived are ended first


def die_both(tmp_path, gate, shed, *, waiting=False):
    """Begin a run, and let guard and supervisor die in one instant; return it and its units."""
    made = project(tmp_path, gate)
    if shed:  # units that dropped their environment and the lock that they inherited
        text = (tmp_path / "run.toml").read_text().replace("--daemon", "--shed")
        made.write("run.toml", text)
        child = made.start("run", "run.toml", "--jobs", "2")
        crowd = [gate.meet(name) for name in ("a", "b")]
        wait_for_records(made, "spawned", 2)
    else:
        child, crowd = begin(made, gate)
    waiter = made.start("wait", "run", "--start-timeout", "0") if waiting else None
    supervisor = made.supervisor_pid

    os.kill(child.pid, signal.SIGSTOP)  # so that it cannot see the other's death
    kill(supervisor)
    kill(child.pid)

    if waiter is not None:
        finish(waiter, 5.0)
        assert waiter.returncode == 3
    finish(child)
    return made, crowd


@pytest.mark.survives("F05")
@pytest.mark.parametrize("shed", [False, True])
def test_after_the_death_of_both_the_next_sitting_ends_what_is_left_first(tmp_path, gate, shed):
    made, crowd = die_both(tmp_path, gate, shed, waiting=True)
    survivors = [visitor for visitor in crowd if visitor.lives]
    assert survivors or not shed

    complete(made, gate)  # each unit holds a lock: a second live copy would exit 99

    assert [True] * len(survivors) == [visitor.ends_within(0.1) for visitor in survivors]


@pytest.mark.survives("F05")
@pytest.mark.parametrize("shed", [False, True])
def test_after_the_death_of_both_a_stop_ends_what_is_left(tmp_path, gate, shed):
    made, crowd = die_both(tmp_path, gate, shed)
    survivors = [visitor for visitor in crowd if visitor.lives]
    assert survivors or not shed
    waited = made.call("wait", "run")
    assert waited.returncode == 3
    if survivors and not shed:
        assert "units of it still run: `procsup stop` ends them" in waited.stderr

    stopped = made.call("stop", "run")

    assert [True] * len(survivors) == [visitor.ends_within(0.1) for visitor in survivors]
    assert stopped.returncode == (0 if survivors else 3), stopped.stderr
    for visitor in survivors:
        assert f"ended process {visitor.pid} of " in stopped.stderr
    again = made.call("stop", "run")
    assert again.returncode == 3
    assert "there is nothing to stop" in again.stderr
    assert "still run" not in made.call("wait", "run").stderr


@pytest.mark.survives("F03")
def test_finished_units_are_not_run_again_after_a_death(tmp_path, gate):
    made = project(tmp_path, gate)
    child, (a, b, *_daemons) = begin(made, gate)
    a.exit(0)
    wait_for_records(made, "end", 1)
    kill(made.supervisor_pid)
    finish(child)
    assert b.ends_within(1.0)

    again = made.start("run", "run.toml")
    gate.meet("b").exit(0)
    _, err = finish(again)

    assert "kept 1 of 2" in err
    assert made.starts() == ["s/n=a#1", "s/n=b#1", "s/n=b#2"]
    assert made.verdicts == {"s/n=a": "succeeded", "s/n=b": "succeeded"}


@pytest.mark.survives("F42")
def test_a_second_supervisor_is_refused_and_the_first_goes_on(tmp_path, gate):
    made = project(tmp_path, gate)
    child, (a, b, *_daemons) = begin(made, gate)

    second = made.call("run", "run.toml")

    assert second.returncode == 75
    assert str(made.supervisor_pid) in second.stderr
    a.exit(0)
    b.exit(0)
    finish(child)
    assert child.returncode == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_trees_and_procsup_dies_by_it(tmp_path, gate, name):
    signum = signal.Signals[name]
    made = project(tmp_path, gate)
    child, crowd = begin(made, gate)
    waiter = made.start("wait", "run", "--start-timeout", "0")

    kill(child.pid, signum)

    finish(child)
    assert -signum == child.returncode
    assert [visitor.ends_within(0.1) for visitor in crowd] == [True] * 4
    _, said = finish(waiter, 5.0)
    assert waiter.returncode == 3
    assert name in said
    assert not (made.rundir / "manifest.json").exists()

    complete(made, gate)


def test_a_supervisor_that_is_killed_while_it_stops_the_run_has_said_so(tmp_path, gate):
    made = project(tmp_path, gate, "--ignore-term")
    child, crowd = begin(made, gate)

    kill(made.supervisor_pid, signal.SIGTERM)
    wait_for_records(made, "answer", 1)
    kill(made.supervisor_pid)

    finish(child)
    assert [visitor.ends_within(1.0) for visitor in crowd] == [True] * 4
    status = made.call("status", "run")
    assert "died while it stopped the run, interrupted by SIGTERM (process" in status.stdout
    complete(made, gate)


def test_a_second_interrupt_kills_what_ignores_the_first(tmp_path, gate):
    made = project(tmp_path, gate, "--ignore-term")
    child, (a, _b, a_daemon, _b_daemon) = begin(made, gate)
    supervisor = made.supervisor_pid

    kill(supervisor, signal.SIGINT)

    assert not a.ends_within(0.3)  # presses closer than 200 ms are one

    kill(supervisor, signal.SIGINT)

    assert a.ends_within(2.0)
    assert a_daemon.ends_within(2.0)
    finish(child, 10)
    assert child.returncode == -signal.SIGINT


@pytest.mark.survives("F28")
def test_what_a_unit_leaves_behind_is_ended_with_it(tmp_path, gate):
    made = project(tmp_path, gate)
    child, (a, b, a_daemon, b_daemon) = begin(made, gate)

    a.exit(0)

    assert a_daemon.ends_within(2.5)  # it has a second to go by itself, then is asked
    assert b_daemon.lives
    b.exit(0)
    finish(child)
    attempts = [unit["attempts"][0] for unit in made.manifest["units"]]
    assert [attempt["leftovers"] for attempt in attempts] == [1, 1]

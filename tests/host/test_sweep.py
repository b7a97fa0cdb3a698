import os
import select
import subprocess
import sys
import time

import pytest

from procsup.errors import RunBusy
from procsup.host import machine, procfs, sweep
from tests.support.guarded import PROGRAMS

LIMIT_S = 20.0
RUN = f"run-{os.getpid()}"  # other sessions of these tests may run at the same time
PARENT_OF_SCRUBBED = """
import os, subprocess, sys
hold = "import sys; print('up', flush=True); sys.stdin.read()"
keep = {name: os.environ[name] for name in ("SYSTEMROOT", "PATH") if name in os.environ}
child = subprocess.Popen([sys.executable, "-S", "-c", hold], stdin=0, env=keep)
child.wait()
"""


@pytest.fixture
def start():
    """Return a starter of leftovers; what it started is ended afterwards."""
    started = []

    def begin(code, *, run=RUN, unit="s/a"):
        environment = {**os.environ, "PROCSUP_RUN": run, "PROCSUP_UNIT": unit}
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_nothing_left_is_nothing_to_do():
    assert sweep.end_leftovers(f"{RUN}-none", limit_s=5) == []


def test_everything_of_an_earlier_sitting_is_ended_and_named(start):
    first, second = start(PARENT_OF_SCRUBBED), start(PARENT_OF_SCRUBBED, unit="s/b")
    ended = sweep.end_leftovers(RUN, limit_s=LIMIT_S)

    assert first.wait(LIMIT_S) != 0
    assert second.wait(LIMIT_S) != 0
    assert {(first.pid, "s/a"), (second.pid, "s/b")} <= set(ended)
    assert [unit for _, unit in ended].count("s/a") >= 2  # its child cleared its environment
    assert first.stdout.read() == second.stdout.read() == b""


def test_another_run_is_left_alone(start):
    other = start(PARENT_OF_SCRUBBED, run=f"{RUN}-other")

    assert sweep.end_leftovers(RUN, limit_s=LIMIT_S) == []
    assert other.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="breeds by fork, and is found by /proc")
def test_a_leftover_that_breeds_is_ended(start):
    breeder = start((PROGRAMS / "guard_breeder.py").read_text())
    deadline = time.monotonic() + LIMIT_S
    # Its open pipe stands for the lock that units inherit: while it is held, one looks again.
    while not select.select([breeder.stdout], [], [], 0)[0]:
        assert time.monotonic() < deadline
        sweep.end_leftovers(RUN, limit_s=LIMIT_S)

    assert breeder.stdout.read() == b""  # nobody holds it any more


def test_what_cannot_be_ended_is_named(monkeypatch):
    alive = procfs.Process(4711, 1, "D", 1)

    def refuse(process):
        raise PermissionError

    monkeypatch.setattr(machine, "stop_leftovers", lambda run: iter([(alive, "")]))
    monkeypatch.setattr(machine, "kill", refuse)

    with pytest.raises(RunBusy, match=r"4711 \(unit unknown\)"):
        sweep.end_leftovers(RUN, limit_s=0)

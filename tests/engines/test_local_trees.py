"""The local engine ends whole trees: an attempt is over when nothing of it is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

import pytest

from procsup.core.outcome import Exited, Signaled
from procsup.host import machine, system
from tests.support.engines import PROGRAM, Bench, is_alive

posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and sessions are POSIX")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="orphans come to us on Linux only")


@pytest.fixture(params=[""] if os.name == "nt" else ["", "threads"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, exits=system.exit_notifier(request.param)) as one:
        yield one
    assert not one.engine._live


def _left_of(bench: Bench) -> int:
    """Count the living processes with this run's cookie, whoever is their parent now."""
    return len(machine.list_processes_with_cookie(f"run-{bench.folder.name}"))


@posix_only
def test_a_stop_is_a_term_to_the_main_process(bench: Bench) -> None:
    attempt = bench.misbehave("u", "sleep")
    bench.wait_until_it_says(attempt, "ready")
    bench.stop(attempt)

    assert Signaled(signal.SIGTERM) == bench.wait_for(attempt).exit


@pytest.mark.survives("F24")
@posix_only
def test_what_ignores_the_stop_dies_by_the_kill(bench: Bench) -> None:
    attempt = bench.misbehave("u", "ignore_term")
    bench.wait_until_it_says(attempt, "ready")
    bench.stop(attempt)
    bench.facts += bench.engine.wait(time.monotonic() + 0.05)
    assert bench.end_of(attempt) is None
    bench.engine.kill(attempt)

    assert Signaled(signal.SIGKILL) == bench.wait_for(attempt).exit


@pytest.mark.survives("F25")
@posix_only
def test_a_stopped_process_hears_the_stop(bench: Bench) -> None:
    import psutil

    attempt = bench.misbehave("u", "be_stopped")
    process = psutil.Process(bench.engine._live[attempt].child.pid)
    bench.wait_until(lambda: process.status() == psutil.STATUS_STOPPED)
    bench.stop(attempt)

    assert Exited(3) == bench.wait_for(attempt).exit


def test_a_child_that_is_left_behind_is_ended_and_counted(bench: Bench) -> None:
    attempt = bench.misbehave("u", "leave_child")
    end = bench.wait_for(attempt)

    assert Exited(0) == end.exit
    assert end.usage.leftovers == 1
    assert not is_alive(bench.pid_it_said(attempt))


def test_a_kill_takes_the_children_along(bench: Bench) -> None:
    attempt = bench.misbehave("u", "keep_child")
    bench.wait_until_it_says(attempt, "ready")
    child = bench.pid_it_said(attempt)
    bench.engine.kill(attempt)
    bench.wait_for(attempt)

    assert not is_alive(child)


@pytest.mark.survives("F28")
@linux_only
@pytest.mark.parametrize("how", ["daemonize", "daemonize_scrubbed"])
def test_a_daemon_is_ended_with_its_unit(bench: Bench, how: str) -> None:
    attempt = bench.misbehave("u", how)
    end = bench.wait_for(attempt)

    assert Exited(0) == end.exit
    assert end.usage.leftovers == 1
    assert not is_alive(bench.pid_it_said(attempt))


@linux_only
def test_a_daemon_lives_as_long_as_its_own_unit_whatever_else_ends(bench: Bench) -> None:
    keeper = bench.misbehave("keeper", "daemonize_and_sleep")
    daemon = bench.pid_it_said(keeper)
    bench.wait_until_it_says(keeper, "ready")
    for number in range(1, 4):
        assert Exited(0) == bench.wait_for(bench.start("other", ("true",), number=number)).exit

    assert is_alive(daemon)
    bench.engine.kill(keeper)
    bench.wait_for(keeper)
    assert not is_alive(daemon)


@linux_only
def test_a_fork_runner_is_caught(bench: Bench) -> None:
    attempt = bench.misbehave("u", "run_and_fork", "2000")
    bench.wait_for(attempt)

    assert _left_of(bench) == 0


@linux_only
def test_a_branching_bomb_is_defused(bench: Bench) -> None:
    attempt = bench.misbehave("u", "breed", "6")
    bench.wait_until_it_says(attempt, "ready")
    bench.engine.kill(attempt)
    bench.wait_for(attempt)

    assert _left_of(bench) == 0


@pytest.mark.survives("F30")
@posix_only
def test_a_unit_that_kills_its_group_hits_only_itself(bench: Bench) -> None:
    end = bench.wait_for(bench.start("u", ("sh", "-c", "kill -9 0; sleep 20")))

    assert Signaled(9) == end.exit


@posix_only
def test_a_hung_python_leaves_its_stacks_in_its_log(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"is_python": True}) as bench:
        attempt = bench.misbehave("u", "hang")
        bench.wait_until_it_says(attempt, "ready")
        bench.stop(attempt, dump=True)
        end = bench.wait_for(attempt)

    assert Signaled(signal.SIGABRT) == end.exit
    assert "in deep_in_thought" in bench.errors(attempt)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("core")]


@posix_only
def test_a_dump_is_polite_to_what_catches_the_stop_and_insists_later(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"is_python": True}) as bench:
        code = (
            "import signal; signal.signal(signal.SIGTERM, lambda *_: print('heard'));"
            "print('ready')\nwhile True: signal.pause()"
        )
        attempt = bench.start("u", (sys.executable, "-c", code))
        bench.wait_until_it_says(attempt, "ready")
        bench.stop(attempt, dump=True, grace_s=0.5)
        bench.wait_until_it_says(attempt, "heard")
        end = bench.wait_for(attempt)

    assert Signaled(signal.SIGABRT) == end.exit
    assert "most recent call first" in bench.errors(attempt)


@linux_only
def test_closing_ends_every_tree(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        keeper = bench.misbehave("keeper", "daemonize_and_sleep")
        pids = [bench.pid_it_said(keeper)]
        for number in range(4):
            attempt = bench.misbehave(f"u{number}", "keep_child")
            pids.append(bench.pid_it_said(attempt))

    assert [pid for pid in pids if is_alive(pid)] == []
    assert _left_of(bench) == 0


@posix_only
def test_children_of_other_code_in_this_process_are_left_alone(bench: Bench) -> None:
    before = subprocess.Popen([sys.executable, "-S", PROGRAM, "sleep"], stdout=subprocess.DEVNULL)
    bench.wait_for(bench.misbehave("u", "leave_child"))
    during = subprocess.Popen([sys.executable, "-S", PROGRAM, "sleep"], stdout=subprocess.DEVNULL)
    bench.wait_for(bench.misbehave("v", "leave_child"))
    bench.engine.close()

    assert (before.poll(), during.poll()) == (None, None)
    for process in (before, during):
        process.kill()
        process.wait()

"""Trees where the system gives less than Linux does, and processes that cannot be ended."""

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import pytest

if os.name == "nt":
    pytest.skip("sessions and groups are POSIX", allow_module_level=True)

from procsup.attempt import attempt as attempts
from procsup.core.outcome import Exited, Vanished
from procsup.host import machine, posix, stop_signals, tree_walk, trees
from tests.support.engines import Bench, is_alive


@pytest.fixture
def without_adoption(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if neither prctl nor the list of children were there."""
    monkeypatch.setattr(tree_walk, "become_subreaper", lambda: False)
    monkeypatch.setattr(trees, "_open_list_of_children", lambda: None)


@pytest.mark.usefixtures("without_adoption")
def test_without_adoption_the_group_is_ended_with_the_main_process(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "leave_child")
        end = bench.wait_for(attempt)
        child = bench.pid_it_said(attempt)
        bench.wait_until(lambda: not is_alive(child))

    assert Exited(0) == end.exit


@pytest.mark.usefixtures("without_adoption")
def test_without_adoption_a_daemon_is_found_at_the_end_by_its_environment(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "daemonize")
        bench.wait_for(attempt)
        daemon = bench.pid_it_said(attempt)

    assert not is_alive(daemon)
    assert machine.list_processes_with_cookie(f"run-{tmp_path.name}") == []


@pytest.mark.survives("F26")
def test_what_does_not_die_of_a_kill_is_given_up_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "sleep")
        bench.wait_until_it_says(attempt, "ready")
        pid = bench.engine._live[attempt].child.pid
        with monkeypatch.context() as stuck:
            stuck.setattr(attempts, "UNKILLABLE_S", 0.05)
            stuck.setattr(tree_walk, "send", lambda process, signum=9: False)
            stuck.setattr(tree_walk, "send_to_group", lambda leader: None)
            bench.engine.kill(attempt)
            end = bench.wait_for(attempt)
        assert isinstance(end.exit, Vanished)
        assert f"process {pid} did not die" in end.exit.reason
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.survives("F27")
def test_a_process_of_another_user_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "sleep")
        bench.wait_until_it_says(attempt, "ready")
        pid = bench.engine._live[attempt].child.pid
        with monkeypatch.context() as foreign:
            foreign.setattr(attempts, "UNKILLABLE_S", 0.05)
            foreign.setattr(tree_walk, "send", lambda process, signum=9: False)
            foreign.setattr(tree_walk, "send_to_group", lambda leader: None)
            foreign.setattr(posix.Child, "may_end", lambda child: False)
            bench.engine.kill(attempt)
            assert bench.engine.wait(time.monotonic() + 0.3) in ([], bench.facts)
            assert bench.end_of(attempt) is None
        os.kill(pid, signal.SIGKILL)

        assert bench.wait_for(attempt).exit == posix.Signaled(9)


@pytest.mark.survives("F29")
def test_a_tree_that_breeds_on_is_stopped_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "_STOP_FIRST_S", -1.0)
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "breed", "5")
        bench.wait_until_it_says(attempt, "ready")
        bench.engine.kill(attempt)
        bench.wait_for(attempt)

        assert machine.list_processes_with_cookie(f"run-{tmp_path.name}") == []


@pytest.mark.skipif(sys.platform != "linux", reason="the list of children is Linux'")
def test_a_list_of_children_longer_than_a_page_is_read_whole(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempts = [bench.start(f"u{n}", ("sleep", "30")) for n in range(700)]
        pids = {b"%d" % bench.engine._live[attempt].child.pid for attempt in attempts}

        assert pids <= bench.engine._trees._read_list()


@pytest.mark.parametrize(("scanned_at", "looks_again"), [(None, False), (-1e9, True)])
def test_after_a_stop_by_an_older_scan_the_tree_is_read_again(
    scanned_at: Optional[float], looks_again: bool
) -> None:
    ended = SimpleNamespace(pid=1, ended=True)
    empty = SimpleNamespace(scanned_at=scanned_at, list_recent_tree=lambda _child: [])

    teller = stop_signals.StopSignaller(ended, empty, name="SIGTERM", reach="auto")  # type: ignore[arg-type]

    assert looks_again == teller.signal()

import os
import signal
import subprocess
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has neither a guard nor this timer", allow_module_level=True)

from procsup.host import watchdog
from tests.support.guarded import guarded

_EXEC = "import os, signal, sys; {}; os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.survives("F90")
def test_a_supervisor_that_is_stuck_is_ended_with_all_that_it_has_started():
    with guarded("hold-lock", "plain", "daemon", stderr=subprocess.PIPE) as run:
        run.wait_until_all_gone()

        assert run.wait() == -signal.SIGPROF
        assert "could execute no Python code; the next run goes on" in said(run)


@pytest.mark.survives("F90")
@pytest.mark.parametrize("stuck", ["hold-lock", "loop"])  # in C code, in Python code
def test_a_supervisor_that_is_stuck_does_not_outlive_its_guard_for_ever(stuck):
    with guarded(stuck) as run:
        run.wait_for("ready")
        os.kill(run.pid_of("guard"), signal.SIGKILL)
        run.wait_until_all_gone()


def test_a_supervisor_that_computes_for_long_is_left_alone():
    with guarded("compute") as run:
        run.wait_until_all_gone()

        assert run.wait() == 0
        assert run.lines[-1] == "computed"


def test_the_stacks_are_written_before_the_end():
    with guarded("hold-lock-with-stacks", stderr=subprocess.PIPE) as run:
        run.wait_until_all_gone()

        assert run.wait() == -signal.SIGPROF
        assert "in hold_the_lock\n" in said(run)


def said(run):
    with run.process.stderr as stderr:
        return stderr.read().decode()


@pytest.mark.parametrize("deed", ["pass", "signal.signal(signal.SIGPROF, signal.SIG_IGN)"])
def test_units_have_no_timer_and_their_signals_at_the_default(deed):
    before = [sys.executable, "-S", "-c", _EXEC.format(deed)]
    with guarded("show-timer", before=before) as run:
        run.wait_until_all_gone()

        assert run.lines[-2:] == ["True True", "True False"]


def test_the_timer_of_a_profiler_is_left_alone():
    code = (
        "import signal; from procsup.host import watchdog;"
        "signal.signal(signal.SIGPROF, print); watchdog.start(0);"
        "print(signal.getitimer(signal.ITIMER_PROF))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)

    assert done.stdout == b"(0.0, 0.0)\n"


def test_without_a_thread_there_is_no_timer(monkeypatch):
    monkeypatch.setattr("procsup.host.threads.try_start_thread", lambda work, name: None)
    watchdog.start(-1)

    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)

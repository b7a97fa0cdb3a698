import contextlib
import os
import select
import signal
import sys
import time

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no guard: a Job Object does its work", allow_module_level=True)

import termios

from procsup.host import procfs, signals
from tests.support.guarded import LIMIT_S, Told, guarded, press, program

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
needs_origin = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells where a signal came from"
)
GAP_S = signals.PRESS_S * 1.2


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_sent_to_the_guard_reaches_the_supervisor(name):
    with guarded("hear") as run:
        run.wait_for("ready")
        os.kill(run.pid_of("guard"), signal.Signals[name])

        assert run.wait_for("heard") == name


def test_the_third_press_ends_everything_at_once():
    with guarded("hear", "plain", "daemon") as run:
        run.wait_for("ready")
        press(run.pid_of("guard"), "SIGINT", 3, GAP_S)
        run.wait_until_all_gone()

        assert run.wait() == -signal.SIGINT


def make_full_pipe():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(1 << 12))
    os.set_blocking(writer, True)
    return reader, writer


def make_stopped_terminal():
    other, terminal = os.openpty()
    termios.tcflow(terminal, termios.TCOOFF)  # as Ctrl-S does
    return other, terminal


@pytest.mark.survives("F91")
@pytest.mark.parametrize("make", [make_full_pipe, make_stopped_terminal])
def test_the_third_press_ends_everything_although_nobody_reads_what_the_guard_says(make):
    reader, stderr = make()
    try:
        with guarded("hear", "plain", stderr=stderr) as run:
            run.wait_for("ready")
            press(run.pid_of("guard"), "SIGINT", 3, GAP_S)
            run.wait_until_all_gone()

            assert run.wait() == -signal.SIGINT
    finally:
        os.close(reader)
        os.close(stderr)


def test_presses_in_quick_succession_are_one():
    with guarded("hear") as run:
        run.wait_for("ready")
        press(run.pid_of("guard"), "SIGINT", 6, 0)
        os.kill(run.pid_of("guard"), signal.SIGTERM)

        assert run.wait_for("heard SIGTERM") == ""
        assert run.process.poll() is None


def test_a_signal_that_means_nothing_is_not_passed_on():
    with guarded("hear") as run:
        run.wait_for("ready")
        for signum in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            os.kill(run.pid_of("guard"), signum)

        assert run.wait_for("heard") == "SIGTERM"
        assert [line for line in run.lines if line.startswith("heard")] == ["heard SIGTERM"]


def test_SIGHUP_that_was_ignored_at_the_start_stays_ignored():
    nohup = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    with guarded("hear", before=nohup) as run:
        run.wait_for("ready")
        os.kill(run.pid_of("guard"), signal.SIGHUP)
        os.kill(run.pid_of("guard"), signal.SIGTERM)

        assert run.wait_for("heard") == "SIGTERM"
        assert "heard SIGHUP" not in run.lines


@needs_proc
def test_a_process_that_stops_and_continues_the_guard_does_so_to_both():
    with guarded("hear") as run:
        run.wait_for("ready")
        both = run.pid_of("guard"), run.pid_of("supervisor")
        os.kill(both[0], signal.SIGTSTP)
        wait_for_states(both, "T")
        os.kill(both[0], signal.SIGCONT)
        wait_for_states(both, "SR")
        os.kill(both[0], signal.SIGTERM)

        assert run.wait_for("heard") == "SIGTERM"


@needs_origin
def test_control_c_is_heard_once_and_three_of_them_end_everything():
    with terminal_job("hear", "daemon") as (run, keys):
        run.wait_for("ready")
        keys.type(b"\x03")
        run.wait_for("heard SIGINT")
        keys.type(b"\x03", after_s=GAP_S)
        run.wait_for("heard SIGINT", times=2)
        keys.type(b"\x03", after_s=GAP_S)

        assert run.wait_for("job died") == "SIGINT"
        run.wait_until_all_gone()
        assert sum(line.startswith("heard") for line in run.lines) <= 3


@needs_proc
def test_control_z_stops_both_and_the_foreground_continues_both():
    with terminal_job("hear") as (run, keys):
        run.wait_for("ready")
        keys.type(b"\x1a")

        assert run.wait_for("job stopped") == "SIGTSTP"
        both = run.pid_of("guard"), run.pid_of("supervisor")
        wait_for_states(both, "T")
        run.process.stdin.write(b"continue\n")
        wait_for_states(both, "SR")
        keys.type(b"\x03")
        assert run.wait_for("heard") == "SIGINT"


def test_the_terminal_is_as_before_after_the_supervisor_was_killed():
    with terminal_job("spoil-terminal") as (run, keys):
        run.wait_for("ready")
        assert not keys.echoes()
        os.kill(run.pid_of("supervisor"), signal.SIGKILL)

        assert run.wait_for("job died") == "SIGKILL"
        assert keys.echoes()
        assert keys.read_until(b"\x1b[?25h")


def wait_for_states(pids, states):
    """Return when both are in one of these states; the only thing in /proc that wakes nobody."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        found = [process.state for process in map(procfs.look, pids) if process is not None]
        if len(found) == len(pids) and all(state in states for state in found):
            return
        assert time.monotonic() < deadline, found
        os.sched_yield()


class Keys:
    """The other side of a terminal."""

    def __init__(self, fd):
        self._fd = fd

    def type(self, keys, *, after_s=0.0):
        select.select([], [], [], after_s)
        os.write(self._fd, keys)

    def echoes(self):
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    def read_until(self, wanted):
        shown = b""
        while wanted not in shown:
            readable, _, _ = select.select([self._fd], [], [], LIMIT_S)
            if not readable:
                return False
            shown += os.read(self._fd, 1024)
        return True


@contextlib.contextmanager
def terminal_job(*args):
    """Run the guarded program as the foreground job of a shell with a terminal."""
    ours, theirs = os.openpty()
    try:
        argv = program("guard_shell.py", os.ttyname(theirs))
        argv += program("guard_supervisor.py", *args)
        with Told(argv, stdin=-1, start_new_session=True) as run:
            yield run, Keys(ours)
    finally:
        os.close(ours)
        os.close(theirs)

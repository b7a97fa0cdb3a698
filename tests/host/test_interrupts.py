import os
import signal
import subprocess
import sys
import threading

import pytest

from procsup.core.events import Interrupted
from procsup.host.guard_link import GuardLink
from procsup.host.interrupts import SignalInterrupts

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="these signals are POSIX")
LIMIT_S = 20.0


class HandClock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def signums(facts):
    return [fact.signum for fact in facts]


def test_a_signal_becomes_a_fact():
    with SignalInterrupts() as interrupts:
        assert interrupts.drain() == []
        signal.raise_signal(signal.SIGINT)

        assert interrupts.drain() == [Interrupted(signal.SIGINT, "SIGINT")]
        assert interrupts.drain() == []


@posix_only
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_each_ending_signal_is_heard_and_wakes_the_loop(name):
    signum, woken = signal.Signals[name], threading.Event()
    with SignalInterrupts(wake=woken.set) as interrupts:
        assert not woken.is_set()
        signal.raise_signal(signum)

        assert woken.wait(LIMIT_S)
        assert interrupts.drain() == [Interrupted(signum, name)]


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has it")
def test_a_break_is_heard_and_wakes_the_loop():
    woken = threading.Event()
    with SignalInterrupts(wake=woken.set) as interrupts:
        signal.raise_signal(signal.SIGBREAK)

        assert woken.wait(LIMIT_S)
        assert signums(interrupts.drain()) == [signal.SIGBREAK]


def test_without_a_thread_to_be_had_signals_are_heard_when_the_loop_looks(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        interrupts = SignalInterrupts()
        interrupts.__enter__()
    try:
        signal.raise_signal(signal.SIGINT)

        assert signums(interrupts.drain()) == [signal.SIGINT]
    finally:
        interrupts.__exit__(None, None, None)


def test_presses_closer_than_a_fifth_of_a_second_are_one():
    clock = HandClock()
    with SignalInterrupts(now=clock) as interrupts:
        for now_s in (100.0, 100.05, 100.19, 100.2, 100.3, 101.0):
            clock.now_s = now_s
            signal.raise_signal(signal.SIGINT)

        assert len(interrupts.drain()) == 3


def test_the_time_of_a_press_is_when_it_came_and_not_when_it_was_asked_for():
    clock = HandClock()
    with SignalInterrupts(now=clock) as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert len(interrupts.drain()) == 1
        clock.now_s += 0.001
        signal.raise_signal(signal.SIGINT)
        clock.now_s += 60.0

        assert interrupts.drain() == []


@posix_only
def test_a_wrapper_that_sends_another_signal_at_once_does_not_press_twice():
    with SignalInterrupts(now=HandClock()) as interrupts:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)

        assert signums(interrupts.drain()) == [signal.SIGTERM]


def test_everything_is_as_before_afterwards():
    def mine(signum, frame):
        """Handle nothing."""

    before = signal.signal(signal.SIGINT, mine)
    try:
        with SignalInterrupts():
            assert signal.getsignal(signal.SIGINT) is not mine
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.survives("F65")
def test_a_storm_of_signals_is_one_press_and_loses_no_process():
    clock = HandClock()
    with SignalInterrupts(now=clock) as interrupts:
        for _ in range(3000):
            signal.raise_signal(signal.SIGINT)
        assert len(interrupts.drain()) == 1
        clock.now_s += 1.0
        signal.raise_signal(signal.SIGINT)
        assert len(interrupts.drain()) == 1


def test_on_another_thread_it_leaves_signals_alone():
    kept = signal.getsignal(signal.SIGINT)
    seen = []

    def enter():
        with SignalInterrupts() as interrupts:
            seen.append((signal.getsignal(signal.SIGINT), interrupts.drain()))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert seen == [(kept, [])]


@posix_only
def test_the_death_of_the_guard_is_told_once_and_does_not_wake_for_ever():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        line, woken = GuardLink(reader, -1), threading.Semaphore(0)
        with SignalInterrupts(guard_link=line, wake=woken.release) as interrupts:
            assert interrupts.drain() == []
            os.close(writer)

            assert woken.acquire(timeout=LIMIT_S)
            assert interrupts.drain() == [Interrupted(None, "the guard process died")]
            assert interrupts.drain() == []
            assert not woken.acquire(timeout=0.05)
    finally:
        os.close(reader)


@posix_only
def test_who_asks_learns_of_the_death_of_the_guard_before_any_event():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        with SignalInterrupts(guard_link=GuardLink(reader, -1)) as interrupts:
            assert interrupts.drain(ask_guard=True) == []
            os.close(writer)

            dead = [Interrupted(None, "the guard process died")]
            assert interrupts.drain(ask_guard=True) == dead
            assert interrupts.drain(ask_guard=True) == []
    finally:
        os.close(reader)


@posix_only
def test_the_first_word_of_the_guard_is_not_its_death():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        woken = threading.Event()
        with SignalInterrupts(guard_link=GuardLink(reader, -1), wake=woken.set) as interrupts:
            os.write(writer, b"+")

            assert not woken.wait(0.05)
            assert interrupts.drain() == []
    finally:
        os.close(reader)
        os.close(writer)


def run_python(code, *, before=()):
    program = [*before, sys.executable, "-c", code]
    return subprocess.run(program, stdout=subprocess.PIPE, timeout=LIMIT_S, check=True).stdout


REPORT = """
import signal, subprocess, sys
from procsup.host.interrupts import SignalInterrupts
show = "import signal; print(*[signal.getsignal(getattr(signal, s)) is not signal.SIG_IGN" \
    " for s in ('SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGCHLD')],"\
    " len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
with SignalInterrupts() as interrupts:
    for name in {raised}:
        signal.raise_signal(getattr(signal, name))
    print([fact.reason for fact in interrupts.drain()], flush=True)
    subprocess.run([sys.executable, "-S", "-c", show], check=True)
"""


@posix_only
def test_what_was_ignored_at_the_start_stays_ignored_but_units_get_the_default():
    ignoring = ["sh", "-c", 'trap "" INT QUIT; exec "$@"', "sh"]
    said = run_python(REPORT.format(raised=["SIGINT", "SIGQUIT"]), before=ignoring)

    assert said.decode().splitlines() == ["[]", "True True True True 0"]


@pytest.mark.survives("F65")
@posix_only
@pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2"])
def test_a_signal_that_means_nothing_does_nothing_but_kills_a_unit_as_ever(name):
    with SignalInterrupts() as interrupts:
        signal.raise_signal(signal.Signals[name])
        unit = f"import os, signal; os.kill(os.getpid(), signal.{name})"
        done = subprocess.run([sys.executable, "-S", "-c", unit], timeout=LIMIT_S, check=False)

        assert interrupts.drain() == []
    assert done.returncode == -signal.Signals[name]


@posix_only
def test_under_nohup_procsup_and_its_units_ignore_SIGHUP():
    nohup = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    said = run_python(REPORT.format(raised=["SIGHUP", "SIGTERM"]), before=nohup)

    assert said.decode().splitlines() == ["['SIGTERM']", "True True False True 0"]


@posix_only
def test_units_have_nothing_blocked_and_SIGCHLD_at_its_default():
    spoil = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [2, 15]);"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    said = run_python(REPORT.format(raised=["SIGTERM"]), before=[sys.executable, "-c", spoil])

    assert said.decode().splitlines() == ["['SIGTERM']", "True True True True 0"]

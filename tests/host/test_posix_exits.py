"""Learning of exits: every way that this system has keeps the same promises."""

import os
import sys
import threading
import time
from typing import Any, Callable, Iterator, List

import pytest

if os.name == "nt":
    pytest.skip("these ways are POSIX", allow_module_level=True)

from procsup.host import exits


@pytest.fixture(params=["", "threads"])
def notifier(request: pytest.FixtureRequest) -> Iterator[Any]:
    one = exits.exit_notifier(request.param)
    yield one
    one.close()


def _fork(act: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            act()
        finally:
            os._exit(0)
    return pid


def _pids(notifier: Any, count: int) -> List[int]:
    found: List[int] = []
    limit = time.monotonic() + 10
    while len(found) < count and time.monotonic() < limit:
        found += notifier.wait(limit - time.monotonic()).pids
    return found


def test_an_exit_is_told_and_nothing_is_reaped(notifier: Any) -> None:
    reading, writing = os.pipe()
    pid = _fork(lambda: (os.close(writing), os.read(reading, 1)))
    notifier.watch(pid)
    assert notifier.wait(0.0).pids == []
    os.close(writing)
    os.close(reading)

    assert _pids(notifier, 1) == [pid]
    notifier.forget(pid)
    assert os.waitpid(pid, 0)[0] == pid


def test_a_child_that_ended_before_it_was_watched_is_told_as_well(notifier: Any) -> None:
    pid = _fork(lambda: None)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    notifier.watch(pid)

    assert _pids(notifier, 1) == [pid]
    notifier.forget(pid)
    os.waitpid(pid, 0)


@pytest.mark.survives("F33")
@pytest.mark.skipif(sys.platform == "darwin", reason="kqueue has no poller to put aside")
def test_an_exit_is_told_even_if_the_wait_was_held_up_beyond_its_end(notifier: Any) -> None:
    pid = _fork(lambda: None)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    notifier.watch(pid)
    poll = notifier._poll
    notifier._poll = lambda timeout_s: poll(0.0) if timeout_s == 0 else time_passes()

    assert notifier.wait(0.01).pids == [pid]
    notifier.forget(pid)
    os.waitpid(pid, 0)


def time_passes() -> List[Any]:
    """Do as poll does when this process is stopped, and continued after the time is over."""
    threading.Event().wait(0.2)
    return []


@pytest.mark.survives("F33")
def test_every_one_of_many_exits_is_told(notifier: Any) -> None:
    pids = []
    for _ in range(50):
        pids.append(_fork(lambda: None))
        notifier.watch(pids[-1])
    told: List[int] = []
    while len(told) < 50:
        for pid in _pids(notifier, 1):
            told.append(pid)
            notifier.forget(pid)
            os.waitpid(pid, 0)

    assert sorted(told) == sorted(pids)


def test_a_call_from_another_thread_ends_the_wait(notifier: Any) -> None:
    caller = threading.Thread(target=notifier.wake)
    caller.start()
    notice = notifier.wait(10)
    caller.join()

    assert notice == ([], True)


def test_a_hundred_thousand_calls_do_not_block(notifier: Any) -> None:
    for _ in range(100_000):
        notifier.wake()

    assert notifier.wait(10).called


def test_waiting_takes_the_time_that_was_asked_for_even_if_that_is_for_ever(notifier: Any) -> None:
    begun = time.monotonic()
    assert notifier.wait(0.02) == ([], False)
    assert time.monotonic() - begun >= 0.02

    notifier.wake()
    assert notifier.wait(1e12).called


def test_forgetting_what_is_not_watched_and_closing_twice_do_no_harm(notifier: Any) -> None:
    notifier.forget(1)
    notifier.close()
    notifier.wake()


@pytest.mark.survives("F10")
@pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux")
def test_a_child_for_which_there_is_no_pidfd_gets_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(exits, "open_pidfd", refuse)
    notifier = exits.exit_notifier()
    pid = _fork(lambda: None)
    notifier.watch(pid)

    assert _pids(notifier, 1) == [pid]
    notifier.forget(pid)
    os.waitpid(pid, 0)
    notifier.close()


def _give_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.survives("F08")
@pytest.mark.skipif(sys.platform == "darwin", reason="it has kqueue, which needs no threads")
def test_a_child_for_which_there_is_no_thread_either_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _give_no_threads(monkeypatch)
    notifier = exits.exit_notifier("threads")
    reader, writer = os.pipe()
    pid = _fork(lambda: os.read(reader, 1))
    notifier.watch(pid)

    assert not notifier.wait(0.01).pids
    os.write(writer, b"x")
    assert _pids(notifier, 1) == [pid]
    notifier.forget(pid)
    os.waitpid(pid, 0)
    assert not notifier.wait(0.0).pids
    notifier.close()
    os.close(reader)
    os.close(writer)


def test_a_wake_that_the_system_refuses_raises_nothing_and_loses_no_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_fd: int, _data: bytes) -> int:
        raise OSError(12, "Cannot allocate memory")

    notifier = exits.exit_notifier("threads")
    pid = _fork(lambda: None)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", refuse)
        notifier.wake()
        notifier.watch(pid)
        deadline = time.monotonic() + 20.0
        while notifier.wait(0.01).pids != [pid]:
            assert time.monotonic() < deadline
    notifier.forget(pid)
    os.waitpid(pid, 0)
    notifier.close()

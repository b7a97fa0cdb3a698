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

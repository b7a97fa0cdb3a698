"""A line of jobs beside the loop, and what is found there."""

import threading
import time

import pytest

from procsup.host.threads import Handover, Pool, ResultQueue

LIMIT_S = 20.0


@pytest.fixture
def one():
    pool = Pool("procsup-test", 1)
    yield pool
    pool.close()
    pool.join(time.monotonic() + LIMIT_S)


def test_one_thread_does_the_jobs_in_the_order_in_which_they_came(one):
    done, over = [], threading.Event()
    for number in range(500):
        one.add(lambda number=number: done.append((number, threading.current_thread().name)))
    one.add(over.set)

    assert over.wait(LIMIT_S)
    assert done == [(number, "procsup-test") for number in range(500)]


def test_what_waits_in_line_is_not_done_after_the_close(one):
    gate, begun, done = threading.Event(), threading.Event(), []

    def hold():
        begun.set()
        assert gate.wait(LIMIT_S)
        done.append("held")

    one.add(hold)
    one.add(lambda: done.append("waits"))
    assert begun.wait(LIMIT_S)
    one.close()
    gate.set()
    one.join()

    assert done == ["held"]


def test_where_no_thread_can_be_had_jobs_are_done_at_once_and_in_order(one, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    for number in range(3):
        one.add(lambda number=number: done.append(number))
        assert done == list(range(number + 1))


def test_the_loop_is_woken_for_the_first_find_only_and_gets_them_all():
    wakes = []
    finds = ResultQueue(lambda: wakes.append(1))

    finds.put("a")
    finds.put("b")

    assert (finds.take(), len(wakes)) == (["a", "b"], 1)

    finds.put("c")

    assert (finds.take(), finds.take(), len(wakes)) == (["c"], [], 2)


def test_two_jobs_run_at_once_where_two_threads_may():
    both, done = threading.Barrier(2), []

    def meet():
        both.wait(LIMIT_S)
        done.append(1)

    pool = Pool("procsup-test", 2)
    pool.add(meet)
    pool.add(meet)
    pool.close()
    pool.join(time.monotonic() + LIMIT_S)

    assert done == [1, 1]


# --- from one thread to another ----------------------------------------------------------------


def test_items_are_handed_over_in_order_and_then_there_are_none():
    handover = Handover(3)

    def give():
        for number in range(100):
            assert handover.put([number])
        handover.finish()

    giver = threading.Thread(target=give)
    giver.start()
    taken = []
    while True:
        items = handover.take()
        if not items:
            break
        assert len(items) <= 3
        taken += items

    giver.join(LIMIT_S)
    assert items == []
    assert taken == list(range(100))


def test_who_leaves_wakes_both_sides():
    handover = Handover(1)
    assert handover.put(["one"])
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(handover.put(["two"]))),
        threading.Thread(target=lambda: answers.append(handover.put(["three"]))),
    ]
    for thread in threads:
        thread.start()
    assert handover.is_full

    handover.leave()
    for thread in threads:
        thread.join(LIMIT_S)

    assert answers == [False, False]
    assert handover.take() is None
    assert not handover.is_full

"""The line of withdrawals and publications: in order, beside the loop, and closed on a failure."""

import threading

import pytest

from procsup.core.events import Publish, Published, TakenBack, Withdraw
from procsup.core.manifest import StageCounts
from procsup.errors import RecordError
from procsup.store.publishing import PublishingQueue
from procsup.store.spilled import SpilledResults

LIMIT_S = 20.0
COUNTS = StageCounts("succeeded", 1, succeeded=1)


class Journal:
    """Notes its syncs among the other deeds."""

    def __init__(self, done):
        self.done = done

    def sync(self):
        self.done.append("sync")


class Manifests:
    """Notes what it is asked for; held at a gate, or fails, on demand."""

    def __init__(self, done):
        self.done = done
        self.gate, self.begun = threading.Event(), threading.Event()
        self.gate.set()
        self.fails = None

    def _do(self, *deed):
        self.begun.set()
        assert self.gate.wait(LIMIT_S)
        if self.fails is not None:
            raise self.fails
        self.done.append(" ".join(map(str, deed)))

    def withdraw(self, stages):
        self._do("withdraw", *stages)

    def publish_stage(self, stage, counts, results):
        self._do("stage", stage, counts.status, *results)

    def publish_run(self, status, counts, results):
        self._do("run", status, *(name for name, _ in counts), *results)


class Line:
    """The queue, and the loop's side of it: waits to be woken, then drains."""

    def __init__(self):
        self.done = []
        self.manifests = Manifests(self.done)
        self.woken = threading.Event()
        spilled = SpilledResults(None)  # none comes
        self.queue = PublishingQueue(
            self.manifests, Journal(self.done), spilled, wake=self.woken.set
        )

    def facts(self, count):
        facts = []
        while len(facts) < count:
            self.wait()
            facts += self.queue.drain()
        return facts

    def wait(self):
        assert self.woken.wait(LIMIT_S)
        self.woken.clear()

    def publish(self, stage, *results):
        counts = [("s", COUNTS)] if stage else [("s", COUNTS), ("t", COUNTS)]
        self.queue.publish(Publish(stage, "succeeded"), counts, iter(results))


@pytest.fixture
def line():
    line = Line()
    yield line
    line.manifests.gate.set()
    line.queue.close()


def test_deeds_are_done_in_the_order_of_the_orders_and_each_after_a_sync(line):
    line.queue.withdraw(Withdraw(("s", "t")))
    line.publish("s", "a", "b")
    line.publish(None, "c")

    assert line.facts(3) == [TakenBack(("s", "t")), Published("s"), Published(None)]
    assert line.done == [
        "sync",
        "withdraw s t",
        "sync",
        "stage s succeeded a b",
        "sync",
        "run succeeded s t c",
    ]


def test_an_order_returns_at_once_and_there_is_no_answer_before_the_deed(line):
    line.manifests.gate.clear()

    line.publish("s")

    assert line.manifests.begun.wait(LIMIT_S)
    assert line.queue.drain() == []

    line.manifests.gate.set()

    assert line.facts(1) == [Published("s")]


@pytest.mark.parametrize("error", [RecordError("disk"), ValueError("a fault of ours")])
def test_a_failure_is_raised_in_the_loop_and_nothing_behind_it_is_done(line, error):
    line.manifests.gate.clear()
    line.manifests.fails = error
    line.queue.withdraw(Withdraw(("s",)))
    line.publish("s")
    line.publish(None)
    line.manifests.gate.set()

    line.wait()
    for _ in range(2):
        with pytest.raises(type(error), match=str(error)):
            line.queue.drain()
    line.queue.close()

    assert line.done == ["sync"]


def test_results_are_asked_for_on_the_side_thread(line):
    def results():
        yield threading.current_thread().name

    line.queue.publish(Publish("s", "succeeded"), [("s", COUNTS)], results())
    line.facts(1)

    assert line.done[-1] == "stage s succeeded procsup-publish"


def test_close_waits_for_the_file_that_is_being_written_and_drops_the_rest(line):
    line.manifests.gate.clear()
    line.publish("s")
    line.publish(None)
    assert line.manifests.begun.wait(LIMIT_S)
    closer = threading.Thread(target=line.queue.close)
    closer.start()
    assert line.queue._line._closed.wait(LIMIT_S)
    assert closer.is_alive()
    line.manifests.gate.set()
    closer.join(LIMIT_S)

    assert not closer.is_alive()
    assert line.done == ["sync", "stage s succeeded"]


def test_where_no_thread_can_be_had_the_deed_is_done_at_once(line, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    line.queue.withdraw(Withdraw(("s",)))
    line.publish("s")

    assert line.queue.drain() == [TakenBack(("s",)), Published("s")]
    assert line.done == ["sync", "withdraw s", "sync", "stage s succeeded"]

import threading
from typing import Any, Callable, List

from procsup.core.events import Expand, Expanded, Fact, Inspect, Inspected
from procsup.core.outcome import AttemptId
from procsup.core.spec import UnitSpec
from procsup.engines.worker import SideWorker

LIMIT_S = 20.0


class Desk:
    """A worker, and the loop's side of it: waits to be woken, then drains."""

    def __init__(self, **acts: Callable[[Any], Any]) -> None:
        self.woken = threading.Event()
        self.wakes = 0
        acts.setdefault("inspect", lambda order: Inspected(order.attempt))
        acts.setdefault("expand", lambda order: Expanded(order.stage))
        self.worker = SideWorker(wake=self._wake, **acts)

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.close(timeout_s=LIMIT_S)

    def _wake(self) -> None:
        self.wakes += 1
        self.woken.set()

    def facts(self, count: int) -> List[Fact]:
        """Wait for that many facts; as in the loop, only a wake makes it look."""
        facts: List[Fact] = []
        while len(facts) < count:
            assert self.woken.wait(LIMIT_S), f"not woken, with {len(facts)} of {count} facts"
            self.woken.clear()
            facts.extend(self.worker.drain())
        return facts


def order(number: int = 1) -> Inspect:
    unit = UnitSpec(f"s/{number}", "s", number, ("true",), "/", "f")
    return Inspect(AttemptId(unit.id, 1), unit)


def explode(_order: object) -> Any:
    raise RuntimeError("boom")


def test_an_order_is_answered_once():
    with Desk() as desk:
        desk.worker.inspect(order())
        assert desk.facts(1) == [Inspected(AttemptId("s/1", 1))]

        desk.worker.expand(Expand("s"))
        assert desk.facts(1) == [Expanded("s")]
        assert desk.worker.drain() == []


def test_no_thread_runs_before_the_first_order():
    before = threading.active_count()
    with Desk():
        assert threading.active_count() == before


def test_a_thousand_orders_are_all_answered_and_no_wake_is_lost():
    with Desk() as desk:
        for number in range(1000):
            desk.worker.inspect(order(number))

        attempts = {fact.attempt.unit for fact in desk.facts(1000)}

    assert len(attempts) == 1000
    assert desk.wakes <= 1000


def test_an_exception_is_a_problem_and_never_a_success():
    with Desk(inspect=explode, expand=explode) as desk:
        desk.worker.inspect(order())
        (inspected,) = desk.facts(1)
        desk.worker.expand(Expand("s"))
        (expanded,) = desk.facts(1)

    assert inspected == Inspected(
        AttemptId("s/1", 1), problem="its outputs could not be looked at: RuntimeError: boom"
    )
    assert expanded == Expanded("s", problem="its units could not be looked at: RuntimeError: boom")


def test_a_thread_survives_an_exception():
    with Desk(inspect=explode) as desk:
        for number in range(10):
            desk.worker.inspect(order(number))

        assert all(fact.problem for fact in desk.facts(10))


def test_an_inspection_does_not_wait_for_an_expansion():
    gate = threading.Event()

    def hold(order: Expand) -> Expanded:
        assert gate.wait(LIMIT_S)
        return Expanded(order.stage)

    with Desk(expand=hold) as desk:
        for stage in "abc":
            desk.worker.expand(Expand(stage))
        desk.worker.inspect(order())
        assert desk.facts(1) == [Inspected(AttemptId("s/1", 1))]
        gate.set()

        assert [fact.stage for fact in desk.facts(3)] == ["a", "b", "c"]


def test_two_inspections_run_at_once():
    both = threading.Barrier(2)

    def meet(order: Inspect) -> Inspected:
        both.wait(LIMIT_S)
        return Inspected(order.attempt)

    with Desk(inspect=meet) as desk:
        desk.worker.inspect(order(1))
        desk.worker.inspect(order(2))

        assert [fact.problem for fact in desk.facts(2)] == ["", ""]


def test_close_drops_what_waits_and_joins_the_threads():
    gate, begun = threading.Event(), threading.Event()
    looked: List[str] = []

    def hold(order: Inspect) -> Inspected:
        looked.append(order.attempt.unit)
        begun.set()
        assert gate.wait(LIMIT_S)
        return Inspected(order.attempt)

    worker = SideWorker(
        inspect=hold, expand=lambda o: Expanded(o.stage), wake=lambda: None, threads=1
    )
    for number in range(5):
        worker.inspect(order(number))
    assert begun.wait(LIMIT_S)
    closer = threading.Thread(target=worker.close, kwargs={"timeout_s": LIMIT_S})
    closer.start()
    assert worker._inspectors._closed.wait(LIMIT_S)
    gate.set()
    closer.join(LIMIT_S)

    assert not closer.is_alive()
    assert looked == ["s/0"]
    assert not [t for t in threading.enumerate() if t.name == "procsup-inspect"]


def test_close_does_not_wait_for_ever_for_a_dead_file_system():
    gate, begun = threading.Event(), threading.Event()

    def hang(order: Inspect) -> Inspected:
        begun.set()
        gate.wait(LIMIT_S)
        return Inspected(order.attempt)

    worker = SideWorker(inspect=hang, expand=lambda o: Expanded(o.stage), wake=lambda: None)
    worker.inspect(order())
    assert begun.wait(LIMIT_S)

    worker.close(timeout_s=0.01)

    gate.set()
    worker.close(timeout_s=LIMIT_S)


def test_where_no_thread_can_be_had_the_work_is_done_at_once(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with Desk() as desk:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            desk.worker.inspect(order(1))
            desk.worker.expand(Expand("s"))
            assert desk.worker.drain() == [Inspected(AttemptId("s/1", 1)), Expanded("s")]

        desk.worker.inspect(order(2))
        assert desk.facts(1) == [Inspected(AttemptId("s/2", 1))]

import threading
from typing import Any, Callable, List, Optional

from procsup.core.events import Expand, Expanded, Fact, Weigh, Weighed
from procsup.engines.worker import SideExpander
from procsup.host import threads

LIMIT_S = 20.0


class Desk:
    """An expander, and the loop's side of it: waits to be woken, then drains."""

    def __init__(self, expand: Optional[Callable[[Expand], Expanded]] = None) -> None:
        self.woken = threading.Event()
        self.wakes = 0
        act = expand or (lambda order: Expanded(order.stage))
        self.expander = SideExpander(act, lambda order: explode(order), wake=self._wake)

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self.expander.close(timeout_s=LIMIT_S)

    def _wake(self) -> None:
        self.wakes += 1
        self.woken.set()

    def facts(self, count: int) -> List[Fact]:
        """Wait for that many facts; as in the loop, only a wake makes it look."""
        facts: List[Fact] = []
        while len(facts) < count:
            assert self.woken.wait(LIMIT_S), f"not woken, with {len(facts)} of {count} facts"
            self.woken.clear()
            facts.extend(self.expander.drain())
        return facts


def explode(_order: object) -> Any:
    raise RuntimeError("boom")


def test_an_order_is_answered_once():
    with Desk() as desk:
        desk.expander.expand(Expand("s"))
        assert desk.facts(1) == [Expanded("s")]
        assert desk.expander.drain() == []


def test_units_that_cannot_be_looked_at_again_are_to_run():
    with Desk() as desk:
        desk.expander.weigh(Weigh("s", ("s/a",)))

        (fact,) = desk.facts(1)

    assert isinstance(fact, Weighed)
    assert not fact.standings["s/a"].keeps_verdict


def test_no_thread_runs_before_the_first_order():
    before = threading.active_count()
    with Desk():
        assert threading.active_count() == before


def test_a_thousand_orders_are_all_answered_in_order_and_no_wake_is_lost():
    with Desk() as desk:
        for number in range(1000):
            desk.expander.expand(Expand(str(number)))

        stages = [fact.stage for fact in desk.facts(1000)]

    assert stages == [str(number) for number in range(1000)]
    assert desk.wakes <= 1000


def test_an_exception_is_a_problem_and_never_a_success():
    with Desk(explode) as desk:
        desk.expander.expand(Expand("s"))
        desk.expander.expand(Expand("t"))
        found = desk.facts(2)

    problem = "its units could not be looked at: RuntimeError: boom"
    assert found == [Expanded("s", problem=problem), Expanded("t", problem=problem)]


def test_close_does_not_wait_for_ever_for_a_dead_file_system():
    gate, begun = threading.Event(), threading.Event()

    def hang(order: Expand) -> Expanded:
        begun.set()
        gate.wait(LIMIT_S)
        return Expanded(order.stage)

    expander = SideExpander(hang, explode, wake=lambda: None)
    expander.expand(Expand("s"))
    assert begun.wait(LIMIT_S)

    expander.close(timeout_s=0.01)

    gate.set()
    expander.close(timeout_s=LIMIT_S)


def test_where_no_thread_can_be_had_the_work_is_done_at_once(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with Desk() as desk:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            desk.expander.expand(Expand("s"))
            assert desk.expander.drain() == [Expanded("s")]

        desk.woken.clear()
        desk.expander.expand(Expand("t"))
        assert desk.facts(1) == [Expanded("t")]


def test_without_a_thread_the_caller_waits_for_no_other_program(monkeypatch):
    monkeypatch.setattr(threads, "try_start_thread", lambda *_: None)
    ready: List[bool] = []
    expander = SideExpander(
        lambda order: Expanded(order.stage),
        explode,
        wake=lambda: None,
        is_ready=lambda: bool(ready),
    )

    expander.expand(Expand("s"))
    assert expander.drain() == []
    ready.append(True)
    assert expander.drain() == [Expanded("s")]
    assert expander.drain() == []


def test_a_thread_that_can_be_had_later_takes_the_order(monkeypatch):
    with Desk() as desk, monkeypatch.context() as without:
        desk.expander = SideExpander(
            lambda order: Expanded(threading.current_thread().name),
            explode,
            wake=desk._wake,
            is_ready=lambda: False,
        )
        without.setattr(threads, "try_start_thread", lambda *_: None)
        desk.expander.expand(Expand("s"))
        assert desk.expander.drain() == []
        without.undo()

        found = desk.expander.drain() or desk.facts(1)
        assert found == [Expanded("procsup-expand")]

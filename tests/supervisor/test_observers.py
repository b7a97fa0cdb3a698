"""Observers: what they remember of a run."""

from procsup.core.events import Settled
from procsup.core.plan.summary import Summary
from procsup.core.records import End
from procsup.supervisor.observers import Observers
from tests.support.sittings import end


class Nobody:
    def note_end(self, order):
        pass

    def show(self, summary):
        pass

    def close(self):
        pass


def seen(*ends: End) -> Observers:
    observers = Observers(Nobody(), lambda: None)
    for one in ends:
        observers.note_end(Settled(one))
    return observers


def test_failures_are_remembered_up_to_a_number_and_all_are_counted():
    observers = seen(*(end(f"s/{number}", code=1) for number in range(30)))

    assert (observers.failed_total, len(observers.failures)) == (30, 20)


def test_a_unit_that_succeeded_when_it_was_tried_again_is_no_failure():
    observers = seen(end("s/a", 1, 1), end("s/b", 1, 1), end("s/a", 2))

    assert [one.unit for one in observers.failures] == ["s/b"]
    assert observers.failed_total == 1


def test_a_unit_that_failed_twice_is_one_failure():
    observers = seen(end("s/a", 1, 1), end("s/a", 2, 1))

    assert [one.attempt for one in observers.failures] == [2]
    assert observers.failed_total == 1


def test_no_start_is_announced_while_older_manifests_may_still_exist():
    told, summary = [], Summary(["s"])
    observers = Observers(Nobody(), lambda: told.append("begun"))
    summary.withdrawing = 1

    observers.show(summary)
    assert told == []

    summary.withdrawing = 0
    observers.show(summary)
    observers.show(summary)

    assert told == ["begun"]

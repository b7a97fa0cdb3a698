"""A stage whose units come one by one from outside: their order, and units that follow others."""

import random

import pytest

from procsup.core.outcome import Exited, Verdict
from procsup.core.plan.stages import _AHEAD
from procsup.core.plan.state import _MOST_SETTLED
from procsup.core.records import End
from tests.support.plays import Play, stage, unit


def open_queue(*units, cpus=1):
    """A queue with these units so far."""
    return Play([stage("s", is_queue=True)], list(units), cpus=cpus, grows=True)


def starts(play):
    return [order for order in play.take_orders() if order.startswith("start")]


def test_of_those_that_wait_the_one_with_the_highest_priority_starts_first():
    play = open_queue(unit("s/a"))
    play.more(unit("s/b"), unit("s/c", priority=1), unit("s/d", priority=-1), unit("s/e"))
    play.take_orders()

    found = []
    for name in ("s/a", "s/c", "s/b", "s/e", "s/d"):
        play.ended(name)
        found += starts(play)

    assert found == ["start s/c#1", "start s/b#1", "start s/e#1", "start s/d#1"]


def test_a_later_unit_with_priority_does_not_stop_one_that_runs():
    play = open_queue(unit("s/a"))
    play.take_orders()

    play.more(unit("s/b", priority=9))

    assert starts(play) == []


@pytest.mark.parametrize("seed", range(20))
def test_units_of_one_priority_start_in_the_order_in_which_they_came(seed):
    draw = random.Random(seed)
    units = [unit(f"s/{at}", priority=draw.randint(-2, 2)) for at in range(40)]
    play = open_queue(unit("s/first"))
    rest = list(units)
    while rest:
        count = draw.randint(1, 7)
        play.more(*rest[:count])
        del rest[:count]
    play.take_orders()

    found, last = [], "s/first"
    while last:
        play.ended(last)
        last = next((order[6:-2] for order in starts(play)), "")
        found += [last] if last else []

    assert found == [one.id for one in sorted(units, key=lambda one: -one.priority)]


def test_all_that_wait_are_known_however_many():
    play = open_queue(unit("s/a"))
    play.take_orders()

    play.more(*[f"s/{at}" for at in range(_AHEAD + 10)])

    assert "expand s" in play.take_orders()
    play.more(unit("s/urgent", priority=1)).ended("s/a")
    assert starts(play) == ["start s/urgent#1"]


def test_a_unit_waits_for_those_that_it_follows():
    play = open_queue(unit("s/a"), unit("s/b"), cpus=4)
    play.more(unit("s/c", follows=("s/a", "s/b")))
    play.take_orders()

    assert starts(play.ended("s/a").synced()) == []
    assert starts(play.ended("s/b").synced()) == ["start s/c#1"]


def test_a_unit_that_follows_a_failed_one_is_skipped_also_if_it_comes_later():
    play = open_queue(unit("s/a"), cpus=4)
    play.more(unit("s/b", follows=("s/a",)))
    play.ended("s/a", Exited(3)).synced()

    play.more(unit("s/c", follows=("s/a",)), unit("s/d"))

    ends = {one.unit: one.verdict for one in play.records if isinstance(one, End)}
    assert ends == {"s/a": Verdict.FAILED, "s/b": Verdict.SKIPPED, "s/c": Verdict.SKIPPED}
    assert starts(play)[-1] == "start s/d#1"


def test_a_unit_that_follows_a_forgotten_one_starts_at_once():
    names = [f"s/{at}" for at in range(_MOST_SETTLED)]
    play = open_queue(unit("s/a"), cpus=4)
    play.more(*names)
    for name in ("s/a", *names):
        play.ended(name).synced()
    assert "s/a" in play.spilled
    play.take_orders()

    play.more(unit("s/late", follows=("s/a", names[-1])))

    assert starts(play) == ["start s/late#1"]


def test_a_unit_runs_after_the_retry_of_the_one_that_it_follows():
    play = open_queue(unit("s/a"), cpus=4).ended("s/a", Exited(1)).synced()
    play.asked("retry", units=("s/a",))
    play.more(unit("s/b", follows=("s/a",)))
    play.take_orders()

    assert starts(play.ended("s/a").synced()) == ["start s/b#1"]

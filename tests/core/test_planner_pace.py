"""`pace` of a stage: a pause between starts, free memory, the load; and a timeout by the median."""

import msgspec
import pytest

from procsup.core.events import Measured
from procsup.core.outcome import Exited, Signaled
from procsup.core.plan.pacing import RunTimes
from procsup.core.plan.reactor import next_deadline
from procsup.core.records import ControlReply, End
from procsup.core.spec import Pace
from tests.support.histories import World, live
from tests.support.plays import Play, stage, unit


def play(count=4, cpus=4, **settings):
    made = Play([stage(**settings)], [unit(f"u{n}") for n in range(count)], cpus=cpus)
    made.take_orders()
    return made


def paced(pace, **settings):
    """A play whose units have a pace, and the orders of its first turn."""
    made = Play([stage(pace=pace)], [unit(f"u{n}") for n in range(4)], cpus=4, **settings)
    return made, made.take_orders()[1:]


def free(size, load=None, cpus=2):
    return Measured(size, load, cpus)


def list_holds(made):
    replies = [one for one in made.records if isinstance(one, ControlReply)]
    return [(one.verb, one.message, one.units) for one in replies]


# --- a pause -----------------------------------------------------------------------------------


def test_a_pause_passes_between_two_starts():
    made, orders = paced(Pace(delay_s=3))

    assert orders == ["start u0#1"]
    assert next_deadline(made.plan) == made.now + 3
    assert made.tell(after_s=2.9).take_orders() == []
    assert made.tell(after_s=0.1).take_orders() == ["start u1#1"]


def test_a_unit_that_ends_does_not_shorten_the_pause():
    made, _ = paced(Pace(delay_s=3))

    assert made.ended("u0", after_s=1).take_orders() == []
    assert made.tell(after_s=2).take_orders() == ["start u1#1"]


def test_nothing_wakes_the_loop_when_no_unit_waits_for_the_pause():
    made, _ = paced(Pace(delay_s=3))
    for _ in range(3):
        made.tell(after_s=3)

    assert next_deadline(made.plan) is None


def test_nothing_wakes_the_loop_after_an_early_end():
    made, _ = paced(Pace(delay_s=3))

    made.asked("drain")

    assert next_deadline(made.plan) is None


# --- memory ------------------------------------------------------------------------------------


def test_no_unit_starts_before_the_memory_is_known():
    made, orders = paced(Pace(memory_bytes=100))

    assert orders == ["measure"]
    assert made.tell(free(100)).take_orders() == ["start u0#1"]


def test_the_next_unit_starts_when_a_later_reading_shows_the_first_one():
    made, _ = paced(Pace(memory_bytes=100))
    made.tell(free(300)).take_orders()

    assert next_deadline(made.plan) == made.now + 0.2
    assert made.tell(after_s=0.2).take_orders() == ["measure"]
    assert made.tell(free(200)).take_orders() == ["start u1#1"]
    assert made.tell(after_s=0.2).take_orders() == ["measure"]
    assert made.tell(free(99)).take_orders() == []
    assert made.tell(after_s=0.2).take_orders() == ["measure"]


def test_a_unit_takes_the_place_of_one_that_ended_without_another_reading():
    made, _ = paced(Pace(memory_bytes=100))
    made.tell(free(300)).tell(after_s=0.2).tell(free(200)).take_orders()

    assert made.ended("u0", after_s=0.1).take_orders() == ["start u2#1"]


def test_units_that_run_are_not_ended():
    made, _ = paced(Pace(memory_bytes=100))
    made.tell(free(300)).tell(after_s=0.2).take_orders()

    for _ in range(9):
        assert not [one for one in made.tell(free(0)).take_orders() if "stop" in one]
        made.tell(after_s=0.2)


def test_a_wait_that_lasts_is_told_and_recorded_and_so_is_its_end():
    made, _ = paced(Pace(memory_bytes=4096))
    tally = made.plan.summary.stages["s"]
    made.tell(free(1024))
    assert (tally.held, tally.news, list_holds(made)) == ("", [], [])

    for _ in range(6):
        made.tell(after_s=0.2).tell(free(1024))

    why = "1.0 KB of memory is free, and it waits for 4.0 KB"
    assert tally.held == why
    assert tally.news == [f"s starts no more for now: {why}"]
    assert list_holds(made) == [("hold", why, ("s",))]
    assert made.replayed().held == {"s": why}

    made.tell(after_s=0.2).tell(free(5000))

    assert (tally.held, tally.running) == ("", 1)
    assert list_holds(made)[1:] == [("go-on", "", ("s",))]
    assert made.replayed().held == {}


def test_what_is_not_known_holds_nothing_back():
    made, _ = paced(Pace(memory_bytes=100, load=1))

    assert made.tell(free(None)).take_orders() == [f"start u{n}#1" for n in range(4)]


def test_other_stages_go_on():
    stages = [stage("s", pace=Pace(memory_bytes=100)), stage("t")]
    made = Play(stages, [unit("s/a"), unit("t/a")], cpus=4)

    assert made.tell(free(0)).take_orders() == ["withdraw s t", "measure", "start t/a#1"]


# --- load --------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [Pace(load=4), Pace(load_share=2)])
def test_so_many_start_as_keep_the_load_below_its_limit(pace):
    made, _ = paced(pace)

    assert made.tell(free(None, 1, cpus=2)).take_orders() == [f"start u{n}#1" for n in range(3)]
    assert made.tell(after_s=0.2).take_orders() == ["measure"]
    assert made.tell(free(None, 4, cpus=2)).take_orders() == []
    assert made.tell(after_s=0.2).tell(free(None, 3.5)).take_orders() == ["measure", "start u3#1"]


def test_the_load_is_told_while_it_is_too_high():
    made, _ = paced(Pace(load=4))

    for _ in range(7):
        made.tell(free(None, 9)).tell(after_s=0.2)

    assert made.plan.summary.stages["s"].held == "the load is 9, and it waits for less than 4"


# --- a timeout by the median ---------------------------------------------------------------------


def test_the_median_is_a_limit_from_five_ends_on_for_units_that_run_too():
    made = play(7, cpus=7, timeout_share=2.0)
    assert next_deadline(made.plan) is None

    for name in ("u0", "u1", "u2", "u3"):
        made.ended(name)
    assert next_deadline(made.plan) is None
    begun = made.now
    made.ended("u4").take_orders()

    assert next_deadline(made.plan) == begun + 2.0  # each took 1 s
    assert made.tell(after_s=1.9).take_orders() == []
    assert made.tell(after_s=0.1).take_orders() == ["stop u5#1 timeout", "stop u6#1 timeout"]
    made.ended("u5", Signaled(15)).ended("u6", Signaled(15)).synced()
    assert made.verdicts()["u5"] == "timed-out"
    (end,) = [one for one in made.records if isinstance(one, End) and one.unit == "u5"]
    assert end.cause == "ran longer than 2 s, its timeout of 200% of the median (signal 15)"


def test_units_that_fail_are_not_in_the_median():
    made = play(7, cpus=7, timeout_share=2.0)

    for name in ("u0", "u1", "u2", "u3"):
        made.ended(name)
    made.ended("u4", Exited(1))

    assert next_deadline(made.plan) is None


def test_units_that_start_later_have_the_limit_from_the_beginning():
    made = play(6, cpus=1, timeout_share=3.0)
    for name in ("u0", "u1", "u2", "u3", "u4"):
        made.ended(name)

    assert made.take_orders()[-1] == "start u5#1"
    assert next_deadline(made.plan) == made.now + 3.0


def test_a_greater_median_lengthens_the_limit_of_units_that_run():
    times = RunTimes()
    for wall_s in (1, 1, 1, 9, 9):
        times.add(wall_s)
    assert times.compute_limit_s(2.0) == 2.0
    times.add(9)
    assert times.compute_limit_s(2.0) == 10.0
    times.add(9)
    assert times.compute_limit_s(2.0) == 18.0


def test_the_limit_is_never_below_a_second():
    times = RunTimes()
    for _ in range(5):
        times.add(0.001)

    assert times.compute_limit_s(2.0) == 1.0


def test_only_the_last_thousand_units_are_remembered():
    times = RunTimes()
    for wall_s in [*range(5000), *[7.0] * 999]:
        times.add(wall_s)

    assert times.compute_limit_s(1.5) == 10.5
    assert len(times._sorted) == len(times._last) == 999


# --- the laws ------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", range(0, 300, 100))
def test_the_laws_hold_in_any_history_with_a_pace(start):
    held = 0
    for seed in range(start, start + 100):
        world = World(seed, wild=True)
        dice = world.dice
        stages = [
            msgspec.structs.replace(
                one,
                pace=Pace(
                    dice.choice((0.0, 3.0)),
                    dice.choice((None, 500)),
                    *dice.choice(((None, None), (4.0, None), (None, 1.0))),
                ) if dice.random() < 0.7 else None,
                timeout_share=dice.choice((None, 2.0)),
            )
            for one in world.spec.stages
        ]  # fmt: skip
        world.spec = msgspec.structs.replace(world.spec, stages=tuple(stages))
        live(world, dice.randint(1, 6))
        held += any(type(one) is ControlReply and one.verb == "hold" for one in world.journal)
    assert held > 10

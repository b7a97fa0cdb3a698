"""Resumes: what the journal of earlier sittings means for the next."""

import random

import pytest

from procsup.core.events import (
    Expanded,
    Inspected,
    Interrupted,
    Rerun,
    Reuse,
    Start,
    Withdraw,
)
from procsup.core.outcome import (
    NO_LEFTOVER_FILES,
    AttemptId,
    Exited,
    LeftoverFiles,
    Reading,
    Signaled,
    Verdict,
)
from procsup.core.plan.reactor import handle
from procsup.core.plan.state import Plan
from procsup.core.records import Begin, End, Kept, Launch, Planned, Seen
from procsup.core.spec import After, Retry
from tests.support.plays import Play, fold, stage, unit

KEPT = Reuse()
DUE = Rerun("changed")


def play_finished(*stages, units, cpus=1):
    play = Play(stages or [stage()], units, cpus=cpus)
    drive(play)
    assert play.plan.outcome == "succeeded"
    play.take_orders()
    return play


def drive(play, limit=100):
    """Let every live unit succeed until the sitting is over."""
    for _ in range(limit):
        if play.plan.done:
            return
        for name in list(play.live):
            play.ended(name)
        play.synced()
    raise AssertionError("the play does not end")


def test_a_repeated_run_keeps_everything_and_publishes_anew_under_a_new_id():
    first = play_finished(units=[unit("a"), unit("b")])

    second = first.again()

    assert second.take_orders() == ["publish s succeeded", "publish run succeeded"]
    begins = [r for r in (*first.records, *second.records) if isinstance(r, Begin)]
    assert begins[0].run_id != begins[1].run_id
    assert second.plan.by_name["s"].tally.kept == 2
    assert [r.units for r in second.records if isinstance(r, Kept)] == [["a", "b"]]


def test_a_changed_unit_runs_again_with_a_number_never_used_before():
    second = play_finished(units=[unit("a"), unit("b")]).again(standings={"a": KEPT, "b": DUE})

    assert second.take_orders() == ["withdraw s", "start b#2"]


def test_what_units_are_made_of_is_recorded_again_only_where_one_runs():
    names = [f"u{n}" for n in range(1001)]
    first = play_finished(units=[unit(name) for name in names], cpus=100)
    standings = {**dict.fromkeys(names, KEPT), "u600": DUE}

    second = first.again(standings=standings)

    made = [
        [one.made is not None for one in play.records if isinstance(one, Planned)]
        for play in (first, second, first.again())
    ]
    assert made == [[True, True, True], [False, True, False], [False, False, False]]


def test_what_depends_on_a_unit_that_ran_again_runs_again():
    stages = [stage("s"), stage("t", after=(After("s"),))]
    units = [unit("s/a"), unit("s/b"), unit("t/a")]
    first = play_finished(*stages, units=units)

    second = first.again(standings={"s/a": KEPT, "s/b": DUE, "t/a": KEPT})
    drive(second)

    orders = second.take_orders()
    assert orders[:2] == ["withdraw s t", "start s/b#2"]
    assert "start t/a#2" in orders
    assert "start s/a#2" not in orders


@pytest.mark.parametrize(("made", "moved"), [(["/list"], False), (["/list", "/data"], True)])
def test_a_stage_that_only_lists_parameters_moves_no_unit_whose_line_still_stands(made, moved):
    stages = [stage("s"), stage("t", after=(After("s"),), list_files=("/list",))]
    units = [unit("s/a", outputs=made), unit("t/a")]
    first = Play(stages, units)
    first.ended("s/a").inspected("s/a").synced().ended("t/a").synced()

    again = first.again(
        standings={"s/a": DUE, "t/a": KEPT}, units=[*units, unit("t/new")], stages=stages
    )
    again.ended("s/a")
    again.tell(Inspected(AttemptId("s/a", 2), (Reading("/list", 2, 2),))).synced()

    starts = [order for order in again.take_orders() if order.startswith("start t")]
    assert (["start t/a#2"] if moved else []) + ["start t/new#1"] == starts


def test_an_interrupt_before_the_first_start_withdraws_nothing():
    play = Play([stage()], [])
    facts = [Expanded("s", (unit("a"),), (DUE,)), Interrupted(2, "SIGINT")]
    plan = Plan(play.spec, play.plan.capacity, fold([]))

    orders = handle(plan, facts, 0.0, 0.0)

    assert [order for order in orders if isinstance(order, (Withdraw, Start))] == []
    assert plan.done


def test_what_depends_on_it_runs_again_even_if_the_supervisor_died_in_between():
    stages = [stage("s"), stage("t", after=(After("s"),))]
    first = play_finished(*stages, units=[unit("s/a"), unit("t/a")])
    second = first.again(standings={"s/a": DUE, "t/a": KEPT})
    second.ended("s/a")  # its end is recorded; then the supervisor dies

    third = second.again()
    drive(third)

    assert "start t/a#2" in third.take_orders()


def test_a_unit_that_leaves_its_outputs_untouched_moves_nothing_that_depends_on_it():
    stages = [stage("s"), stage("t", after=(After("s"),))]
    units = [unit("s/a", outputs=["/out"]), unit("t/a")]
    first = Play(stages, units)
    first.ended("s/a").inspected("s/a").synced().ended("t/a").synced()

    for number in (2, 3):
        again = first.again(standings={"s/a": DUE, "t/a": KEPT})
        again.ended("s/a").inspected("s/a", number).synced()
        orders = again.take_orders()
        assert "publish run succeeded" in orders
        assert not any(order.startswith("start t/a") for order in orders)
        first = again


def test_nothing_is_withdrawn_when_all_is_kept():
    second = play_finished(units=[unit("a")]).again()

    assert not any(order.startswith("withdraw") for order in second.take_orders())


def test_an_attempt_without_an_end_is_not_taken_for_anything():
    first = Play([stage()], [unit("a")])

    second = first.again()

    assert second.take_orders() == ["withdraw s", "start a#2"]
    assert first.records[0].run_id == second.records[0].run_id
    assert second.records[0].resumed


def test_interrupted_units_wait_again_and_the_interruption_counts_for_nothing():
    first = Play([stage(retry=Retry(1))], [unit("a")])
    first.interrupted().ended("a", Signaled(15)).synced()

    second = first.again()
    second.ended("a", Exited(1))

    assert second.take_orders() == ["withdraw s", "start a#2", "start a#3"]


def test_tries_of_an_unfinished_unit_are_remembered():
    first = Play([stage(retry=Retry(2))], [unit("a")])
    first.ended("a", Exited(1))

    second = first.again()
    second.ended("a", Exited(1)).ended("a", Exited(1)).synced()

    assert second.plan.outcome == "failed"
    launches = [r.attempt for r in (*first.records, *second.records) if isinstance(r, Launch)]
    assert launches == [1, 2, 3, 4]  # 2 was started and never ended: it counts for nothing


def test_a_finally_failed_unit_runs_again_with_all_its_retries():
    first = Play([stage(retry=Retry(1))], [unit("a")])
    first.ended("a", Exited(1)).ended("a", Exited(1)).synced()

    second = first.again()
    second.ended("a", Exited(1)).ended("a", Exited(0)).synced()

    assert second.plan.outcome == "succeeded"


def test_a_kept_unit_shows_the_attempts_that_made_it():
    first = Play([stage(retry=Retry(1))], [unit("a")])
    first.ended("a", Exited(1)).ended("a").synced()

    second = first.again()

    (result,) = second.plan.results()
    assert [end.attempt for end in result.ends] == [1, 2]
    assert result.kept


def test_only_leaves_the_others_as_they_were():
    first = play_finished(units=[unit("a"), unit("b")])
    no_files = Rerun("no outputs to keep")

    second = first.again(standings={"a": no_files, "b": DUE}, selector=lambda u: u.id == "b")
    drive(second)

    orders = second.take_orders()
    assert "start b#2" in orders
    assert "start a#2" not in orders
    assert second.plan.outcome == "succeeded"


@pytest.mark.parametrize("reason", ["changed", "input changed", "output changed", "output deleted"])
def test_only_does_not_vouch_for_another_unit_that_has_changed(reason):
    first = play_finished(units=[unit("a"), unit("b")])
    changed = Rerun(reason)

    second = first.again(standings={"a": changed, "b": DUE}, selector=lambda u: u.id == "b")
    drive(second)

    assert second.plan.outcome == ""
    assert second.state("a") == "Aside"


def test_only_withdraws_what_was_said_of_a_unit_that_it_leaves_aside():
    stages = [stage("s"), stage("t", after=(After("s"),)), stage("u")]
    first = play_finished(*stages, units=[unit("s/a"), unit("s/b"), unit("t/a"), unit("u/a")])
    standings = {"s/a": Rerun("input changed"), "s/b": KEPT, "t/a": KEPT, "u/a": KEPT}

    second = first.again(standings=standings, selector=lambda spec: spec.id == "s/b")
    drive(second)

    orders = second.take_orders()
    assert "withdraw s t" in orders
    assert not any(order.startswith("start") for order in orders)
    assert second.plan.outcome == ""


def test_only_does_not_finish_a_run_whose_other_units_have_no_verdict():
    play = Play([stage()], [unit("a"), unit("b")], selector=lambda spec: spec.id == "b")

    play.ended("b").synced()

    assert play.plan.outcome == ""
    assert play.state("a") == "Aside"
    assert not any(order.startswith("publish") for order in play.take_orders())


def test_what_depends_on_a_selected_unit_is_not_called_finished_by_only():
    stages = [stage("s"), stage("t", after=(After("s"),))]
    first = play_finished(*stages, units=[unit("s/a"), unit("t/a")])

    second = first.again(
        standings={"s/a": DUE, "t/a": KEPT}, selector=lambda spec: spec.stage == "s"
    )
    drive(second)

    assert second.plan.outcome == ""
    assert "publish run succeeded" not in second.take_orders()


def test_a_failed_unit_left_alone_by_only_keeps_its_failure():
    first = Play([stage()], [unit("a"), unit("b")])
    first.ended("a", Exited(1)).ended("b", Exited(1)).synced()

    second = first.again(selector=lambda spec: spec.id == "b")
    second.ended("b").synced()

    assert second.verdicts() == {"a": "failed", "b": "succeeded"}
    assert second.plan.outcome == "failed"


@pytest.mark.parametrize("seed", range(200))
def test_crash_and_resume_any_number_of_times_end_as_an_undisturbed_run(seed):
    dice = random.Random(seed)
    stages = [stage("s", retry=Retry(1)), stage("t", after=(After("s", "finished"),))]
    units = [unit(f"s/{n}") for n in range(4)] + [unit(f"t/{n}") for n in range(3)]
    lost = {u.id for u in units if dice.random() < 0.3}
    calm = Play(stages, units)
    run_out(calm, lost, dice, crash_chance=0.0)

    play = Play(stages, units)
    while not run_out(play, lost, dice, crash_chance=0.15):
        play = play.again()

    assert calm.verdicts() == play.verdicts()
    assert calm.plan.outcome == play.plan.outcome
    succeeded_twice = [
        name
        for name, history in play.replayed().units.items()
        if sum(end.verdict is Verdict.SUCCEEDED for end in history.ends) > 1
        and not lost  # what hangs on a failed unit runs again with it
    ]
    assert succeeded_twice == []


def run_out(play, lost, dice, *, crash_chance):
    """Play on until the sitting is over (True) or the supervisor crashes (False)."""
    for _ in range(200):
        if play.plan.done:
            return play.plan.outcome != ""
        if dice.random() < crash_chance:
            return False
        if play.live and dice.random() < 0.7:
            name = dice.choice(sorted(play.live))
            play.ended(name, Exited(1 if name in lost else 0))
        else:
            play.synced()
    raise AssertionError("the play does not end")


def test_the_lost_ends_of_a_dead_sitting_do_not_count():
    first = Play([stage()], [unit("a")])
    history = first.replayed()

    assert history.units["a"].open_attempt == 1

    end = End("a", 1, Verdict.LOST, 0.0, final=False, counts=False)
    history.add(history.last_seq + 1, end)

    assert history.units["a"].open_attempt is None
    assert history.units["a"].tried == 0


def test_files_found_beside_the_outputs_of_a_kept_unit_are_recorded_once_and_known_later():
    units = [unit("a", outputs=["/out"])]
    found = LeftoverFiles(2, ("out/x", "out/y"))
    play = Play([stage()], units)
    play.ended("a").inspected("a").synced()

    for now, recorded in [(found, [found]), (found, []), (None, []), (NO_LEFTOVER_FILES, None)]:
        play = play.again(standings={"a": Reuse(leftover_files=now)})
        seen = [one.leftover_files for one in play.records if isinstance(one, Seen)]
        assert seen == ([NO_LEFTOVER_FILES] if recorded is None else recorded)
        known = play.plan.summary.stages["s"].leftover_files
        assert known == ({} if recorded is None else {"a": found})
        (result,) = play.plan.results()
        assert result.ends[-1].leftover_files == (None if recorded is None else found)
        play.synced()

"""The state table: every state meets every fact."""

import pytest

from procsup.core.events import Ended, Inspected, Interrupted, Stop, TimeLimitReached
from procsup.core.outcome import AttemptId, Exited, Signaled, Usage, Verdict
from procsup.core.plan.reactor import next_deadline
from procsup.core.plan.summary import EarlyEnd
from procsup.core.records import (
    Closed,
    ControlReply,
    End,
    Launch,
    Planned,
    Refused,
    RunFinal,
    StageFinal,
)
from procsup.core.spec import OnFailure, Retry
from tests.support.plays import LOST, NO_START, SHORTAGE, WALL, Play, fold, stage, unit


def one(**settings):
    """One stage, one unit, running."""
    play = Play([stage(**settings)], [unit("a")])
    assert play.take_orders() == ["withdraw s", "start a#1"]
    return play


def ends(play):
    return [record for record in play.records if isinstance(record, End)]


# --- Waiting -----------------------------------------------------------------------------


def test_units_start_in_order_as_slots_allow():
    play = Play([stage()], [unit("a"), unit("b"), unit("c")])

    assert play.take_orders() == ["withdraw s", "start a#1", "start b#1"]

    play.ended("b")

    assert play.take_orders() == ["start c#1"]


def test_the_launch_is_recorded_before_the_start_is_ordered():
    play = one()

    kinds = [type(order).__name__ for order in play.given]

    assert kinds.index("Write") < kinds.index("Start")
    assert any(isinstance(record, Launch) for record in play.records)


def test_the_manifests_are_withdrawn_before_the_first_start():
    play = one()

    kinds = [type(order).__name__ for order in play.given]

    assert kinds.index("Withdraw") < kinds.index("Start")


def test_a_waiting_unit_stays_unstarted_when_interrupted_and_gets_no_record():
    play = Play([stage()], [unit("a"), unit("b")], cpus=1)
    play.take_orders()

    play.interrupted()
    play.ended("a", Signaled(15))
    play.synced()

    assert "start b#1" not in play.take_orders()
    assert play.state("b") == "Waiting"
    assert play.verdicts() == {}


def test_the_jobs_of_a_stage_limit_its_live_units():
    play = Play([stage(jobs=1)], [unit("a"), unit("b")])

    assert play.take_orders() == ["withdraw s", "start a#1"]


def test_the_jobs_of_the_run_limit_all_live_units():
    play = Play([stage("s"), stage("t")], [unit("s/a"), unit("t/a")], jobs=1)

    assert play.take_orders() == ["withdraw s t", "start s/a#1"]


# --- Running -----------------------------------------------------------------------------


def test_exit_0_without_outputs_is_success_once_it_is_synced():
    play = one()

    play.ended("a")

    assert play.take_orders() == []

    play.synced()

    expected = ["settled a#1 succeeded", "publish s succeeded"]
    assert [*expected, "publish run succeeded"] == play.take_orders()
    assert play.plan.done
    assert play.plan.outcome == "succeeded"


@pytest.mark.parametrize("exit", [Exited(7), Signaled(9)])
def test_any_other_exit_is_a_failure(exit):
    play = one()

    play.ended("a", exit).synced()

    assert Verdict.FAILED is play.verdict("a")
    assert play.plan.outcome == "failed"


def test_an_exit_code_may_be_declared_a_success():
    play = one(success_codes=(0, 3))

    play.ended("a", Exited(3)).synced()

    assert Verdict.SUCCEEDED is play.verdict("a")


@pytest.mark.survives("F02")
def test_an_unknown_exit_status_is_lost_and_never_success():
    play = one()

    play.ended("a", LOST).synced()

    assert Verdict.LOST is play.verdict("a")
    assert play.plan.outcome == "failed"


def test_a_unit_that_could_not_start_says_so():
    play = one()

    play.ended("a", NO_START).synced()

    assert Verdict.NOT_STARTED is play.verdict("a")
    assert ends(play)[0].cause == "no such file: nowhere"


@pytest.mark.survives("F08")
def test_a_shortage_is_waited_for_without_counting_as_a_try():
    play = one()

    play.ended("a", SHORTAGE)

    assert play.take_orders() == []
    assert play.state("a") == "Waiting"

    play.tell(after_s=1.0)

    assert play.take_orders() == ["start a#2"]
    assert not ends(play)[0].final
    assert not ends(play)[0].counts


@pytest.mark.survives("F08")
def test_a_shortage_that_does_not_pass_ends_the_unit():
    play = one()

    for _ in range(11):
        play.ended("a", SHORTAGE)
        play.tell(after_s=1000.0)

    assert Verdict.NOT_STARTED is play.verdict("a")


def test_a_shortage_that_does_not_pass_is_not_waited_for_long():
    play, waited_s = one(), 0.0

    for _ in range(10):
        play.ended("a", SHORTAGE)
        waited_s += next_deadline(play.plan) - play.now
        play.tell(after_s=2.0)
    play.ended("a", SHORTAGE)

    assert 10.0 < waited_s < 16.0
    assert Verdict.NOT_STARTED is play.verdict("a")


def beside_another():
    """One unit that lives, and one whose start was refused for a shortage."""
    play = Play([stage()], [unit("a"), unit("b"), unit("c")])
    assert play.take_orders() == ["withdraw s", "start a#1", "start b#1"]
    return play.started("a").ended("b", SHORTAGE)


@pytest.mark.survives("F78")
def test_a_shortage_while_a_unit_lives_is_no_attempt_and_uses_no_number():
    play = beside_another()

    assert ends(play) == []
    assert [r.attempt for r in play.records if isinstance(r, Refused)] == [1]
    assert play.take_orders() == []

    play.ended("a")

    assert play.take_orders() == ["start b#1"]


def test_after_a_shortage_more_and_more_is_tried_until_it_has_passed():
    units = [unit("a"), unit("b"), *(unit(f"c{number}") for number in range(5000))]
    play = Play([stage()], units, cpus=5000)
    play.started("a")
    for name in [name for name in play.live if name != "a"]:
        play.ended(name, SHORTAGE)
    play.take_orders()

    tried = []
    for _ in range(10):
        due = next_deadline(play.plan)
        play.tell(after_s=due - play.now)
        tried.append(len(play.take_orders()))

    assert tried[:4] == [1, 2, 4, 8]
    assert sum(tried) == 4999


def test_a_shortage_is_tried_again_after_a_while_that_grows_to_half_a_minute():
    play, waits = beside_another(), []

    for _ in range(12):
        play.take_orders()
        due = next_deadline(play.plan)
        waits.append(round(due - play.now, 3))
        play.tell(after_s=due - play.now)
        assert play.take_orders() == ["start b#1"]
        play.ended("b", SHORTAGE)

    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == 30.0


@pytest.mark.survives("F78")
def test_a_shortage_is_told_once_and_counted():
    play = beside_another()
    for _ in range(3):
        play.tell(after_s=40.0).ended("b", SHORTAGE)

    tally = play.plan.by_name["s"].tally
    assert tally.refused == 4
    assert len(tally.news) == 1
    assert "no more is started until a unit has ended" in tally.news[0]


def test_what_was_refused_is_not_lost_by_a_crash_and_keeps_its_number():
    history = beside_another().replayed()

    assert history.units["b"].open_launch is None
    assert history.units["b"].last_number == 0
    assert history.units["a"].open_launch is not None


def test_a_unit_past_its_deadline_is_stopped():
    play = one(timeout_s=10, grace_s=2)

    assert next_deadline(play.plan) == 1010.0

    play.tell(after_s=10.0)

    assert play.take_orders() == ["stop a#1 timeout"]
    assert play.state("a") == "Stopping"


def test_a_deadline_of_a_unit_that_ended_is_forgotten():
    play = one(timeout_s=10)

    play.ended("a").tell(after_s=20.0)

    assert play.take_orders() == []
    assert next_deadline(play.plan) is None


def test_an_interrupted_unit_is_stopped():
    play = one()

    play.interrupted()

    assert play.take_orders() == ["stop a#1 user"]


def test_drift_stops_a_unit_only_if_on_drift_says_so():
    tolerant, strict = one(), one(on_drift="fail")

    tolerant.sampled("a")
    strict.sampled("a")

    assert tolerant.take_orders() == []
    assert strict.take_orders() == ["stop a#1 drift"]

    strict.ended("a", Signaled(15))

    assert Verdict.FAILED is strict.verdict("a")


def test_drift_is_shown_to_the_watcher_if_on_drift_is_warn():
    play = one(on_drift="warn")

    play.sampled("a")

    news = play.plan.by_name["s"].tally.news
    assert news == ["a#1: its CPU affinity changed to [0]"]


# --- Stopping ----------------------------------------------------------------------------


@pytest.mark.survives("F24")
def test_a_stop_is_ordered_once_and_carries_the_grace_by_which_the_engine_kills():
    play = one(timeout_s=10, grace_s=2)
    play.tell(after_s=10.0)

    assert play.take_orders() == ["stop a#1 timeout"]
    assert [order.grace_s for order in play.given if isinstance(order, Stop)] == [2]
    assert next_deadline(play.plan) is None

    play.tell(after_s=100.0)

    assert play.take_orders() == []

    play.ended("a", Signaled(9))

    assert Verdict.TIMED_OUT is play.verdict("a")


def test_exit_0_while_being_stopped_for_a_deadline_is_timed_out():
    play = one(timeout_s=10)

    play.tell(after_s=10.0).ended("a", Exited(0))

    assert Verdict.TIMED_OUT is play.verdict("a")


def test_a_python_unit_past_its_deadline_is_asked_for_its_stacks():
    play = one(timeout_s=10, grace_s=2, is_python=True)

    play.tell(after_s=10.0)

    assert play.take_orders() == ["stop a#1 timeout dump"]


def test_a_stop_that_came_too_late_says_nothing_of_how_the_unit_ended():
    good, bad = one(timeout_s=10), one()

    good.tell(after_s=10.0).ended("a", Exited(0), stopped=False)
    bad.interrupted().ended("a", Exited(7), stopped=False)

    assert Verdict.SUCCEEDED is good.verdict("a")
    assert Verdict.FAILED is bad.verdict("a")


def test_a_unit_stopped_by_the_user_is_cancelled_and_not_final():
    play = one()

    play.interrupted().ended("a", Exited(0)).synced()

    assert Verdict.CANCELLED is ends(play)[0].verdict
    assert not ends(play)[0].final
    assert not ends(play)[0].counts
    assert play.plan.outcome == ""
    assert isinstance(play.records[-1], Closed)
    assert play.records[-1].reason == "interrupted by signal 2"


def test_the_second_interrupt_kills_at_once():
    play = one()

    play.interrupted().interrupted()

    assert play.take_orders() == ["stop a#1 user", "kill a#1"]

    play.interrupted()

    assert play.take_orders() == []


@pytest.mark.parametrize("between", [["drain"], ["stop"], ["drain", "stop"], ["stop", "drain"]])
def test_the_second_interrupt_kills_whatever_was_asked_for_in_between(between):
    play = one().interrupted()
    for verb in between:
        play.asked(verb)

    assert play.take_orders() == ["stop a#1 user"]

    play.interrupted()

    assert play.take_orders() == ["kill a#1"]

    play.ended("a", Signaled(9)).synced()

    assert play.records[-1].reason == "interrupted by signal 2"


@pytest.mark.parametrize("later", ["drain", "stop"])
def test_why_the_sitting_ends_is_never_taken_back(later):
    play = one().interrupted().asked(later)

    assert play.plan.summary.ending is EarlyEnd.INTERRUPTED
    assert play.plan.closing == "interrupted by signal 2"
    assert [record.ok for record in play.records if isinstance(record, ControlReply)] == [
        True,
        True,
    ]


def test_a_drain_after_a_stop_says_that_units_are_not_left_to_finish():
    play = one().asked("stop").asked("drain")

    answers = [record.message for record in play.records if isinstance(record, ControlReply)]
    assert answers == ["stopping 1 running unit", "nothing more is started: stopped by request"]
    assert play.plan.closing == "stopped by request"


def test_the_second_interrupt_kills_whatever_was_asked_for_before_and_between():
    play = one().asked("stop").asked("drain").interrupted().asked("stop").interrupted()

    assert play.take_orders() == ["stop a#1 user", "kill a#1"]


@pytest.mark.parametrize(
    ("stop", "cause"),
    [
        (lambda play: play.interrupted(), "interrupted by signal 2"),
        (lambda play: play.tell(Interrupted(None, "the guard died")), "the guard died"),
        (lambda play: play.asked("stop"), "stopped by request"),
        (lambda play: play.asked("stop").interrupted(), "stopped by request"),
        (lambda play: play.tell(TimeLimitReached("late")), "late"),
        (lambda play: play.asked("stop").tell(TimeLimitReached("late")), "stopped by request"),
        (lambda play: play.asked("stop-units", units=["a"]), "stopped by request"),
        (lambda play: play.interrupted().asked("stop"), "interrupted by signal 2"),
    ],
)
def test_what_was_stopped_says_by_whom(stop, cause):
    play = stop(one()).ended("a", Signaled(9)).synced()

    assert [end.cause for end in ends(play)] == [f"{cause} (signal 9)"]


def test_an_interrupt_is_on_record_as_it_comes():
    play = one()
    play.take_orders()
    play.given.clear()

    play.interrupted()

    written = [type(order).__name__ for order in play.given]
    assert written == ["Write", "Stop"]
    assert play.records[-1] == ControlReply("", "stop", True, "interrupted by signal 2")
    assert fold(enumerate(play.records, 1)).ending == "stop"


@pytest.mark.survives("F04")
def test_the_death_of_the_guard_kills_at_once():
    play = one()

    play.interrupted(None)

    assert play.take_orders() == ["kill a#1"]


def test_a_timed_out_unit_that_is_interrupted_too_stays_timed_out():
    play = one(timeout_s=10)

    play.tell(after_s=10.0).interrupted().ended("a", Signaled(15))

    assert Verdict.TIMED_OUT is ends(play)[0].verdict


# --- what was left behind ------------------------------------------------------------------


def test_exit_0_with_a_process_still_writing_is_a_failure_that_names_it():
    play = one()
    fault = "gzip (pid 123) still wrote to out.gz 10 s after the unit's main process had ended"

    play.ended("a", Exited(0), fault=fault, linger_s=10.2).synced()

    (end,) = ends(play)
    assert (end.verdict, end.exit, end.cause) == (Verdict.FAILED, Exited(0), fault)
    assert end.linger_s == 10.2


def test_it_is_tried_again_as_any_other_failure():
    play = one(retry=Retry(1))

    play.ended("a", Exited(0), fault="gzip (pid 123) still wrote")

    assert play.take_orders() == ["start a#2"]


def test_a_remark_is_recorded_counted_and_told_the_first_time():
    play = Play([stage()], [unit("a"), unit("b")])
    remark = "http.server (pid 7) kept the log open and was ended after 10 s"

    play.ended("a", remarks=(remark,)).ended("b", remarks=(remark,)).synced()

    assert [end.remarks for end in ends(play)] == [(remark,), (remark,)]
    tally = play.plan.by_name["s"].tally
    assert tally.news == [f"a#1: {remark}"]
    assert len(tally.remarks) == 2


def test_a_remark_of_the_inspection_is_one_of_its_end():
    play = one()
    attempt = AttemptId("a", 1)
    play.tell(Ended(attempt, Exited(0), WALL, remarks=("of the end",)))

    play.tell(Inspected(attempt, remarks=("scratch folder: it stays",))).synced()

    assert [end.remarks for end in ends(play)] == [("of the end", "scratch folder: it stays")]
    assert Verdict.SUCCEEDED is play.verdict("a")


def test_more_memory_than_was_granted_is_a_remark():
    play = Play([stage()], [unit("a", memory_bytes=2_000_000_000)])

    play.ended("a", usage=Usage(peak_memory_bytes=3_000_000_000)).synced()

    (remark,) = ends(play)[0].remarks
    assert remark.startswith("it took ")
    assert Verdict.SUCCEEDED is play.verdict("a")


def test_a_second_request_may_shorten_the_grace():
    play = one(grace_s=60).asked("stop").asked("stop", grace_s=1)

    assert play.take_orders() == ["stop a#1 user", "stop a#1 user"]
    assert [order.grace_s for order in play.given if isinstance(order, Stop)] == [60, 1]


def test_the_first_press_after_a_request_to_stop_does_not_kill():
    play = one().asked("stop").interrupted()

    assert play.take_orders() == ["stop a#1 user"]

    play.interrupted()

    assert play.take_orders() == ["kill a#1"]


def test_a_start_that_is_refused_after_on_failure_has_fired_is_not_tried_again():
    play = Play([stage()], [unit(n) for n in "abcd"], cpus=3, on_failure=OnFailure("drain"))
    play.started("a").started("b").ended("a", Exited(1))
    play.take_orders()

    play.ended("c", SHORTAGE).tell(after_s=100.0)

    assert "start c#1" not in play.take_orders()
    assert Verdict.SKIPPED is play.verdict("c")


# --- Inspecting --------------------------------------------------------------------------


def inspecting(**settings):
    play = Play([stage(**settings)], [unit("a", outputs=["/out"]), unit("b")], cpus=1)
    play.take_orders()
    play.ended("a")
    return play


def test_outputs_are_inspected_while_the_slot_is_free_again():
    play = inspecting()

    assert play.take_orders() == ["start b#1"]
    assert play.state("a") == "Inspecting"


def test_good_outputs_make_the_success_and_are_recorded():
    play = inspecting()

    play.inspected("a")

    assert Verdict.SUCCEEDED is play.verdict("a")
    assert ends(play)[0].outputs[0].path == "/out"


def test_bad_outputs_are_no_success():
    play = inspecting()

    play.inspected("a", problem="output /out is missing")

    assert Verdict.BAD_OUTPUT is play.verdict("a")
    assert ends(play)[0].cause == "output /out is missing"


def test_bad_outputs_are_tried_again_if_retries_are_due():
    play = inspecting(retry=Retry(1))
    play.take_orders()

    play.inspected("a", problem="output /out is missing").ended("b")

    assert play.take_orders() == ["start a#2"]


def test_an_inspection_goes_on_when_interrupted():
    play = inspecting()
    play.take_orders()

    play.interrupted().ended("b", Signaled(15)).inspected("a").synced()

    assert Verdict.SUCCEEDED is play.verdict("a")
    assert play.plan.outcome == ""


# --- facts that cannot be ----------------------------------------------------------------


def test_a_second_end_of_an_attempt_is_a_bug():
    play = one().ended("a")

    with pytest.raises(KeyError):
        play.tell(Ended(AttemptId("a", 1), Exited(0), WALL))


def test_an_inspection_of_a_running_attempt_is_a_bug():
    play = one()

    with pytest.raises(AssertionError):
        play.tell(Inspected(AttemptId("a", 1)))


# --- retries -----------------------------------------------------------------------------


def test_a_failed_unit_is_tried_again_as_often_as_retries_say():
    play = one(retry=Retry(2))

    play.ended("a", Exited(1)).ended("a", Exited(1)).ended("a", Exited(1)).synced()

    assert play.take_orders()[:2] == ["start a#2", "start a#3"]
    assert [end.final for end in ends(play)] == [False, False, True]
    assert play.plan.outcome == "failed"


def test_only_the_verdicts_named_are_tried_again():
    play = one(retry=Retry(2, on=(Verdict.TIMED_OUT,)))

    play.ended("a", Exited(1))

    assert Verdict.FAILED is play.verdict("a")


def test_a_retry_waits_for_its_delay():
    play = one(retry=Retry(1, delay_s=5.0))

    play.ended("a", Exited(1)).tell(after_s=4.9)

    assert play.take_orders() == []

    play.tell(after_s=0.2)

    assert play.take_orders() == ["start a#2"]


def test_a_retry_may_be_granted_more_memory_but_never_more_than_there_is():
    growing = [unit("a", memory_bytes=100)]
    play = Play([stage(retry=Retry(2, memory_factor=2.0))], growing, memory_bytes=300)

    play.ended("a", Exited(1)).ended("a", Exited(1))

    grants = [
        record.placement.memory_bytes for record in play.records if isinstance(record, Launch)
    ]
    assert grants == [100, 200, 300]


# --- on-failure --------------------------------------------------------------------------


def three(policy, **settings):
    units = [unit("a"), unit("b"), unit("c")]
    play = Play([stage(**settings)], units, on_failure=policy)
    play.take_orders()
    return play


def test_finish_goes_on_after_a_failure():
    play = three(OnFailure("finish")).ended("a", Exited(1))

    assert play.take_orders() == ["start c#1"]


def test_drain_starts_nothing_more_and_skips_the_rest():
    play = three(OnFailure("drain")).ended("a", Exited(1)).ended("b").synced()

    assert play.verdicts() == {"a": "failed", "b": "succeeded", "c": "skipped"}
    assert play.plan.outcome == "failed"


def test_stop_ends_what_runs_and_cancels_it_for_good():
    play = three(OnFailure("stop")).ended("a", Exited(1))

    assert play.take_orders() == ["stop b#1 on-failure"]

    play.ended("b", Signaled(15)).synced()

    assert play.verdicts() == {"a": "failed", "b": "cancelled", "c": "skipped"}
    assert play.plan.outcome == "failed"


def test_a_policy_may_wait_for_a_share_of_failures():
    units = [unit(name) for name in "abcd"]
    play = Play([stage()], units, on_failure=OnFailure("drain", None, 0.5))
    play.take_orders()

    play.ended("a", Exited(1))

    assert play.take_orders() == ["start c#1"]

    play.ended("b", Exited(1))

    assert play.take_orders() == []


def test_a_policy_of_a_stage_leaves_the_others_alone():
    stages = [stage("s", on_failure=OnFailure("drain")), stage("t")]
    play = Play(stages, [unit("s/a"), unit("s/b"), unit("t/a"), unit("t/b")], cpus=1)

    play.ended("s/a", Exited(1)).ended("t/a").ended("t/b")

    assert (play.verdicts()) == {
        "s/a": "failed",
        "s/b": "skipped",
        "t/a": "succeeded",
        "t/b": "succeeded",
    }


def test_a_retry_that_drain_forestalls_keeps_the_verdict_of_its_last_try():
    retry = Retry(1, delay_s=9.0)
    play = Play([stage(retry=retry)], [unit("a"), unit("b")], on_failure=OnFailure("drain"))
    play.ended("a", Exited(1))

    play.ended("b", NO_START).synced()

    assert play.verdicts() == {"a": "failed", "b": "not-started"}
    assert [end.final for end in ends(play)] == [False, True, True]
    assert play.plan.outcome == "failed"


# --- requests ----------------------------------------------------------------------------


def test_drain_by_request_lets_the_running_go_on_and_is_not_final():
    play = Play([stage()], [unit("a"), unit("b")], cpus=1)
    play.take_orders()

    play.asked("drain").ended("a").synced()

    assert play.take_orders() == ["settled a#1 succeeded"]
    assert play.plan.outcome == ""
    answer = next(record for record in play.records if isinstance(record, ControlReply))
    assert answer.ok


def test_a_drain_that_finds_all_units_done_or_running_ends_final():
    play = one().asked("drain").ended("a").synced()

    assert play.plan.outcome == "succeeded"


def test_stop_by_request_ends_the_trees_with_the_grace_asked_for():
    play = one(grace_s=10).asked("stop", grace_s=1)

    assert play.take_orders() == ["stop a#1 user"]
    assert [order.grace_s for order in play.given if isinstance(order, Stop)] == [1]


def test_an_unknown_request_is_answered_with_no():
    play = one().asked("dance")

    answer = next(record for record in play.records if isinstance(record, ControlReply))
    assert not answer.ok


# --- the records of a whole run ----------------------------------------------------------


def test_the_records_of_a_run_come_in_the_order_of_their_promises():
    play = one().started("a").ended("a").synced()

    kinds = [type(record).__name__ for record in play.records]

    expected = ["Begin", "Planned", "Withdrawn", "Launch", "Spawned", "End"]
    assert [*expected, "StageFinal", "RunFinal"] == kinds


def test_a_run_without_units_succeeds():
    play = Play([stage()], [])

    assert play.take_orders() == ["publish s succeeded", "publish run succeeded"]
    assert isinstance(play.records[-1], RunFinal)
    assert sum(isinstance(record, Planned) for record in play.records) == 1
    assert sum(isinstance(record, StageFinal) for record in play.records) == 1

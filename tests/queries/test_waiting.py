import os
import sys
import threading
import time

import msgspec
import pytest

from procsup.core.records import Closed, ControlReply
from procsup.errors import RecordError, RunUnfinished, UsageError, WaitTimeout
from procsup.queries import view, waiting
from procsup.queries.session_end import explain_end, find_last_word
from procsup.queries.waiting import Awaited, Limits, await_all, await_final
from procsup.store import sitting as sittings
from procsup.store.sitting import read_owner
from tests.support.sittings import LIMIT_S, WALL, Meanwhile, Supervised, result

NOW = Limits(start_s=0.0)


@pytest.fixture
def run(tmp_path):
    return Supervised(tmp_path)


def wait(run, name="demo", stage=None, limits=NOW, notice=lambda text: None):
    return await_final(name, stage=stage, limits=limits, start=run.folder, notice=notice)


@pytest.fixture
def blocked(monkeypatch):
    """An event that is set once a waiter is about to block on a sitting."""
    event = threading.Event()

    def noted(*args):
        event.set()
        return sittings.wait_sitting(*args)

    monkeypatch.setattr(waiting, "wait_sitting", noted)
    return event


# --- somebody works on it ------------------------------------------------------------------


def test_a_waiter_is_answered_when_the_manifest_stands(run, blocked):
    run.begin()
    waiter = Meanwhile(lambda: wait(run))
    assert blocked.wait(LIMIT_S)
    run.publish(result(0))

    waited = waiter.result()

    assert (waited.head.run_id, waited.head.status, waited.age_s) == ("r1", "succeeded", None)


def test_a_stage_is_waited_for_while_the_run_goes_on(run, blocked):
    run.begin()
    waiter = Meanwhile(lambda: wait(run, stage="s"))
    assert blocked.wait(LIMIT_S)
    run.publish_stage(result(0), status="failed")

    assert waiter.result().head.stage == "s"
    with pytest.raises(WaitTimeout, match="not final yet"):
        wait(run, limits=Limits(timeout_s=0.0))
    run.leave()


def test_a_stage_that_the_run_does_not_have_is_a_usage_error(run):
    run.begin()

    with pytest.raises(UsageError, match="has no stage 'zz': it has s, t"):
        wait(run, stage="zz")
    run.publish()
    with pytest.raises(UsageError, match="has no stage 'zz'"):
        wait(run, stage="zz")


def test_a_waiter_hears_why_a_sitting_closed_before_the_run_was_final(run, blocked):
    run.begin()
    waiter = Meanwhile(lambda: wait(run))
    assert blocked.wait(LIMIT_S)
    run.close("drained by request")

    with pytest.raises(RunUnfinished, match="no supervisor works on it: drained by request"):
        waiter.result()


@pytest.mark.survives("F57")
def test_a_waiter_hears_at_once_that_the_supervisor_died(run, blocked):
    run.begin()
    waiter = Meanwhile(lambda: wait(run, limits=Limits(start_s=LIMIT_S * 2)))
    assert blocked.wait(LIMIT_S)
    run.die()

    with pytest.raises(RunUnfinished, match=f"the supervisor died \\(process {os.getpid()} on"):
        waiter.result()


def test_a_waiter_of_a_stage_hears_of_the_death_too(run, blocked):
    run.begin()
    waiter = Meanwhile(lambda: wait(run, stage="t", limits=Limits(start_s=LIMIT_S * 2)))
    assert blocked.wait(LIMIT_S)
    run.die()

    with pytest.raises(RunUnfinished, match="the supervisor died"):
        waiter.result()


def test_a_waiter_answers_for_the_sitting_it_found_although_another_resumes(run, monkeypatch):
    run.begin()
    successor = Supervised(run.folder)

    def die_and_resume(*args):
        if successor.sitting is None:
            run.die()
            successor.begin(sitting=2)
        return True

    monkeypatch.setattr(waiting, "wait_sitting", die_and_resume)

    with pytest.raises(RunUnfinished, match=r"the supervisor died .* resumes it already"):
        wait(run)
    successor.leave()


def test_an_old_manifest_is_no_answer_while_another_run_goes_on(run, blocked):
    run.begin("r1").publish(result(0))
    run.begin("r2", 2)
    waiter = Meanwhile(lambda: wait(run))
    assert blocked.wait(LIMIT_S)
    run.publish(result(0), status="failed")

    assert waiter.result().head.run_id == "r2"


def test_a_supervisor_that_starts_is_waited_for_before_an_old_result_is_believed(run, monkeypatch):
    run.begin("r1").publish(result(0))
    starting = sittings.Sitting.open(run.rundir, at=WALL)
    looked = threading.Event()
    monkeypatch.setattr(view, "is_starting", lambda owner: looked.set() or owner.sitting == 0)
    waiter = Meanwhile(lambda: wait(run, limits=Limits(timeout_s=LIMIT_S)))
    assert looked.wait(LIMIT_S)
    starting.close()
    run.begin("r2", 2).publish(result(0))

    assert waiter.result().head.run_id == "r2"


def test_where_locks_tell_nothing_the_manifest_is_looked_for_and_that_is_said(run, monkeypatch):
    monkeypatch.setattr(sittings, "_LOOK_EVERY_S", 0.01)
    run.begin()
    run.sitting.owner = msgspec.structs.replace(run.sitting.owner, locks=False)
    run.sitting._write_owner()
    said = []
    told = threading.Event()
    waiter = Meanwhile(lambda: wait(run, notice=lambda text: said.append(text) or told.set()))
    assert told.wait(LIMIT_S)
    run.publish(result(0))

    assert waiter.result().head.run_id == "r1"
    assert said == ["demo: no locks on this file system, looking once a second"]


# --- nobody works on it --------------------------------------------------------------------


def test_a_finished_run_is_answered_for_at_once_with_its_age(run):
    run.begin(at=time.time() - 3660).publish(result(0))

    assert 3500 < wait(run).age_s < 3700
    assert wait(run, "r1").head.run_id == "r1"
    assert wait(run, f"{run.rundir.path}@r1").head.run_id == "r1"
    assert wait(run, str(run.rundir.path)).head.run_id == "r1"


def test_an_answer_says_whether_an_id_named_the_run(run):
    run.begin(at=time.time() - 3660).publish(result(0))

    assert [wait(run, name).has_id for name in ("demo", "r1")] == [False, True]


def test_a_run_that_began_and_ended_between_two_looks_was_waited_for(run, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _s: run.begin(at=time.time()).publish(result(0)))

    assert wait(run, limits=Limits(start_s=LIMIT_S)).age_s is None


def test_a_result_that_is_too_old_is_refused(run):
    run.begin(at=time.time() - 3660).publish(result(0))

    with pytest.raises(RunUnfinished, match="older than the 1m 00s that are allowed"):
        wait(run, limits=Limits(start_s=0.0, max_age_s=60.0))
    assert wait(run, limits=Limits(start_s=0.0, max_age_s=7200.0)).head.run_id == "r1"


def test_a_run_that_is_superseded_is_no_longer_answered_for(run):
    run.begin("r1").publish(result(0))
    run.begin("r2", 2)

    with pytest.raises(RunUnfinished, match="r1 is superseded by r2, which is under way"):
        wait(run, f"{run.rundir.path}@r1")
    run.withdraw()
    run.publish()
    with pytest.raises(RunUnfinished, match="superseded by r2"):
        wait(run, f"{run.rundir.path}@r1")


def test_a_superseded_run_is_known_from_the_journal_where_no_manifest_stands(run):
    run.begin("r1").close("stopped by request")
    run.begin("r2", 2).close("stopped by request")

    with pytest.raises(RunUnfinished, match="not the latest of its directory"):
        wait(run, f"{run.rundir.path}@r1")
    with pytest.raises(RunUnfinished, match="stopped by request"):
        wait(run, f"{run.rundir.path}@r2")


@pytest.mark.survives("F57")
def test_a_run_that_died_before_the_waiter_came_is_told_as_such(run):
    run.begin().die()

    with pytest.raises(RunUnfinished, match="the supervisor died"):
        wait(run)


def test_a_run_that_does_not_exist_is_waited_for_and_then_named(run):
    with pytest.raises(RunUnfinished, match="no run 'demo'"):
        wait(run, limits=Limits(start_s=0.1))
    with pytest.raises(WaitTimeout):
        wait(run, limits=Limits(start_s=9.0, timeout_s=0.1))


@pytest.mark.survives("F57")
def test_a_waiter_may_come_before_the_run(run, monkeypatch):
    looked = threading.Event()
    find = waiting.find_run
    monkeypatch.setattr(
        waiting, "find_run", lambda *args, **more: looked.set() or find(*args, **more)
    )
    waiter = Meanwhile(lambda: wait(run, limits=Limits(start_s=LIMIT_S)))
    assert looked.wait(LIMIT_S)
    run.begin().publish(result(0))

    assert waiter.result().head.run_id == "r1"


def test_an_interrupted_run_is_given_time_to_be_resumed_by_its_name(run, monkeypatch):
    run.begin().close("interrupted by SIGINT")
    looked = threading.Event()
    find = waiting.find_run
    monkeypatch.setattr(
        waiting, "find_run", lambda *args, **more: looked.set() or find(*args, **more)
    )
    waiter = Meanwhile(lambda: wait(run, limits=Limits(start_s=LIMIT_S)))
    assert looked.wait(LIMIT_S)
    run.begin(sitting=2).publish(result(0))

    assert waiter.result().head.run_id == "r1"


def test_several_are_waited_for_at_once_and_answered_in_order(run, blocked):
    run.begin()
    waiter = Meanwhile(
        lambda: await_all(
            [Awaited("demo"), Awaited("demo", "s"), Awaited("nope")], limits=NOW, start=run.folder
        )
    )
    assert blocked.wait(LIMIT_S)
    run.publish_stage(result(0))
    run.publish(result(0))

    whole, stage, nobody = waiter.result()

    assert (whole.head.stage, stage.head.stage) == (None, "s")
    assert isinstance(nobody, RunUnfinished)


# --- the end of a journal ------------------------------------------------------------------


@pytest.mark.parametrize("between", [0, 4000])
def test_the_last_word_of_a_sitting_is_found_however_much_was_written_since(run, between):
    noise = [ControlReply(f"1-{number}-{'x' * 60}", "drain", True) for number in range(between)]
    run.begin().write(*noise).close("first")
    run.begin(sitting=2).write(*noise).close("second")
    run.begin(sitting=3).write(*noise).die()

    assert find_last_word(run.rundir, 1) == Closed(WALL, "first")
    assert find_last_word(run.rundir, 2) == Closed(WALL, "second")
    assert find_last_word(run.rundir, 3) is None
    assert read_owner(run.rundir).sitting == 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ControlReply("", "stop", True, "interrupted by SIGTERM"), "interrupted by SIGTERM"),
        (ControlReply("1-r", "stop", True, "stopping 2 running units"), "stopped by request"),
    ],
)
def test_a_supervisor_that_dies_while_it_stops_the_run_was_told_to(run, answer, said):
    run.begin().write(answer).die()

    died = explain_end(run.rundir, read_owner(run.rundir))

    assert died.startswith(f"the supervisor died while it stopped the run, {said} (process ")


def test_a_stop_that_was_refused_or_came_before_is_none_of_this_death(run):
    run.begin().write(ControlReply("1-r", "stop", True)).close("stopped by request")
    run.begin(sitting=2).write(ControlReply("1-r", "stop", False, "no")).die()

    assert explain_end(run.rundir, read_owner(run.rundir)).startswith("the supervisor died (")


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_what_the_system_refuses_is_no_fault_of_procsup(run):
    run.begin()
    locks = run.rundir.locks
    locks.rename(locks.with_name("moved"))
    locks.write_text("something else")

    with pytest.raises(RecordError, match=r"demo: .*run\.lock: Not a directory"):
        wait(run)
    [answer] = await_all([Awaited("demo")], limits=NOW, start=run.folder)
    assert isinstance(answer, RecordError)

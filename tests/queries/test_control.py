import os
import sys
import threading

import pytest

from procsup.core.records import ControlReply
from procsup.errors import ProcsupError, RecordError, RunUnfinished, WaitTimeout
from procsup.queries import control as asking
from procsup.queries.view import RunView
from procsup.store import control
from procsup.store.sitting import read_owner
from tests.support.sittings import LIMIT_S, Meanwhile, Supervised

posix = pytest.mark.skipif(sys.platform == "win32", reason="open folders cannot be moved there")


@pytest.fixture
def run(tmp_path):
    return Supervised(tmp_path).begin()


@pytest.fixture
def asked(monkeypatch):
    """The id of the request, once it has been put."""
    ids = []
    event = threading.Event()

    def noted(*args, **of):
        ids.append(control.ask(*args, **of))
        event.set()
        return ids[0]

    monkeypatch.setattr(asking, "ask", noted)
    return lambda: ids[0] if event.wait(LIMIT_S) else None


def test_the_answer_to_a_request_is_found_in_the_journal(run, asked):
    owner = read_owner(run.rundir)
    waiter = Meanwhile(lambda: asking.request(run.rundir, owner, "drain"))
    run.write(
        ControlReply("1-other", "drain", False, "not yours"),
        ControlReply(asked(), "drain", True, "yes"),
    )

    assert waiter.result() == asking.ControlRequest(True, "yes")
    run.leave()


def test_a_run_that_ends_before_it_answers_has_done_what_was_asked(run, asked):
    owner = read_owner(run.rundir)
    waiter = Meanwhile(lambda: asking.request(run.rundir, owner, "drain"))
    asked()
    run.publish()

    assert waiter.result().over
    assert os.listdir(run.rundir.control) == []


@pytest.mark.parametrize("begun_again", [False, True])
def test_a_run_that_ends_before_it_is_asked_has_done_so_too(run, tmp_path, begun_again):
    """It was alive when it was looked for; another run is not asked in its place."""
    owner = read_owner(run.rundir)
    run.publish()
    after = Supervised(tmp_path).begin("r2", 2, owner.started + 1) if begun_again else None

    assert asking.request(run.rundir, owner, "drain").over
    asking.stop(run.rundir, owner)
    assert os.listdir(run.rundir.control) == []
    if after is not None:
        after.leave()


@posix
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_end_of_a_run_whose_directory_is_gone_is_not_claimed(run, monkeypatch, when):
    """No lock is held there, but that says nothing of the supervisor, which is alive."""
    moved = run.folder / "moved"

    def ask_and_move(*args, **of):
        if when == "before":
            os.rename(run.rundir.path, moved)
        request = control.ask(*args, **of)
        os.rename(run.rundir.path, moved)
        return request

    monkeypatch.setattr(asking, "ask", ask_and_move)

    with pytest.raises(RecordError, match=r"not known whether .* has ended: .*run\.lock: No such"):
        asking.stop(run.rundir, read_owner(run.rundir))
    os.rename(moved, run.rundir.path)
    run.leave()


@posix
def test_the_end_of_a_unit_whose_run_directory_is_gone_is_not_claimed(run):
    owner, moved = read_owner(run.rundir), run.folder / "moved"
    os.rename(run.rundir.path, moved)

    with pytest.raises(RecordError, match="not known whether"):
        asking.stop_units(run.rundir, owner, ["s/1"])
    os.rename(moved, run.rundir.path)
    run.leave()


def test_stop_returns_when_the_sitting_is_over(run, asked):
    owner = read_owner(run.rundir)
    said = []
    waiter = Meanwhile(lambda: asking.stop(run.rundir, owner, said=said.append))
    run.write(ControlReply(asked(), "stop", True, "stopping 2 running units"))
    run.close("stopped by request")

    waiter.result()
    assert said == ["stopping 2 running units"]


def test_a_refused_stop_is_an_error(run, asked):
    owner = read_owner(run.rundir)
    waiter = Meanwhile(lambda: asking.stop(run.rundir, owner, said=print))
    run.write(ControlReply(asked(), "stop", False, "no"))

    with pytest.raises(ProcsupError, match="refused: no"):
        waiter.result()
    run.leave()


def test_a_request_that_is_there_before_the_sitting_begins_is_not_for_it(tmp_path):
    """It came with a checkout, say: no process can know the number of a sitting before."""
    run = Supervised(tmp_path)
    run.rundir.create()
    (run.rundir.control / "1-abc-12.json").write_text('{"verb":"stop"}', encoding="utf-8")

    run.begin()

    assert os.listdir(run.rundir.control) == []
    run.leave()


def test_a_supervisor_that_does_not_answer_is_not_waited_for_without_end(run):
    with pytest.raises(WaitTimeout, match=r"did not answer within 0\.05 s"):
        asking.request(run.rundir, read_owner(run.rundir), "drain", timeout_s=0.05)
    assert os.listdir(run.rundir.control) == []
    run.leave()


def test_a_verb_for_a_run_without_a_supervisor_is_refused(run):
    assert RunView(run.rundir, "r1").require_live("drain").run_id == "r1"
    with pytest.raises(RunUnfinished, match="run r0 is over"):
        RunView(run.rundir, "r0").require_live("drain")
    run.die()
    with pytest.raises(RunUnfinished, match=r"no supervisor works on .* nothing to stop"):
        RunView(run.rundir).require_live("stop")

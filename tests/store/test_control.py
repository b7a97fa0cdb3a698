import os

import msgspec
import pytest

from procsup.core.events import Asked
from procsup.errors import RecordError, RunUnfinished, UsageError
from procsup.store import control
from procsup.store.control import LOOK_EVERY_S, ControlInbox, ask, take_back
from procsup.store.rundir import RunDir
from procsup.store.sitting import Sitting, read_owner
from tests.store.builders import WALL
from tests.support.users import EVE, as_user, give, open_folder, root_only


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def turn(self):
        self.now += LOOK_EVERY_S


@pytest.fixture
def rundir(tmp_path):
    rundir = RunDir(tmp_path / "demo")
    rundir.create()
    return rundir


@pytest.fixture
def sitting(rundir):
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.begin(4, "r1", [])
        yield sitting


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def inbox(sitting, clock):
    return ControlInbox(sitting.folder, 4, now=clock)


def test_a_request_arrives_once_and_is_removed_when_it_is_read(rundir, inbox, clock):
    request = ask(rundir, "stop", 2.5)

    assert inbox.drain() == [Asked(request, "stop", 2.5)]
    assert os.listdir(rundir.control) == []
    clock.turn()
    assert inbox.drain() == []


def test_a_request_that_cannot_be_removed_arrives_once(rundir, inbox, clock, monkeypatch):
    def refuse(folder, name):
        raise PermissionError(name)

    monkeypatch.setattr(control.Folder, "unlink", refuse)
    request = ask(rundir, "stop")

    assert inbox.drain() == [Asked(request, "stop")]
    clock.turn()
    assert inbox.drain() == []


def test_several_requests_arrive_in_their_order(rundir, inbox):
    requests = [ask(rundir, verb) for verb in ("drain", "stop", "drain")]

    assert [asked.request for asked in inbox.drain()] == requests


def test_it_looks_no_more_than_twice_a_second(rundir, inbox, clock):
    assert inbox.drain() == []
    ask(rundir, "drain")
    clock.now += LOOK_EVERY_S / 2
    assert inbox.drain() == []
    assert inbox.next_look > clock.now
    clock.turn()
    assert len(inbox.drain()) == 1


def test_a_missing_supervisor_is_reported_at_once(rundir, sitting):
    sitting.close()

    with pytest.raises(RunUnfinished, match=r"no supervisor works on .* nothing to drain"):
        ask(rundir, "drain")
    assert os.listdir(rundir.control) == []


def test_one_who_has_not_begun_cannot_be_asked(rundir):
    with Sitting.open(rundir, at=WALL), pytest.raises(RunUnfinished):
        ask(rundir, "stop")


def test_a_request_for_an_earlier_sitting_is_never_carried_out(rundir, sitting, clock):
    ask(rundir, "stop")
    later = ControlInbox(sitting.folder, 5, now=clock)

    assert later.drain() == []
    assert os.listdir(rundir.control) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "cannot be read: Input data was truncated"),
        (b"stop", "cannot be read: JSON is malformed"),
        (b"[]", "cannot be read: Expected `object`"),
        (b'{"verb":7}', "cannot be read: Expected `str`, got `int` - at `$.verb`"),
        (b'{"verb":"stop","grace_s":"long"}', "Expected `float | null`, got `str`"),
        (b'{"verb":"stop","grace_s":-1}', "a grace of -1.0 s"),
        (b'{"verb":"stop","grace_s":1e999}', "cannot be read"),
        (b'{"verb":' * 100_000, "cannot be read"),
        (b"\xff\x00", "cannot be read"),
    ],
)
def test_a_malformed_request_is_removed_and_answered_with_what_is_wrong(
    rundir, inbox, content, problem
):
    (rundir.control / "4-a1-7.json").write_bytes(content)
    (rundir.control / "4-a.json").write_bytes(content)  # no name that `ask` gives: no answer
    (rundir.control / "readme").write_bytes(content)

    [asked] = inbox.drain()

    assert asked.request == "4-a1-7"
    assert problem in asked.problem
    assert os.listdir(rundir.control) == []


def test_a_request_that_was_not_read_is_taken_back(rundir, inbox):
    first, second = ask(rundir, "drain"), ask(rundir, "stop")

    take_back(rundir, second)

    assert inbox.drain() == [Asked(first, "drain")]
    take_back(rundir, first)


@pytest.mark.skipif(os.name == "nt", reason="symbolic links and FIFOs of POSIX")
def test_what_was_planted_is_not_followed_nor_waited_for(rundir, inbox, clock):
    (rundir.path / "victim").write_bytes(b'{"verb":"stop"}')
    (rundir.control / "4-link.json").symlink_to(rundir.path / "victim")
    os.mkfifo(rundir.control / "4-fifo.json")
    (rundir.control / "4-folder.json").mkdir()

    assert inbox.drain() == []
    clock.turn()
    assert inbox.drain() == []
    assert (rundir.path / "victim").exists()
    assert os.listdir(rundir.control) == ["4-folder.json"]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links of POSIX")
@pytest.mark.parametrize("how", ["link", pytest.param("folder", marks=root_only)])
def test_in_another_folder_that_has_its_place_nothing_is_read_or_removed(
    rundir, inbox, clock, tmp_path, how
):
    request = ask(rundir, "stop")
    rundir.control.rename(tmp_path / "theirs")
    (tmp_path / "theirs" / "thesis.txt").touch()
    if how == "link":
        rundir.control.symlink_to(tmp_path / "theirs")
    else:
        (tmp_path / "theirs").rename(rundir.control)
        os.chown(rundir.control, EVE, EVE)

    assert inbox.drain() == []
    assert sorted(os.listdir(rundir.control)) == [f"{request}.json", "thesis.txt"]


@root_only
def test_a_request_of_another_user_is_ignored_and_one_of_root_is_not(rundir, inbox, clock):
    """As in a folder that the user trusts, to which others may write."""
    for uid in (EVE, 0):
        request = ask(rundir, "stop")
        os.chown(rundir.control / f"{request}.json", uid, uid)
        clock.turn()
        assert [asked.verb for asked in inbox.drain()] == (["stop"] if uid == 0 else [])


@pytest.fixture
def run_of_eve():
    with open_folder() as folder:
        rundir = RunDir(folder / "demo")
        rundir.create()
        with Sitting.open(rundir, at=WALL) as sitting:
            sitting.begin(4, "r1", [])
            give(rundir.path, EVE)
            yield rundir


@root_only
def test_root_asks_and_the_supervisor_of_another_user_can_read_it(run_of_eve, clock):
    request = ask(run_of_eve, "stop")

    def drain():
        with run_of_eve.open() as folder:
            return ControlInbox(folder, 4, now=clock).drain()

    assert as_user(EVE, drain) == [Asked(request, "stop")]


@root_only
@pytest.mark.parametrize("how", ["link", "folder"])
def test_a_request_of_root_is_led_into_no_other_folder(run_of_eve, tmp_path, how):
    run_of_eve.control.rmdir()
    if how == "link":
        run_of_eve.control.symlink_to(tmp_path)
    else:
        run_of_eve.control.mkdir()  # root's, as one that is mounted there

    with pytest.raises(RecordError, match=r"could not be written: (it belongs|Not a dir)"):
        ask(run_of_eve, "stop")
    assert os.listdir(run_of_eve.control) == []


def test_no_request_is_led_to_another_run_that_takes_the_place_after_the_look(
    rundir, sitting, tmp_path, monkeypatch
):
    other = RunDir(tmp_path / "other")
    other.create()
    with Sitting.open(other, at=WALL) as theirs:
        theirs.begin(4, "r2", [])
        decode = control.decode_owner

        def exchange(file):
            rundir.path.rename(tmp_path / "away")
            rundir.path.symlink_to(other.path)
            return decode(file)

        monkeypatch.setattr(control, "decode_owner", exchange)
        with pytest.raises(RecordError, match="another folder has taken its place"):
            ask(rundir, "stop")
        assert os.listdir(other.control) == []


def test_no_request_goes_to_another_supervisor_than_the_one_that_was_found(rundir, sitting):
    owner = read_owner(rundir)

    with pytest.raises(RunUnfinished, match="no longer works on"):
        ask(rundir, "stop", of=msgspec.structs.replace(owner, pid=owner.pid + 1))
    assert os.listdir(rundir.control) == []
    assert ask(rundir, "stop", of=msgspec.structs.replace(owner, stages=("a",)))


def test_a_request_on_its_way_is_left_alone(rundir, inbox):
    (rundir.control / ".procsup-1-1.part").write_bytes(b"{")

    assert inbox.drain() == []
    assert os.listdir(rundir.control) == [".procsup-1-1.part"]


def test_a_directory_that_is_gone_is_no_crash(rundir, inbox):
    rundir.control.rmdir()

    assert inbox.drain() == []
    with pytest.raises(RecordError, match="could not be written"):
        ask(rundir, "stop")


def test_the_errors_have_their_exit_codes():
    assert (RunUnfinished.exit_code, RecordError.exit_code, UsageError.exit_code) == (3, 74, 2)


def test_units_travel_with_a_request_whatever_their_names_hold(rundir, inbox):
    units = ("s/a", "s/\udcff", "s/\u00e9")

    request = ask(rundir, "retry", units=units)

    assert inbox.drain() == [Asked(request, "retry", None, units)]


def test_a_request_that_is_too_long_is_refused_where_it_is_made(rundir, sitting):
    with pytest.raises(UsageError, match="20000 units are too many"):
        ask(rundir, "retry", units=[f"s/{'x' * 100}{number}" for number in range(20000)])
    assert os.listdir(rundir.control) == []

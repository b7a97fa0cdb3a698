"""Runs without a name: the newest stay, and what may not be removed stays, too."""

import os
import threading
import time

import pytest

import procsup
from procsup.host.locks import FileLock
from procsup.runfile.plan import PLAN_FILE, Head, is_own_name, make_own_name
from procsup.store import removal
from procsup.store.rundir import RunDir
from procsup.supervisor import old_runs
from procsup.supervisor.old_runs import OldRuns, list_old, remove_old
from tests.support.permissions import closed
from tests.support.projects import LIMIT_S, PROGRAMS, PYTHON, Project
from tests.support.sittings import Supervised, end, plan, result, started
from tests.support.users import EVE, give, root_only

HOUR_S = 3600.0
TRUE = [PYTHON, "-S", "-c", ""]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".procsup"


@pytest.fixture
def make(tmp_path):
    """Make a run without a name, which ended so many hours ago; `live`: it has not ended."""

    def make(hours, *, prefix="run", named=False, live=False):
        run = Supervised(tmp_path)
        name = f"{prefix}-20260102T0304{hours:02}-{os.urandom(4).hex()}"
        run.rundir = RunDir(tmp_path / ".procsup" / name)
        run.begin()
        run.write(plan("s/a"), *started("s/a"), end("s/a"))
        head = Head(name, str(tmp_path), "units", {}, {}, named)
        (run.rundir.path / PLAN_FILE).write_bytes(head.line())
        if not live:
            run.publish(result(0))
            age(run.rundir.path, hours)
        return run

    return make


def age(path, hours):
    at = time.time() - hours * HOUR_S
    os.utime(path / "manifest.json", (at, at))


def list_ages(home):
    """The hours of the runs that are there, by their names."""
    return [int(name.split("-")[1][-2:]) for name in sorted(os.listdir(home))]


# --- which ones go ----------------------------------------------------------------------------


def test_the_newest_stay_with_the_run_under_way_among_them(home, make):
    for hours in (5, 3, 2, 4, 6):
        make(hours)

    remove_old(home, 3)

    assert list_ages(home) == [2, 3]
    remove_old(home, 1)
    assert list_ages(home) == []


def test_what_ended_within_the_hour_stays_since_it_may_still_be_read(home, make):
    for hours in (0, 0, 0, 2):
        make(hours)

    remove_old(home, 1)

    assert list_ages(home) == [0, 0, 0]


def test_few_runs_are_only_counted(home, make, monkeypatch):
    for hours in (2, 3):
        make(hours)
    monkeypatch.setattr(old_runs, "RunDir", None)

    assert list_old(home, 2, time.time()) == []
    assert list_old(home / "nowhere", 2, time.time()) == []


def test_runs_of_the_verb_map_count_and_names_that_a_user_chose_do_not(home, make):
    make(2)
    make(3, prefix="map")
    make(4, named=True)  # chosen, though it looks like one of ours
    for name in ("nightly", "run-2026", "run-20260102T030405"):
        run = make(5)
        os.rename(run.rundir.path, home / name)

    remove_old(home, 1)

    assert [name for name in sorted(os.listdir(home)) if is_own_name(name)] == [
        name for name in sorted(os.listdir(home)) if "T030404-" in name
    ]
    assert {"nightly", "run-2026", "run-20260102T030405"} < set(os.listdir(home))
    assert is_own_name(make_own_name("run"))
    assert is_own_name(f"{make_own_name('map')}-2")


def test_a_live_run_and_one_that_is_not_final_stay_and_take_no_place(home, make):
    live, dead = make(8, live=True), make(9, live=True)
    dead.die()
    for hours in (2, 3, 4):
        make(hours)

    remove_old(home, 3)

    assert list_ages(home) == [2, 3, 8, 9]
    live.leave()


def test_a_final_run_that_is_begun_again_or_has_live_units_stays(home, make):
    begun, units = make(4), make(5)
    make(2)
    locks = [FileLock(begun.rundir.run_lock), FileLock(units.rundir.units_lock)]
    assert all(lock.try_exclusive() for lock in locks)

    remove_old(home, 1)

    assert list_ages(home) == [4, 5]
    for lock in locks:
        lock.close()
    remove_old(home, 1)
    assert list_ages(home) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / PLAN_FILE).unlink(),
        lambda path: (path / PLAN_FILE).write_text("{"),
        lambda path: (path / PLAN_FILE).write_text('{"procsup-plan": 1, "newer": true}\n'),
        lambda path: (path / PLAN_FILE).write_bytes(b"\xff\xfe"),
        lambda path: (path / "thesis.tex").write_text("years"),
        lambda path: (path / "manifest.json").write_text("{"),
    ],
    ids=["no plan", "half a plan", "a newer plan", "no text", "another's file", "half a manifest"],
)
def test_a_damaged_run_stays_and_keeps_no_other(home, make, damage):
    path = make(5).rundir.path
    damage(path)
    age(path, 5)
    for hours in (2, 6):
        make(hours)

    remove_old(home, 2)

    assert list_ages(home) == [2, 5]


@root_only
@pytest.mark.parametrize("whose", ["the run", "the folder"])
def test_a_run_of_another_user_stays(home, make, whose):
    path = make(5).rundir.path
    make(2)
    give(path if whose == "the run" else home, EVE)

    remove_old(home, 1)

    assert list_ages(home) == ([5] if whose == "the run" else [2, 5])


@pytest.mark.skipif(os.name == "nt", reason="not everybody may make links on Windows")
def test_a_link_is_not_followed(home, make, tmp_path):
    path = make(5).rundir.path
    make(2)
    os.rename(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    remove_old(home, 1)

    assert (tmp_path / "elsewhere" / "manifest.json").exists()
    assert list_ages(home) == [5]


# --- what happens on the way ------------------------------------------------------------------


def test_a_folder_that_may_not_be_written_keeps_all(home, make):
    for hours in (2, 3):
        make(hours)

    with closed(home, 0o500) as works:
        if not works:
            pytest.skip("this system refuses us nothing")
        remove_old(home, 1)

    assert list_ages(home) == [2, 3]


def test_what_a_killed_removal_left_goes_with_the_next_one(home, make, monkeypatch):
    for hours in (2, 3, 4):
        make(hours)

    def killed(_folder, _name):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(removal, "_remove", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_old(home, 2)
    (rest, *others) = sorted(os.listdir(home))
    assert (rest.startswith(".procsup-"), len(others)) == (True, 2)

    remove_old(home, 1)

    assert list_ages(home) == []


def test_two_at_a_time_remove_each_run_once_and_neither_fails(home, make):
    for hours in range(2, 12):
        make(hours)
    together = threading.Barrier(2)
    raised = []

    def remove():
        together.wait(LIMIT_S)
        try:
            remove_old(home, 3)
        except BaseException as error:  # noqa: BLE001  shown below
            raised.append(error)

    threads = [threading.Thread(target=remove) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)

    assert raised == []
    assert sum(map(is_own_name, os.listdir(home))) == 2
    # One may have met a folder of the other's at its very end: the rest of it goes the next time.
    remove_old(home, 1)
    assert os.listdir(home) == []


def test_a_run_that_is_over_at_once_waits_for_the_first_removal(home, make, monkeypatch):
    monkeypatch.setattr(old_runs, "_FIRST_REMOVED_S", LIMIT_S)
    for hours in (2, 3):
        make(hours)

    begun = OldRuns(1)
    begun.begin_to_remove(str(home / "run"))
    begun.wait_for_first()

    assert 3 not in list_ages(home)


def test_there_is_no_wait_where_nothing_is_removed(home, make, monkeypatch):
    monkeypatch.setattr(old_runs, "_FIRST_REMOVED_S", LIMIT_S)
    make(2)
    for keep_last in (None, 1):
        begun = OldRuns(keep_last)
        begun.begin_to_remove(str(home / "run"))
        begun.wait_for_first()
    with monkeypatch.context() as patch:
        patch.setattr(old_runs, "try_start_thread", lambda *_: None)
        begun = OldRuns(1)
        begun.begin_to_remove(str(home / "run"))
        begun.wait_for_first()
    OldRuns(1).wait_for_first()  # a run that never came so far

    assert list_ages(home) == [2]


# --- whole runs -------------------------------------------------------------------------------

UNTIL_GONE = [PYTHON, "-S", str(PROGRAMS / "until_gone.py")]


@pytest.mark.slow
def test_a_run_without_a_name_removes_old_ones_while_it_goes_on(home):
    first, second = (procsup.run_units([TRUE], progress="none") for _ in range(2))
    mine = procsup.run_units([TRUE], name="mine", progress="none")
    for hours, manifest in enumerate((mine, second, first), 2):
        age(manifest.directory, hours)

    # A run with a name removes nothing, nor does one that is refused, or that keeps all.
    procsup.run_units([TRUE], name="other", keep_last=1, progress="none")
    with pytest.raises(procsup.RunFileError):
        procsup.run_units([TRUE], keep_last=1, retries=-1, progress="none")
    procsup.map([*TRUE, "{}"], [1], keep_last=None, progress="none")
    assert first.directory.exists()

    wait = [*UNTIL_GONE, str(first.directory)]
    third = procsup.run_units([wait], keep_last=3, timeout=LIMIT_S, progress="none")

    assert {one.directory.exists() for one in (second, third, mine)} == {True}
    with pytest.raises(procsup.RunUnfinished, match="gives way to newer ones"):
        list(first.read_units())


@pytest.mark.slow
def test_the_verb_map_keeps_twenty(home, make):
    for hours in range(2, 22):
        make(hours)
    oldest = next(path for path in home.iterdir() if "T030421-" in path.name)

    done = Project(home.parent).call("map", *UNTIL_GONE, ":::", str(oldest))

    assert done.returncode == 0, done.stderr
    assert sum(map(is_own_name, os.listdir(home))) == 20


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "3"])
def test_a_number_that_is_none_is_refused(home, wrong):
    with pytest.raises(procsup.UsageError, match="expected a whole number of at least 1, or None"):
        procsup.run_units([TRUE], keep_last=wrong)
    assert not home.exists()

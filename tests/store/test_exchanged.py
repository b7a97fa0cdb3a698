"""A folder is exchanged for a link to another one, before each call of a sitting in turn."""

import os
import shutil
from contextlib import suppress

import pytest

from procsup.core.records import MadeColumns, Planned
from procsup.core.rooted import HOME
from procsup.errors import RecordError
from procsup.store import unit_lines
from procsup.store.control import ControlInbox
from procsup.store.copies import is_original
from procsup.store.history import find_places_before
from procsup.store.rundir import RunDir
from procsup.store.shared_lock import hold_shared_lock
from tests.support.sittings import Supervised, result
from tests.support.swaps import can_exchange, exchange

CALLS = ("open", "stat", "lstat", "fstat", "mkdir", "replace", "unlink", "listdir", "fsync")

BEFORE = 1_000_000  # calls

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no calls by an open folder")


def play_a_sitting(folder):
    """A supervisor begins, publishes a stage and the run, and ends; or it notices, and ends."""
    played = Supervised(folder, stamp=str(folder / "out" / "done"))
    try:
        played.begin(share="group")
        open_folder = played.sitting.folder
        with hold_shared_lock(open_folder, "nightly", holder="this run"):
            assert is_original(played.rundir, played.begun, open_folder)
            played.sitting.take_units_lock(list)
            played.withdraw()
            ControlInbox(open_folder, 1).drain()
            played.publish_stage(result(0))
            played.publish(result(0))
    except RecordError:
        return "noticed"
    finally:
        with suppress(RecordError):
            played.leave()
    return "done"


def make_victim(folder):
    """Make a folder of ours with what a sitting would write, remove or believe, led there."""
    for name in ("stages", "locks", "control", "demo"):
        (folder / name).mkdir(parents=True)
    for name in ("manifest.json", "journal.jsonl", "control/0-1-1.json", "demo/manifest.json"):
        (folder / name).write_text("theirs")
    (folder / "stages" / "s.json").write_text("theirs" * 1000)
    (folder / ".nightly.lock").write_text("theirs")
    (folder / "done").write_text("theirs")


def look_at(folder):
    return sorted(
        (path, path.stat().st_mode, path.read_text() if path.is_file() else "")
        for path in folder.rglob("*")
    )


def exchanged_at(nth, monkeypatch, folder, what):
    """Play a sitting, before the nth call of which a link has the place of a folder."""
    victim, link, out = folder / "victim", folder / "link", folder / "out"
    make_victim(victim)
    link.symlink_to(victim)
    out.mkdir()
    (out / "done").write_text("r0 2023-11-14T22:13:30Z\n")
    RunDir(folder / HOME / "demo").create()
    before = look_at(victim)
    calls = [0]
    create = RunDir.create

    def created(*arguments, **keywords):
        """Who may exchange the folder of runs before the directory is made is trusted."""
        calls[0] = -BEFORE if what == HOME else 0
        made = create(*arguments, **keywords)
        calls[0] = max(calls[0], 0)
        return made

    def counted(real):
        def call(*arguments, **keywords):
            calls[0] += 1
            if calls[0] == nth:
                exchange(folder / what, link)
            return real(*arguments, **keywords)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(RunDir, "create", created)
        patched.setattr(unit_lines.zlib, "crc32", lambda *_: 0)  # it guards against no stranger
        for name in CALLS:
            patched.setattr(os, name, counted(getattr(os, name)))
        said = play_a_sitting(folder)
    assert look_at(victim) == before
    for place in (f"{HOME}/demo", "link", "link/demo"):
        manifest = folder / place / "manifest.json"
        text = manifest.read_text() if manifest.exists() else ""
        assert text == "theirs" or "theirs" not in text
    return said, calls[0]


@posix
@pytest.mark.survives("F87")
@pytest.mark.parametrize("what", [f"{HOME}/demo", "out", HOME])
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_before_whatever_call_it_is_exchanged_nothing_is_written_elsewhere(
    tmp_path, monkeypatch, stride, what
):
    if not can_exchange(tmp_path):
        pytest.skip("this system exchanges no names in one step")
    nth, said = 0, []
    while True:
        nth += stride
        folder = tmp_path / str(nth)
        folder.mkdir()
        how, calls = exchanged_at(nth, monkeypatch, folder, what)
        shutil.rmtree(folder)
        said.append(how)
        if calls < nth:
            break

    assert said[-1] == "done"
    assert "noticed" in said


def plan_one(played, unit):
    """Write the plan of a sitting, with one unit and its command."""
    return played.write(Planned("s", [unit], made=MadeColumns([["x"]], {"n": ["1"]}, {})))


@posix
@pytest.mark.survives("F87")
def test_plans_of_an_open_run_are_not_read_in_what_has_its_place(tmp_path):
    here, other = (Supervised(tmp_path / name).begin() for name in ("here", "other"))
    plan_one(here, "s/ours")
    plan_one(other, "s/theirs").leave()
    here.rundir.path.rename(tmp_path / "before")
    other.rundir.path.rename(here.rundir.path)
    found = find_places_before(here.rundir, {"s/ours": 100, "s/theirs": 100}, here.sitting.folder)
    with suppress(RecordError):
        here.leave()

    assert list(found) == ["s/ours"]

"""A run that is shared: another user holds every lock that he can, and is in nobody's way."""

import os
import shutil
import signal
import struct
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from procsup.errors import RecordError, WaitTimeout
from procsup.queries.waiting import Limits, await_final
from procsup.store import sitting as sitting_module
from procsup.store.owner import read_owner
from procsup.store.rundir import RunDir
from procsup.store.sitting import Sitting, SittingEnd, is_live, wait_sitting
from tests.store.builders import WALL
from tests.store.test_sitting import manifest
from tests.support.users import EVE, as_user, root_only

fcntl = pytest.importorskip("fcntl")
pytestmark = root_only
LIMIT_S = 20.0
OFD_SETLK = 37


@pytest.fixture
def rundir():
    """A run directory in a folder that all may enter."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    rundir = RunDir(Path(folder) / "demo")
    rundir.create("all")
    yield rundir
    shutil.rmtree(folder)


class Stranger:
    """Another user, who takes each lock in a folder that he can, and keeps it till the end.

    `held` are the names of the files that he could open at all.
    """

    def __init__(self, folder):
        self._folder = folder
        ours, theirs = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.setgroups([])
                os.setgid(EVE)
                os.setuid(EVE)
                os.write(theirs, b"".join(os.fsencode(one) + b"\0" for one in self._take()) + b"\n")
                signal.pause()
            finally:
                os._exit(1)
        os.close(theirs)
        with os.fdopen(ours, "rb") as said:
            self.held = sorted(os.fsdecode(name) for name in said.readline()[:-1].split(b"\0")[:-1])

    def _take(self):
        for folder, _, names in os.walk(self._folder):
            for name in names:
                try:
                    fd = os.open(os.path.join(folder, name), os.O_RDONLY)
                except PermissionError:
                    continue
                whole = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
                for take in (
                    lambda fd=fd: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
                    lambda fd=fd, whole=whole: fcntl.fcntl(fd, OFD_SETLK, whole),
                ):
                    with suppress(OSError):  # its holder is faster
                        take()
                yield name

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


@pytest.mark.survives("F88")
def test_he_keeps_no_supervisor_from_a_start(rundir):
    for number in (1, 2):
        with Sitting.open(rundir, share="all", at=WALL) as sitting:
            sitting.begin(number, "r1", ["s"])
            sitting.take_units_lock(list)
    with Stranger(rundir.path) as stranger:
        assert stranger.held == ["2-run.lock", "2-stage-s.lock", "owner.json"]
        began = time.monotonic()
        for number in (2, 3):  # also where his files have the names of ours
            with Sitting.open(rundir, share="all", at=WALL) as sitting:
                sitting.begin(number, "r1", ["s"])
                sitting.take_units_lock(list)
        assert time.monotonic() - began < 2.0


@pytest.mark.survives("F88")
def test_he_keeps_no_waiter_from_its_end(rundir):
    sitting = Sitting.open(rundir, share="all", at=WALL)
    sitting.begin(1, "r1", ["s"])
    owner = read_owner(rundir)
    assert owner.by_description
    woken = []
    waiters = [
        threading.Thread(
            target=lambda stage=stage: woken.append(wait_sitting(rundir, owner, stage, None))
        )
        for stage in ("s", None)
    ]
    for waiter in waiters:
        waiter.start()
    with sitting:
        before = Stranger(rundir.path)
    with before, Stranger(rundir.path):  # what one cannot have before the end, the other takes now
        for waiter in waiters:
            waiter.join(LIMIT_S)
        assert woken == [True, True]
        assert wait_sitting(rundir, owner, None, LIMIT_S)
        assert not is_live(rundir, owner)


@pytest.mark.survives("F88")
@pytest.mark.parametrize("end", ["it is final", "it ended", "it died"])
def test_of_an_older_supervisor_he_keeps_a_waiter_for_a_second_at_most(rundir, end, monkeypatch):
    """Which has nothing but a flock on a file that all may open."""
    monkeypatch.setattr("procsup.host.locks._LOOK_S", 0.01)
    sitting = Sitting.open(rundir, share="all", at=WALL)
    monkeypatch.setattr("procsup.host.locks._try_description", lambda _fd: False)
    sitting.begin(1, "r1", ["s"])
    owner = read_owner(rundir)
    assert not owner.by_description
    waiting = SittingEnd(rundir, owner)
    assert not waiting.wait(0.03)
    if end == "it ended":
        sitting.close()
    else:
        sitting._let_go(None)  # the kernel does so at its death
    with Stranger(rundir.path) as stranger:
        assert "1-run.lock" in stranger.held
        if end == "it is final":
            manifest(rundir, "r1", None)
        elif end == "it died":
            owner = msgspec.structs.replace(owner, pid=2**22 + 1)
            rundir.run_lock.write_bytes(msgspec.json.encode(owner) + b"\n")
            assert not is_live(rundir, owner)
            waiting = SittingEnd(rundir, owner)

        assert waiting.wait(LIMIT_S)
    sitting.close()


def test_an_older_waiter_waits_for_us_and_a_newer_one_for_an_older_supervisor(rundir, monkeypatch):
    """The one knows no lock but flock, the other holds no other."""
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.begin(1, "r1", ["s"])
        fd = os.open(rundir.get_sitting_lock(1), os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        sitting.release_run()
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(fd)
        owner = msgspec.json.decode(rundir.run_lock.read_bytes())
    monkeypatch.setattr("procsup.host.locks._try_description", lambda _fd: False)
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.begin(2, "r1", ["s"])
        line = msgspec.json.decode(rundir.run_lock.read_bytes())
        del line["by_description"]  # an older one does not write it
        rundir.run_lock.write_bytes(msgspec.json.encode(line) + b"\n")
        assert is_live(rundir)
        assert not wait_sitting(rundir, read_owner(rundir), "s", 0.01)
        sitting.release_stage("s")
        assert wait_sitting(rundir, read_owner(rundir), "s", LIMIT_S)
    assert set(owner) == {*line, "by_description"}


def test_another_host_is_waited_for_by_the_first_kind(rundir, monkeypatch):
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.begin(1, "r1", ["s"])
        owner = read_owner(rundir)
        assert owner.by_description
        monkeypatch.setattr(type(owner), "here", False)

        assert not sitting_module._open_lock(rundir, owner).by_description


def test_he_sees_who_has_it_and_waits_for_the_end(rundir):
    def look():
        with pytest.raises(WaitTimeout):
            await_final(str(rundir.path), limits=Limits(timeout_s=0.05))
        return read_owner(rundir).run_id, is_live(rundir)

    with Sitting.open(rundir, share="all", at=WALL) as sitting:
        sitting.begin(1, "r1", ["s"])

        assert as_user(EVE, look) == ("r1", True)


@pytest.mark.parametrize("name", ["run.lock", "locks/owner.json"])
def test_a_lock_of_another_user_is_not_taken_nor_written(rundir, name):
    planted = rundir.path / name
    planted.write_text("his")
    os.chown(planted, EVE, EVE)

    with pytest.raises(RecordError, match=r"belongs to (an unknown user|uid)"):
        Sitting.open(rundir, share="all", at=WALL)

    assert planted.read_text() == "his"

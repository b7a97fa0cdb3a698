import errno
import os
import signal
import subprocess
import sys
import threading

import msgspec
import pytest

from procsup.core.manifest import SCHEMA, Head, JournalMark
from procsup.errors import RecordError, RunBusy
from procsup.host import identity, procfs
from procsup.host.identity import get_machine_id
from procsup.host.locks import FileLock
from procsup.host.units_lock import UnitsLock
from procsup.store import left_alive
from procsup.store import owner as owner_module
from procsup.store import sitting as sitting_module
from procsup.store.left_alive import has_live_units
from procsup.store.removal import make_target
from procsup.store.rundir import RunDir
from procsup.store.sitting import (
    Owner,
    Sitting,
    is_live,
    is_starting,
    read_owner,
    wait_sitting,
)
from tests.store.builders import PROGRAMS, WALL, environment
from tests.support.mounts import bound

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX processes and files")
LIMIT_S = 20.0


@pytest.fixture
def rundir(tmp_path):
    rundir = RunDir(tmp_path / "demo")
    rundir.create()
    return rundir


@pytest.fixture
def supervisor(rundir):
    """A process that has begun sitting 1 of run r1 with the stages s and t."""
    command = [sys.executable, str(PROGRAMS / "hold_sitting.py"), str(rundir.path), "s", "t"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), **pipes) as process:
        assert process.stdout.readline().strip() == b"begun"
        yield process
        process.kill()


def nothing_left():
    return []


def test_the_owner_is_known_from_the_beginning_to_the_end(rundir):
    host, boot_id = get_machine_id()
    assert read_owner(rundir) is None
    with Sitting.open(rundir, at=WALL) as sitting:
        owner = read_owner(rundir)
        namespace = identity.read_pid_namespace()
        ticks = identity.start_ticks()
        told = {"start_ticks": ticks, "pid_namespace": namespace}
        assert owner == Owner(host, os.getpid(), boot_id, WALL, **told)
        assert (ticks is None) == (namespace == "") == (sys.platform != "linux")
        assert is_starting(owner)
        assert not is_live(rundir)
        sitting.begin(3, "r1", ["s"])
        owner = read_owner(rundir)
        assert (owner.sitting, owner.run_id, owner.stages) == (3, "r1", ("s",))
        assert is_live(rundir)
        assert not is_starting(owner)

    assert read_owner(rundir).ended is not None
    assert not is_live(rundir)
    sitting.close()


def test_a_second_supervisor_is_refused_and_told_who_has_it(rundir, supervisor):
    with pytest.raises(RunBusy, match=rf"in use by process {supervisor.pid} on \S+ since 2"):
        Sitting.open(rundir, at=WALL)

    assert is_live(rundir)


def test_a_second_one_in_the_same_process_is_refused(rundir):
    with Sitting.open(rundir, at=WALL), pytest.raises(RunBusy):
        Sitting.open(rundir, at=WALL)


def test_a_start_waits_for_a_supervisor_whose_run_is_final(rundir, monkeypatch):
    first = Sitting.open(rundir, at=WALL)
    first.begin(1, "r1", ["s"])
    first.release_run()  # the waiters are awake, and one of them starts the next run
    monkeypatch.setattr(sitting_module.time, "sleep", lambda _s: first.close())

    with Sitting.open(rundir, at=WALL) as second:
        assert second.previous.ended is not None


def test_a_removal_waits_for_a_supervisor_whose_run_is_final(rundir, monkeypatch):
    first = Sitting.open(rundir, at=WALL)
    first.begin(1, "r1", [])
    first.release_run()
    monkeypatch.setattr(sitting_module.time, "sleep", lambda _s: first.close())

    assert make_target(rundir).path == rundir.path


def test_a_supervisor_has_let_go_of_the_units_before_it_wakes_a_waiter(rundir, monkeypatch):
    held = []
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.begin(1, "r1", ["s"])
        sitting.take_units_lock(nothing_left)
        release = sitting_module._release

        def look(lock):
            held.append(UnitsLock(rundir.units_lock).is_held())
            release(lock)

        monkeypatch.setattr(sitting_module, "_release", look)
        assert has_live_units(rundir)
    assert held == [False] * 3


def test_units_that_a_guard_ends_at_once_are_not_left(rundir, monkeypatch):
    lock = UnitsLock(rundir.units_lock)
    assert lock.try_take()
    assert has_live_units(rundir, patience_s=0)
    monkeypatch.setattr(left_alive.time, "sleep", lambda _s: lock.close())

    assert not has_live_units(rundir, patience_s=LIMIT_S)


def test_after_a_death_the_next_one_may_begin_and_knows_of_it(rundir, supervisor):
    supervisor.kill()
    supervisor.wait()

    assert not is_live(rundir)
    with Sitting.open(rundir, at=WALL) as sitting:
        assert sitting.previous.pid == supervisor.pid
        assert sitting.previous.ended is None
        sitting.begin(2, "r1", [])
    with Sitting.open(rundir, at=WALL) as sitting:
        assert sitting.previous.ended is not None


@pytest.mark.survives("F42")
@posix
def test_of_a_hundred_starters_exactly_one_wins_and_the_others_are_told_who(rundir):
    command = [sys.executable, str(PROGRAMS / "race_to_sit.py"), str(rundir.path), "100"]

    fared = subprocess.run(
        command, env=environment(), stdout=subprocess.PIPE, timeout=60, check=True
    ).stdout.split()

    assert sorted(fared) == [b"busy"] * 99 + [b"won"]


def test_who_waits_for_a_stage_is_woken_when_that_stage_is_done(rundir, supervisor):
    owner = read_owner(rundir)
    woken = []
    waiters = {
        stage: threading.Thread(
            target=lambda stage=stage: woken.append(
                (stage, wait_sitting(rundir, owner, stage, LIMIT_S))
            )
        )
        for stage in ("s", "t", None)
    }
    for waiter in waiters.values():
        waiter.start()

    supervisor.stdin.write(b"s\n")
    supervisor.stdin.flush()
    assert supervisor.stdout.readline().strip() == b"done"
    waiters["s"].join(LIMIT_S)

    assert woken == [("s", True)]
    assert not wait_sitting(rundir, owner, "t", 0.01)
    assert not wait_sitting(rundir, owner, None, 0)
    assert is_live(rundir)
    supervisor.kill()
    for waiter in waiters.values():
        waiter.join(LIMIT_S)
    assert len(woken) == 3


def test_a_waiter_is_answered_for_the_sitting_that_it_found(rundir, supervisor):
    owner = read_owner(rundir)
    supervisor.kill()
    supervisor.wait()
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.begin(2, "r1", ["s", "t"])

        assert wait_sitting(rundir, owner, None, LIMIT_S)
        assert not is_live(rundir, owner)
        assert is_live(rundir)
        assert not wait_sitting(rundir, read_owner(rundir), "s", 0.01)


def test_probes_and_waiters_are_never_in_the_way_of_a_start(rundir):
    stop = threading.Event()

    def probe():
        while not stop.is_set():
            owner = read_owner(rundir)
            is_live(rundir)
            if owner is not None and owner.sitting:
                wait_sitting(rundir, owner, None, 0)

    probers = [threading.Thread(target=probe) for _ in range(4)]
    for prober in probers:
        prober.start()
    try:
        for number in range(1, 60):
            with Sitting.open(rundir, at=WALL) as sitting:
                sitting.begin(number, "r1", ["s"])
    finally:
        stop.set()
        for prober in probers:
            prober.join(LIMIT_S)


def test_a_number_of_a_sitting_that_died_at_once_may_be_used_again(rundir, supervisor):
    owner = read_owner(rundir)
    blocked = threading.Thread(target=wait_sitting, args=(rundir, owner, None, LIMIT_S))
    blocked.start()
    supervisor.kill()
    supervisor.wait()
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.begin(1, "r1", ["s"])
        blocked.join(LIMIT_S)
        assert not blocked.is_alive()
        assert wait_sitting(rundir, owner, None, LIMIT_S)
        assert wait_sitting(rundir, owner, "s", 0)
        assert not is_live(rundir, owner)
        assert is_live(rundir)
        assert not wait_sitting(rundir, read_owner(rundir), None, 0)


def test_lock_files_and_rests_of_old_sittings_are_removed(rundir):
    for number in (1, 2, 3):
        (rundir.stages / f".procsup-99999-{number}.part").write_bytes(b"rest")
        with Sitting.open(rundir, at=WALL) as sitting:
            sitting.begin(number, "r1", ["s"])
            names = sorted(path.name for path in rundir.locks.iterdir())
            assert names == [f"{number}-run.lock", f"{number}-stage-s.lock"]
            assert list(rundir.stages.iterdir()) == []


@pytest.mark.survives("F84")
@pytest.mark.parametrize("name", ["locks", "control"])
def test_what_is_mounted_on_a_folder_is_left_alone_and_nothing_begins(rundir, tmp_path, name):
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept").touch()
    said = pytest.raises(RecordError, match=f"{name}: it is a mount point: unmount it first")
    with bound(other, rundir.path / name), Sitting.open(rundir, at=WALL) as sitting, said:
        sitting.begin(1, "r1", ["s"])

    assert (other / "kept").exists()


def test_a_stage_that_is_done_and_the_run_are_let_go_of_apart(rundir):
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.begin(1, "r1", ["s", "t"])
        owner = read_owner(rundir)
        sitting.release_stage("s")
        sitting.release_stage("s")
        assert wait_sitting(rundir, owner, "s", 0)
        assert not wait_sitting(rundir, owner, "t", 0)
        assert not wait_sitting(rundir, owner, None, 0)
        sitting.release_run()
        assert wait_sitting(rundir, owner, None, 0)


@pytest.mark.survives("F43")
@posix
def test_a_lock_file_that_was_removed_is_noticed(rundir):
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.check()
        rundir.run_lock.unlink()
        with pytest.raises(RecordError, match="removed or replaced"):
            sitting.check()


@pytest.mark.survives("F06")
@posix
def test_what_holds_the_units_lock_is_ended_first(rundir):
    lock = FileLock(rundir.units_lock)
    assert lock.try_exclusive()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        pass_fds=[lock.fd],
    )
    lock.close()

    def end_leftovers():
        child.send_signal(signal.SIGKILL)
        return [f"process {child.pid}"]

    with child, Sitting.open(rundir, at=WALL) as sitting:
        sitting.take_units_lock(end_leftovers, timeout_s=LIMIT_S)
        assert UnitsLock(rundir.units_lock).is_held()
        child.wait(LIMIT_S)


def test_units_that_do_not_end_are_named(rundir):
    lock = FileLock(rundir.units_lock)
    assert lock.try_exclusive()
    with Sitting.open(rundir, at=WALL) as sitting:
        with pytest.raises(RunBusy, match=r"process 7 \(train\)"):
            sitting.take_units_lock(lambda: ["process 7 (train)"], timeout_s=0.05)
        with pytest.raises(RunBusy, match=r"units\.lock"):
            sitting.take_units_lock(nothing_left, timeout_s=0.05)
    lock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_stranger_who_holds_the_units_lock_is_named_and_left_alone(rundir):
    code = (
        "import fcntl, sys; fcntl.flock(int(sys.argv[1]), 2); print(flush=True); sys.stdin.read()"
    )
    fd = os.open(rundir.units_lock, os.O_RDWR | os.O_CREAT)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    holder = subprocess.Popen([sys.executable, "-c", code, str(fd)], pass_fds=[fd], **pipes)
    with holder, Sitting.open(rundir, at=WALL) as sitting:
        holder.stdout.readline()
        os.close(fd)
        with pytest.raises(RunBusy, match=rf"process {holder.pid} \(.*import fcntl.*fuser -v /"):
            sitting.take_units_lock(nothing_left, timeout_s=0.05)
        assert holder.poll() is None
        holder.communicate()
        sitting.take_units_lock(nothing_left)


@posix
def test_a_unit_that_is_left_keeps_the_units_lock_beyond_the_close(rundir):
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.take_units_lock(nothing_left)
        fds = sitting.units_lock.share()
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            stdin=subprocess.PIPE,
            pass_fds=fds,
        )
        os.close(fds[0])
    with child:
        assert UnitsLock(rundir.units_lock).is_held()
        child.communicate()
    assert not UnitsLock(rundir.units_lock).is_held()


@posix
def test_a_unit_frees_no_more_than_its_own_share_of_the_lock(rundir):
    code = "import fcntl, sys; fcntl.flock(int(sys.argv[1]), fcntl.LOCK_UN); sys.stdin.read()"
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.take_units_lock(nothing_left)
        units = []
        for program in (code, "import sys; sys.stdin.read()"):
            fds = sitting.units_lock.share()
            units.append(
                subprocess.Popen(
                    [sys.executable, "-c", program, str(fds[0])],
                    stdin=subprocess.PIPE,
                    pass_fds=fds,
                )
            )
            os.close(fds[0])
        units[0].communicate()
    assert UnitsLock(rundir.units_lock).is_held()
    with units[1]:
        units[1].communicate()
    assert not UnitsLock(rundir.units_lock).is_held()


@posix
def test_what_a_unit_is_given_of_the_lock_can_only_be_read_and_is_closed_at_exec(rundir):
    import fcntl

    with Sitting.open(rundir, at=WALL) as sitting:
        assert sitting.units_lock.share() == ()  # not taken yet
        sitting.take_units_lock(nothing_left)
        (fd,) = sitting.units_lock.share()

        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        assert not os.get_inheritable(fd)
        os.close(fd)


@posix
def test_a_units_lock_that_was_removed_or_replaced_lets_no_unit_start(rundir):
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.take_units_lock(nothing_left)
        rundir.units_lock.unlink()
        with pytest.raises(RecordError, match=r"units\.lock was removed"):
            sitting.units_lock.share()
        rundir.units_lock.write_bytes(b"")
        with pytest.raises(RecordError, match=r"units\.lock was replaced"):
            sitting.units_lock.share()


@pytest.mark.parametrize("content", [b"", b"\n", b"{", b'{"host": 1}', b"[]" * 50_000, b"\xff\x00"])
def test_an_owner_line_that_cannot_be_read_is_no_owner(rundir, content):
    rundir.run_lock.write_bytes(content)

    assert read_owner(rundir) is None
    assert not is_live(rundir)
    with Sitting.open(rundir, at=WALL) as sitting:
        assert sitting.previous is None


def forge(rundir, **changes):
    owner = msgspec.structs.replace(
        Owner("elsewhere", 2**22 + 1, "another boot", WALL, 1, "r1"), **changes
    )
    rundir.run_lock.write_bytes(msgspec.json.encode(owner) + b"\n")
    return owner


def test_another_host_is_believed_where_locks_reach_it(rundir):
    owner = forge(rundir)

    assert not owner.here
    assert not is_live(rundir)
    with Sitting.open(rundir, at=WALL):
        pass


def test_another_host_is_refused_where_no_lock_can_tell(rundir, monkeypatch):
    monkeypatch.setattr(sitting_module, "locks_reach", lambda _folder: False)
    owner = forge(rundir)

    assert is_live(rundir)
    with pytest.raises(RunBusy, match=r"elsewhere.*remove .*run\.lock"):
        Sitting.open(rundir, at=WALL)
    assert read_owner(rundir) == owner
    forge(rundir, ended=WALL + 5)
    with Sitting.open(rundir, at=WALL):
        pass


def test_without_locks_a_process_that_lives_is_refused_and_a_dead_one_is_not(rundir, monkeypatch):
    monkeypatch.setattr(sitting_module, "locks_work", lambda _folder, **_how: False)
    host, boot_id = get_machine_id()
    forge(rundir, host=host, boot_id=boot_id, pid=os.getppid() or 1, locks=False)
    with pytest.raises(RunBusy, match="in use by process"):
        Sitting.open(rundir, at=WALL)
    forge(rundir, host=host, boot_id=boot_id, locks=False)
    assert not is_live(rundir)
    with Sitting.open(rundir, at=WALL) as sitting:
        sitting.begin(2, "r1", ["s"])
        sitting.take_units_lock(nothing_left)
        assert not read_owner(rundir).locks
        assert is_live(rundir)


def test_one_who_went_without_locks_is_no_less_busy_for_one_who_finds_them(rundir):
    host, boot_id = get_machine_id()
    forge(rundir, host=host, boot_id=boot_id, pid=os.getppid() or 1, locks=False)
    with pytest.raises(RunBusy, match="in use by process"):
        Sitting.open(rundir, at=WALL)
    forge(rundir, host=host, boot_id=boot_id, locks=False)
    with Sitting.open(rundir, at=WALL):
        pass


def test_a_units_lock_that_cannot_be_tried_is_named(rundir, monkeypatch):
    def fails(_lock, **_how):
        raise OSError(errno.EIO, "input/output error")

    with Sitting.open(rundir, at=WALL) as sitting:
        monkeypatch.setattr(FileLock, "try_exclusive", fails)
        with pytest.raises(RecordError, match=r"units\.lock cannot be locked: input/output"):
            sitting.take_units_lock(nothing_left)


def test_after_a_reboot_no_earlier_process_is_alive(rundir, monkeypatch):
    host, _boot_id = get_machine_id()
    monkeypatch.setattr(sitting_module, "locks_work", lambda _folder, **_how: False)
    monkeypatch.setattr(owner_module, "get_machine_id", lambda: (host, "now"))
    begun = forge(rundir, host=host, boot_id="before", pid=os.getppid() or 1, locks=False)
    starting = forge(rundir, host=host, boot_id="before", pid=os.getppid() or 1, sitting=0)

    assert not is_live(rundir, begun)
    assert not is_starting(starting)
    with Sitting.open(rundir, at=WALL):
        pass
    assert is_starting(forge(rundir, host=host, boot_id="", pid=os.getpid(), sitting=0))


@pytest.mark.skipif(sys.platform != "linux", reason="starts and namespaces are Linux'")
def test_a_pid_that_was_given_again_is_not_the_owner_and_one_of_elsewhere_may_be(rundir):
    host, boot_id = get_machine_id()
    here = {"host": host, "boot_id": boot_id, "pid": os.getpid()}
    ticks = procfs.look(os.getpid()).start_ticks
    namespace = identity.read_pid_namespace()

    assert forge(rundir, **here, start_ticks=ticks, pid_namespace=namespace).may_live
    assert not forge(rundir, **here, start_ticks=ticks - 1, pid_namespace=namespace).may_live
    assert forge(rundir, **here, start_ticks=ticks - 1, pid_namespace="pid:[1]").may_live
    assert not forge(rundir, host=host, boot_id=boot_id, pid_namespace=namespace).may_live


def manifest(rundir, run_id, stage="s"):
    """Write the manifest of a stage (None: the run)."""
    head = Head(
        run_id, "demo", "failed", None, "", "h", "p", "0", "3", None, "", JournalMark(0, ""), {}
    )
    fields = {"schema": SCHEMA, **msgspec.to_builtins(head)}
    line = msgspec.json.encode(fields)[:-1] + b',"units":[\n]}\n'
    rundir.get_manifest(stage).write_bytes(line)


def test_without_locks_a_waiter_looks_for_the_manifest_and_the_owner(rundir, monkeypatch):
    monkeypatch.setattr(sitting_module, "locks_reach", lambda _folder: False)
    monkeypatch.setattr(sitting_module, "_LOOK_EVERY_S", 0.01)
    owner = forge(rundir)

    assert not wait_sitting(rundir, owner, "s", 0.03)
    manifest(rundir, "an earlier run")
    assert not wait_sitting(rundir, owner, "s", 0.03)
    manifest(rundir, "r1")
    assert wait_sitting(rundir, owner, "s", 0.03)
    assert not wait_sitting(rundir, owner, None, 0.03)
    forge(rundir, ended=WALL)
    assert wait_sitting(rundir, owner, None, LIMIT_S)


@posix
def test_a_directory_that_cannot_be_locked_says_why(rundir):
    rundir.run_lock.symlink_to(rundir.journal)

    with pytest.raises(RecordError, match="symbolic link"):
        Sitting.open(rundir, at=WALL)
    with pytest.raises(RecordError, match="cannot be locked"):
        Sitting.open(RunDir(rundir.path / "nowhere"), at=WALL)


@posix
def test_others_may_wait_where_the_run_is_shared(rundir):
    rundir.create("group")
    with Sitting.open(rundir, share="group", at=WALL) as sitting:
        sitting.begin(1, "r1", ["s"])
        modes = {oct(path.stat().st_mode & 0o777) for path in rundir.locks.iterdir()}
        assert modes == {"0o640"}
        assert oct(rundir.run_lock.stat().st_mode & 0o777) == "0o600"
        assert rundir.shared_owner.read_bytes() == rundir.run_lock.read_bytes()

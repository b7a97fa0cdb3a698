import errno
import os
import signal
import subprocess
import sys
import threading
import time
import types

import pytest

from procsup.errors import RecordError
from procsup.host import identity, locks
from procsup.host.locks import FileLock, locks_reach, locks_work, process_exists
from tests.store.builders import PROGRAMS, environment

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files can be removed while open")
LIMIT_S = 20.0


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path/lock."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "hold_lock.py"), str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    with process:
        assert process.stdout.readline().strip() == b"held"
        yield process
        process.kill()


def test_the_lock_is_for_one_at_a_time(tmp_path):
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")

    assert first.try_exclusive()
    assert not second.try_exclusive()
    assert second.fd == -1
    first.release()
    assert second.try_exclusive()
    first.close()
    second.close()
    second.close()


def test_a_lock_of_another_process_is_seen_until_it_lets_go(tmp_path, holder):
    lock = FileLock(tmp_path / "lock")

    assert not lock.try_exclusive()
    assert lock.is_held()
    holder.stdin.close()
    assert lock.wait_shared(LIMIT_S)
    assert not lock.is_held()
    assert lock.try_exclusive()
    lock.close()


def test_the_waiter_wakes_when_the_holder_is_killed(tmp_path, holder):
    lock = FileLock(tmp_path / "lock")
    woken = []

    def wait():
        lock.wait_shared(None)
        woken.append(time.monotonic())

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert not FileLock(tmp_path / "lock").wait_shared(0.05)
    assert not woken
    killed = time.monotonic()
    holder.kill()
    waiter.join(LIMIT_S)

    assert woken
    assert woken[0] - killed < LIMIT_S


def test_a_wait_that_took_too_long_can_be_taken_up_again(tmp_path, holder, monkeypatch):
    begun, real = [], locks._SharedWait.of
    monkeypatch.setattr(locks._SharedWait, "of", lambda *how: begun.append(how) or real(*how))
    lock = FileLock(tmp_path / "lock")

    for _ in range(5):
        assert not lock.wait_shared(0.01)
    assert len(begun) == 1

    holder.kill()
    assert lock.wait_shared(LIMIT_S)


def test_a_wait_without_a_limit_outlasts_the_longest_wait_of_one_call(
    tmp_path, holder, monkeypatch
):
    limits, real = [], locks._SharedWait.join

    def join(waiting, limit_s):
        limits.append(limit_s)
        if len(limits) == 5:
            holder.kill()
        return real(waiting, limit_s)

    monkeypatch.setattr(locks, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(locks._SharedWait, "join", join)

    assert FileLock(tmp_path / "lock").wait_shared()

    assert len(limits) >= 5
    assert set(limits) == {0.01}


def test_all_waits_of_a_process_for_one_lock_share_a_thread(tmp_path, holder):
    def count_threads():
        return sum(thread.name == "procsup-wait" for thread in threading.enumerate())

    before = count_threads()
    for _ in range(5):
        assert not FileLock(tmp_path / "lock").wait_shared(0.01)
    assert count_threads() == before + 1

    holder.kill()
    assert FileLock(tmp_path / "lock").wait_shared(LIMIT_S)


def test_a_wait_that_gets_no_thread_leaves_nothing_behind(tmp_path, holder, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            FileLock(tmp_path / "lock").wait_shared(0.01)

    holder.kill()
    assert FileLock(tmp_path / "lock").wait_shared(LIMIT_S)


def test_green_threads_look_instead_of_blocking(tmp_path, holder, monkeypatch):
    """With gevent a wait that blocks would block every greenlet."""
    gevent = types.SimpleNamespace(is_module_patched=lambda name: name == "threading")
    monkeypatch.setitem(sys.modules, "gevent.monkey", gevent)
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 5:
            holder.kill()
            holder.wait()

    monkeypatch.setattr(locks.time, "sleep", sleep)
    lock = FileLock(tmp_path / "lock")

    assert not lock.wait_shared(0.0)
    assert lock.wait_shared(None)
    assert len(slept) >= 5


def test_where_there_is_no_file_there_is_nothing_to_wait_for(tmp_path):
    lock = FileLock(tmp_path / "lock")

    assert lock.wait_shared(0)
    assert lock.wait_shared(1.0)
    assert lock.wait_shared(None)
    assert not lock.is_held()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.survives("F58")
def test_many_may_wait_at_once(tmp_path, holder):
    results = []
    waiters = [
        threading.Thread(
            target=lambda: results.append(FileLock(tmp_path / "lock").wait_shared(LIMIT_S))
        )
        for _ in range(20)
    ]
    for waiter in waiters:
        waiter.start()
    holder.kill()
    for waiter in waiters:
        waiter.join(LIMIT_S)

    assert results == [True] * 20


def test_the_text_of_a_locked_file_stays_readable_and_writable(tmp_path):
    lock = FileLock(tmp_path / "lock")
    assert lock.try_exclusive()
    os.write(lock.fd, b"owner\n")

    assert (tmp_path / "lock").read_bytes() == b"owner\n"
    lock.close()


@posix
def test_a_lock_file_that_was_replaced_is_noticed(tmp_path):
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.try_exclusive()
    assert lock.is_in_place()

    (tmp_path / "lock").unlink()

    assert not lock.is_in_place()
    assert other.try_exclusive()
    assert not lock.is_in_place()
    lock.close()
    other.close()


@posix
def test_a_lock_taken_on_a_file_that_was_removed_meanwhile_is_taken_again(tmp_path, monkeypatch):
    real, calls = locks._lock, []

    def unlinks_first(fd, **how):
        if not calls:
            (tmp_path / "lock").unlink()
        calls.append(fd)
        return real(fd, **how)

    monkeypatch.setattr(locks, "_lock", unlinks_first)
    lock = FileLock(tmp_path / "lock")

    assert lock.try_exclusive()
    assert lock.is_in_place()
    assert len(calls) == 2
    lock.close()


@posix
def test_a_child_that_inherits_the_file_keeps_the_lock(tmp_path):
    lock = FileLock(tmp_path / "lock")
    assert lock.try_exclusive()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        pass_fds=[lock.fd],
    )
    lock.close()
    with child:
        assert FileLock(tmp_path / "lock").is_held()
    assert FileLock(tmp_path / "lock").wait_shared(LIMIT_S)


@posix
def test_a_child_that_does_not_inherit_the_file_does_not(tmp_path):
    lock = FileLock(tmp_path / "lock")
    assert lock.try_exclusive()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        close_fds=False,
    )
    lock.close()
    with child:
        assert child.stdout.readline()
        assert not FileLock(tmp_path / "lock").is_held()


@posix
def test_a_release_counts_even_while_a_child_has_inherited_the_file(tmp_path):
    lock = FileLock(tmp_path / "lock")
    assert lock.try_exclusive()
    copy = os.dup(lock.fd)  # as a child has it that is about to be replaced by its program
    lock.release()

    assert not FileLock(tmp_path / "lock").is_held()
    lock.close()
    os.close(copy)


@posix
def test_ctrl_c_ends_a_wait(tmp_path, holder):
    program = (
        "import sys; from procsup.host.locks import FileLock\n"
        "print('waiting', flush=True)\n"
        "FileLock(sys.argv[1]).wait_shared(None)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lock")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()}
    with subprocess.Popen(command, **pipes) as waiter:
        assert waiter.stdout.readline() == b"waiting\n"
        waiter.send_signal(signal.SIGINT)
        _, errors = waiter.communicate(timeout=LIMIT_S)

    assert waiter.returncode != 0
    assert b"KeyboardInterrupt" in errors


@posix
def test_a_planted_link_is_refused(tmp_path):
    (tmp_path / "victim").write_bytes(b"x")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")

    with pytest.raises(RecordError, match="symbolic link"):
        FileLock(tmp_path / "lock").try_exclusive()


def test_locks_work_here_and_the_proof_leaves_nothing_behind(tmp_path):
    assert locks_work(tmp_path)
    assert locks_reach(tmp_path)
    assert list(tmp_path.iterdir()) == []


@posix
def test_the_proof_is_made_with_a_new_file_and_with_no_planted_one(tmp_path, monkeypatch):
    (tmp_path / "victim").write_bytes(b"x")
    (tmp_path / "drawn").symlink_to(tmp_path / "victim")
    monkeypatch.setattr(locks, "make_temporary_name", lambda: "drawn")

    with pytest.raises((FileExistsError, RecordError)):
        locks_work(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["drawn", "victim"]


def test_locks_that_do_not_exclude_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_lock", lambda fd, **how: True)

    assert not locks_work(tmp_path)


def test_locks_that_the_file_system_lacks_are_noticed(tmp_path, monkeypatch):
    def lacks(fd, **how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locks, "_lock", lacks)

    assert not locks_work(tmp_path)


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.EIO, errno.ENOMEM, errno.EINTR, errno.EAGAIN]
)
def test_what_passes_is_not_taken_for_a_file_system_without_locks(tmp_path, monkeypatch, number):
    def fails(fd, **how):
        raise OSError(number, "not now")

    monkeypatch.setattr(locks, "_lock", fails)

    with pytest.raises(OSError, match="not now"):
        locks_work(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_process_exists_until_it_was_waited_for():
    child = subprocess.Popen([sys.executable, "-c", ""])
    pid = child.pid

    assert process_exists(os.getpid())
    child.wait()
    if os.name != "nt":
        assert not process_exists(pid)


def test_the_machine_has_a_name():
    assert identity.get_machine_id()[0]
    assert identity.get_machine_id() == identity.get_machine_id()

import errno
import os
import signal
import subprocess
import sys

import pytest

from procsup.host import pidfds, procfs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this /proc")
FOREVER = "import sys; print('up', flush=True); sys.stdin.read()"


@pytest.fixture
def child():
    argv = [sys.executable, "-S", "-c", FOREVER]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, **options, env={"A": "1=2", "B": ""}) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_a_process_is_seen_with_its_parent_and_start(child):
    seen, again = procfs.look(child.pid), procfs.look(child.pid)

    assert (seen.pid, seen.parent, seen.dead) == (child.pid, os.getpid(), False)
    assert seen.start_ticks == again.start_ticks > 0


def test_a_name_with_parentheses_and_blanks_does_not_confuse(tmp_path):
    odd = tmp_path / "a) Z 1 ("
    os.symlink(sys.executable, odd)
    argv = [str(odd), "-S", "-c", FOREVER]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        seen = procfs.look(process.pid)
        process.kill()

    assert seen.parent == os.getpid()
    assert not seen.dead


def test_descendants_are_found_at_every_depth():
    nested = (
        "import os, sys\n"
        "pids = [os.getpid()]\n"
        "for _ in range(3):\n"
        "    pid = os.fork()\n"
        "    if pid: break\n"
        "    pids.append(os.getpid())\n"
        "else: print(*pids, flush=True)\n"
        "sys.stdin.read()\n"
    )
    argv = [sys.executable, "-S", "-c", nested]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        pids = [int(word) for word in process.stdout.readline().split()]
        found = [descendant.pid for descendant in procfs.list_descendants(process.pid)]
        without = [d.pid for d in procfs.list_descendants(process.pid, without={pids[2]})]
        ancestors = procfs.list_ancestors(pids[3])
        process.stdin.close()

    assert found == pids[1:]
    assert without == [pids[1]]
    assert ancestors[:4] == [pids[2], pids[1], pids[0], os.getpid()]


@pytest.mark.survives("F64")
def test_without_lists_of_children_the_parents_are_asked(child, monkeypatch):
    exists = os.path.exists
    monkeypatch.setattr(
        os.path, "exists", lambda path: not str(path).endswith("children") and exists(path)
    )

    assert child.pid in [process.pid for process in procfs.list_descendants(os.getpid())]
    assert child.pid in procfs.list_children(os.getpid())


def test_one_scan_serves_many_trees_for_as_long_as_it_took(monkeypatch):
    clock, families = HandTurned(), [{1: [2]}, {1: [3]}]
    monkeypatch.setattr(procfs.time, "monotonic", clock)
    monkeypatch.setattr(procfs.os.path, "exists", lambda path: False)
    monkeypatch.setattr(procfs, "_scan_families", lambda: clock.after(0.02, families.pop(0)))
    scan = procfs.Scan()

    first, again = scan.scan_families(), clock.after(0.019, scan).scan_families()
    later = clock.after(0.001, scan).scan_families()

    assert [first, again, later] == [{1: [2]}, {1: [2]}, {1: [3]}]
    assert pytest.approx(scan.begun_at) == 0.04


def test_with_lists_of_children_there_is_no_scan(child):
    scan = procfs.Scan()

    assert scan.scan_families() is None
    assert scan.begun_at is None


class HandTurned:
    now = 0.0

    def __call__(self):
        return self.now

    def after(self, pause_s, what):
        self.now += pause_s
        return what


def test_the_environment_is_read_as_it_was_at_the_start(child):
    assert procfs.parse_environment(procfs.read_raw_environment(child.pid)) == {"A": "1=2", "B": ""}


def test_a_signal_reaches_the_very_process(child):
    assert procfs.send_signal(procfs.look(child.pid), signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_where_handles_take_no_signals_the_pid_does(child, monkeypatch, number):
    def refuse(handle, signum):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pidfds, "_send_by_handle", refuse)

    assert procfs.send_signal(procfs.look(child.pid), signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM


@pytest.mark.survives("F31")
@pytest.mark.parametrize("with_handle", [True, False])
def test_a_signal_never_reaches_a_stranger_with_the_same_pid(child, monkeypatch, with_handle):
    if not with_handle:
        monkeypatch.setattr(pidfds, "open_handle", lambda pid: None)
    stranger = procfs.Process(child.pid, os.getpid(), "S", start_ticks=1)

    assert not procfs.send_signal(stranger, signal.SIGKILL)
    assert child.poll() is None
    assert procfs.send_signal(procfs.look(child.pid), signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM


def test_what_is_gone_is_nothing(child):
    seen = procfs.look(child.pid)
    child.kill()
    child.wait()

    assert procfs.look(child.pid) is None
    assert procfs.list_children(child.pid) == []
    assert procfs.list_descendants(child.pid) == []
    assert procfs.read_raw_environment(child.pid) == b""
    assert procfs.read_peak_memory_bytes(child.pid) is None
    assert procfs.list_ancestors(child.pid) == []
    assert not procfs.send_signal(seen, signal.SIGKILL)


def test_a_zombie_is_dead_and_still_seen(child):
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert procfs.look(child.pid).dead
    assert procfs.read_peak_memory_bytes(child.pid) is None


def test_the_youngest_are_listed_first(child):
    pids = procfs.list_pids()

    assert pids.index(child.pid) < pids.index(os.getpid())


def test_the_numbers_given_last_are_tried_before_the_list_is_read(child, monkeypatch):
    monkeypatch.setattr(procfs, "list_pids", list)

    def is_tried():
        latest = subprocess.Popen([sys.executable, "-S", "-c", ""])
        latest.wait()
        return latest.pid in set(procfs.chase())

    assert any(is_tried() for _ in range(100))  # others may start processes in between


def test_what_is_not_wanted_is_not_hit(child):
    assert procfs.hit(child.pid, signal.SIGKILL, lambda process: False) is None
    assert child.poll() is None
    seen = procfs.hit(child.pid, signal.SIGTERM, lambda process: process.parent == os.getpid())
    assert seen.pid == child.pid
    assert child.wait() == -signal.SIGTERM


@pytest.mark.survives("F31")
def test_a_process_that_ends_while_it_is_judged_spares_the_next_one_with_its_pid(child):
    def judge(process):
        child.kill()
        child.wait()
        return True

    assert procfs.hit(child.pid, signal.SIGKILL, judge) is None

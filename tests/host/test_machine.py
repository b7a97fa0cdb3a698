import os
import signal
import subprocess
import sys

import pytest

from procsup.host import cgroups, identity, machine, procfs

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="read from Linux' /proc")
no_affinity = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no affinity")
LIMIT_S = 20.0
RUN = f"run-{os.getpid()}"  # other sessions of these tests may run at the same time
TREE = r"""
import os, subprocess, sys
hold = "import os, sys; os.write(1, b'up' + bytes([10])); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", hold], stdin=0)
os.write(1, b"child %d\n" % child.pid)
sys.stdin.read()
child.wait()
"""


@pytest.fixture
def tree():
    """A process with one child; (process, pid of the child)."""
    environment = {**os.environ, "PROCSUP_RUN": RUN, "PROCSUP_UNIT": "s/a"}
    argv = [sys.executable, "-c", TREE]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment}
    with subprocess.Popen(argv, **options) as process:
        words = process.stdout.readline().split() + process.stdout.readline().split()
        pid = next(int(word) for word in words if word.isdigit())
        yield process, pid
        process.kill()  # after a failed test it may be suspended
        process.stdin.close()  # and its child ends


def test_capacity_is_what_this_process_may_use():
    found = machine.make_capacity(cpus=None, memory_bytes=None, jobs=None)

    assert 1 <= found.cpus <= (os.cpu_count() or 1)
    assert found.memory_bytes is not None
    assert found.memory_bytes > 1 << 26
    assert list(found.cpu_ids) == (machine.read_affinity(os.getpid()) or [])
    assert (found.jobs, found.host) == (None, identity.get_host_name())


def test_what_is_given_is_taken_as_it_is():
    found = machine.make_capacity(cpus=64.5, memory_bytes=10, jobs=100)

    assert (found.cpus, found.memory_bytes, found.jobs) == (64.5, 10, 100)


def test_jobs_alone_raise_the_cpus_to_their_number_and_never_lower_them():
    default = machine.make_capacity(cpus=None, memory_bytes=None, jobs=None).cpus

    assert machine.make_capacity(cpus=None, memory_bytes=None, jobs=1000).cpus == 1000
    assert machine.make_capacity(cpus=None, memory_bytes=None, jobs=1).cpus == default


@linux_only
def test_limits_of_control_groups_are_kept(monkeypatch):
    monkeypatch.setattr(cgroups, "read_limits", lambda: cgroups.Limits(0.3, 4096))
    found = machine.make_capacity(cpus=None, memory_bytes=None, jobs=None)

    assert (found.cpus, found.memory_bytes) == (1.0, 4096)


@linux_only
def test_capacity_does_not_load_psutil():
    code = (
        "import sys; from procsup.host import identity, machine;"
        "machine.make_capacity(cpus=None, memory_bytes=None, jobs=None);"
        "print(identity.read_boot_id() != '', 'psutil' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)

    assert done.stdout.split() == [b"True", b"False"]


def test_the_machine_has_a_name_and_a_description():
    assert identity.get_host_name()
    assert len(identity.describe_platform().split()) >= 2
    assert identity.read_boot_id() == identity.read_boot_id()


@no_affinity
def test_affinity_is_read_and_set():
    before = machine.read_affinity(os.getpid())
    assert before
    try:
        machine.set_affinity(os.getpid(), before[:1])
        assert machine.read_affinity(os.getpid()) == before[:1]
    finally:
        machine.set_affinity(os.getpid(), before)


@no_affinity
def test_a_cpu_that_does_not_exist_is_an_error():
    with pytest.raises(OSError):
        machine.set_affinity(os.getpid(), [5000])


def test_a_tree_is_sampled_with_all_its_processes(tree):
    process, _ = tree
    sample = machine.sample_tree(process.pid)

    assert sample.processes == 2
    assert sample.memory_bytes > 1 << 20
    assert sample.cpu_user_s >= 0
    assert sample.cpu_system_s >= 0
    assert sample.affinity == machine.read_affinity(os.getpid())
    if sys.platform == "linux":
        assert sample.peak_bytes >= sample.memory_bytes * 0.9


@linux_only
def test_the_cpu_time_of_children_that_ended_is_part_of_a_sample():
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True);"
        "print('done', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", code, burn]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        sample = machine.sample_tree(process.pid)
        process.stdin.close()

    assert sample.cpu_user_s + sample.cpu_system_s >= 0.19


def test_what_is_gone_is_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()

    assert machine.sample_tree(process.pid) is None
    assert machine.list_descendants(process.pid) == []
    if sys.platform != "win32":  # there a pid stays known while somebody holds the process
        assert machine.read_affinity(process.pid) is None
        machine.set_affinity(process.pid, [0])


@linux_only
def test_a_zombie_is_not_sampled():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert machine.sample_tree(process.pid) is None


@linux_only
def test_hidden_processes_are_nothing(monkeypatch):
    monkeypatch.setattr(procfs, "read", lambda path: b"")

    assert machine.list_descendants(os.getpid()) == []
    assert machine.list_processes_with_cookie(RUN) == []


def test_processes_are_found_by_their_cookie_with_their_environment(tree):
    process, child = tree
    found = dict(machine.list_processes_with_cookie(RUN))

    assert set(found) >= {process.pid, child}
    assert found[child]["PROCSUP_UNIT"] == "s/a"
    assert machine.list_processes_with_cookie(RUN[:-1]) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the environment cannot be set before a start")
def test_this_process_and_its_ancestors_are_not_found_by_cookie():
    code = (
        "import os, subprocess, sys; from procsup.host import machine;"
        "print([p for p, _ in machine.list_processes_with_cookie(os.environ['PROCSUP_RUN'])])"
    )
    outer = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])"]
    environment = {**os.environ, "PROCSUP_RUN": RUN}
    argv = [*outer, sys.executable, "-c", code]
    done = subprocess.run(argv, stdout=subprocess.PIPE, env=environment, check=True)

    assert done.stdout.strip() == b"[]"


@pytest.mark.skipif(sys.platform == "linux", reason="leftovers are found by other means there")
def test_a_tree_is_stopped_and_killed(tree):
    process, child = tree
    stopped = {one.pid: one for one, unit in machine.stop_with_cookie(RUN) if unit == "s/a"}

    assert set(stopped) >= {process.pid, child}
    assert machine.kill(stopped[child])
    assert machine.kill(stopped[process.pid])
    assert process.wait(timeout=LIMIT_S)


def test_a_stranger_with_the_same_pid_is_not_killed(tree):
    process, child = tree
    stranger = procfs.Process(child, process.pid, "S", start_ticks=1)

    assert not machine.kill(stranger)
    assert machine.sample_tree(child) is not None


@pytest.mark.skipif(sys.platform == "win32", reason="there it is the only way")
def test_the_other_systems_way_of_ending_leftovers_works_here_too(tree):
    process, child = tree
    stopped = {one.pid: one for one, _ in machine.stop_with_cookie(RUN)}

    assert stopped[child].parent == process.pid
    assert not machine._kill_by_psutil(procfs.Process(child, 0, "S", 1))
    assert machine._kill_by_psutil(stopped[process.pid])
    assert process.wait() == -signal.SIGKILL
    assert machine._kill_by_psutil(stopped[child])


def test_the_other_systems_way_of_finding_works_here_too(tree):
    process, child = tree
    found = {handle.pid for handle, _ in machine._list_with_cookie_by_psutil(RUN)}

    assert found >= {process.pid, child}

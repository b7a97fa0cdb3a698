"""Marks: what a process and all its descendants bear, and how it is read."""

import os
import signal
import subprocess
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has this limit", allow_module_level=True)

import resource

from procsup.host import marks, procfs

BASE = marks.draw_base()
HOLD = "import sys; print('up', flush=True); sys.stdin.read()"
LEADERLESS = """
import ctypes, os, sys, threading
def hold():
    print("up", flush=True)
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=hold).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
"""


def held(code=HOLD, env=None):
    argv = [sys.executable, "-S", "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(argv, env=env, start_new_session=True, **pipes)
    process.stdout.readline()
    return process


@pytest.fixture
def marked():
    """A marked process, and its mark, of a base that no other test has."""
    marker = marks.Marker(marks.draw_base())
    mark = marker.put_on()
    try:
        process = held(env={})
    finally:
        marker.take_off()
    with process:
        yield process, mark
        process.kill()


def test_bases_differ_and_every_reader_of_json_takes_them_exactly():
    bases = {marks.draw_base() for _ in range(100)}

    assert len(bases) == 100
    assert all(1 << 52 <= base < 1 << 53 for base in bases)
    assert {int(float(base + 7)) - base for base in bases} == {7}


def test_each_start_has_a_mark_of_its_own_and_the_limit_is_given_back():
    before = resource.getrlimit(resource.RLIMIT_RTTIME)
    marker = marks.Marker(BASE)
    seen = []
    for _ in range(3):
        seen.append(marker.put_on())
        marker.take_off()

    assert seen == [BASE + 1, BASE + 2, BASE + 3]
    assert {marks.find_base(mark) for mark in seen} == {BASE}
    assert resource.getrlimit(resource.RLIMIT_RTTIME) == before


def test_a_mark_is_read_and_no_other_process_has_one(marked):
    process, mark = marked

    assert marks.read(process.pid) == mark
    assert procfs.read_limit(process.pid, b"Max realtime timeout") == mark  # as of another user's
    assert marks.read(os.getpid()) is None
    assert marks.read(2**22 + 1) is None


def test_a_mark_goes_through_setsid_an_empty_environment_and_a_second_start():
    marker = marks.Marker(BASE)
    mark = marker.put_on()
    try:
        line = "(setsid env -i sh -c 'ulimit -a > /dev/null; exec sleep 30' & echo $!) | cat"
        with subprocess.Popen(["sh", "-c", line], stdout=subprocess.PIPE) as shell:
            pid = int(shell.stdout.readline())
            assert marks.read(pid) == mark
            os.kill(pid, signal.SIGKILL)
    finally:
        marker.take_off()


def test_where_the_limit_is_set_already_there_are_no_marks():
    code = (
        "import resource, sys; from procsup.host import marks\n"
        "resource.setrlimit(resource.RLIMIT_RTTIME, eval(sys.argv[1]))\n"
        "marker = marks.Marker(1 << 52)\n"
        "print(marks.draw_base(), marker.put_on(), resource.getrlimit(resource.RLIMIT_RTTIME))\n"
    )
    for limits in ("(1000, 1000)", "(1000, -1)"):
        said = subprocess.run(
            [sys.executable, "-c", code, limits], stdout=subprocess.PIPE, check=True
        ).stdout
        assert said.decode().strip() == f"None None {limits}"


def test_all_of_a_base_are_found_without_proc_and_no_others(marked):
    process, mark = marked
    base = marks.find_base(mark)
    other = held()

    with other:
        assert marks.hit_all(base, signal.SIGKILL) == [process.pid]
        assert process.wait() == -signal.SIGKILL
        assert other.poll() is None
        other.kill()
    assert marks.hit_all(base, signal.SIGKILL) == []


def test_a_process_whose_first_thread_has_ended_is_not_dead():
    process = held(LEADERLESS, env={**os.environ, "A": "1"})
    with process:
        while procfs.look(process.pid).state != "Z":
            pass
        assert not procfs.look(process.pid).dead
        assert b"A=1\0" in procfs.read_raw_environment(process.pid)
        assert {"0", "1"} <= {name for name, _ in procfs.open_files(process.pid)}
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert procfs.look(process.pid).dead


def test_a_proc_that_numbers_other_processes_shows_nothing(monkeypatch):
    monkeypatch.setattr(procfs, "_ours", None)
    monkeypatch.setattr(os, "readlink", lambda path: "1")

    assert not procfs.is_ours()
    assert procfs.look(os.getpid()) is None
    assert procfs.list_pids() == procfs.list_children(os.getpid()) == []
    assert procfs.read_raw_environment(os.getpid()) == b""

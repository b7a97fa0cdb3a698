import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from procsup.errors import RunBusy
from procsup.host import leftovers, machine, marks, procfs
from procsup.host.leftovers import RecordedProcesses, Trace, end_leftovers
from tests.support.guarded import PROGRAMS, ROOT
from tests.support.users import BOB, EVE, as_user, root_only

LIMIT_S = 20.0
RUN = f"run-{os.getpid()}"  # other sessions of these tests may run at the same time
PARENT_OF_SCRUBBED = """
import os, subprocess, sys
hold = "import sys; print('up', flush=True); sys.stdin.read()"
keep = {name: os.environ[name] for name in ("SYSTEMROOT", "PATH") if name in os.environ}
child = subprocess.Popen([sys.executable, "-S", "-c", hold], stdin=0, env=keep)
child.wait()
"""


@pytest.fixture
def start():
    """Return a starter of leftovers; what it started is ended afterwards."""
    started = []

    def begin(code, *, run=RUN, unit="s/a"):
        environment = {**os.environ, "PROCSUP_RUN": run, "PROCSUP_UNIT": unit}
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_nothing_left_is_nothing_to_do():
    assert end_leftovers(RecordedProcesses(f"{RUN}-none"), limit_s=5) == []


@pytest.mark.survives("F05")
def test_everything_of_an_earlier_sitting_is_ended_and_named(start):
    first, second = start(PARENT_OF_SCRUBBED), start(PARENT_OF_SCRUBBED, unit="s/b")
    ended = end_leftovers(RecordedProcesses(RUN), limit_s=LIMIT_S)

    assert first.wait(LIMIT_S) != 0
    assert second.wait(LIMIT_S) != 0
    assert {(first.pid, "s/a"), (second.pid, "s/b")} <= set(ended)
    assert [unit for _, unit in ended].count("s/a") >= 2  # its child cleared its environment
    assert first.stdout.read() == second.stdout.read() == b""


def test_another_run_is_left_alone(start):
    other = start(PARENT_OF_SCRUBBED, run=f"{RUN}-other")

    assert end_leftovers(RecordedProcesses(RUN), limit_s=LIMIT_S) == []
    assert other.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="breeds by fork, and is found by /proc")
def test_a_leftover_that_breeds_is_ended(start):
    breeder = start((PROGRAMS / "guard_breeder.py").read_text())
    deadline = time.monotonic() + LIMIT_S
    # Its open pipe stands for the lock that units inherit: while it is held, one looks again.
    while not select.select([breeder.stdout], [], [], 0)[0]:
        assert time.monotonic() < deadline
        end_leftovers(RecordedProcesses(RUN), limit_s=LIMIT_S)

    assert breeder.stdout.read() == b""  # nobody holds it any more


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="a pid namespace needs root",
)
def test_a_leftover_that_is_quicker_than_the_list_is_ended():
    program = [sys.executable, str(PROGRAMS / "outrun.py")]
    done = subprocess.run(
        ["unshare", "-p", "-f", "--mount-proc", "--kill-child", *program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        timeout=60,
    )

    assert done.stdout.split() == [b"True"] * 3


@pytest.mark.survives("F27")
def test_what_cannot_be_ended_is_named(monkeypatch):
    alive = procfs.Process(4711, 1, "D", 1)

    def refuse(process):
        raise PermissionError

    monkeypatch.setattr(leftovers.Finder, "find", lambda finder: [alive])
    monkeypatch.setattr(machine, "kill", refuse)

    with pytest.raises(RunBusy, match=r"4711 \(unit unknown\)"):
        end_leftovers(RecordedProcesses(RUN), limit_s=0)


# --- what is recorded of processes (Linux) ---------------------------------------------------


linux = pytest.mark.skipif(sys.platform != "linux", reason="marks and starts are Linux'")


@pytest.fixture
def scrubbed(tmp_path):
    """Return a starter of marked sessions with an empty environment; all are ended afterwards."""
    from procsup.host import posix, processes

    started = []

    def begin(code="import sys; print('up', flush=True); sys.stdin.read()", base=None):
        out = os.open(tmp_path / f"out-{len(started)}", os.O_RDWR | os.O_CREAT)
        reading, writing = os.pipe()
        argv = (sys.executable, "-S", "-c", code)
        child = posix.Spawner(base).spawn(
            processes.Launch(argv[0], argv, str(tmp_path), {}, reading, out, out)
        )
        os.close(reading)
        deadline = time.monotonic() + LIMIT_S
        while not os.pread(out, 99, 0).endswith(b"\n"):
            assert time.monotonic() < deadline
        os.close(out)
        started.append((child, writing))
        return child

    yield begin
    for child, writing in started:
        os.close(writing)
        try:
            os.killpg(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # the test ended it


def lives(child):
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None


@linux
def test_what_bears_a_mark_of_the_sitting_is_ended_and_its_unit_named(scrubbed):
    base, other = marks.draw_base(), marks.draw_base()
    mine, theirs, unmarked = scrubbed(base=base), scrubbed(base=other), scrubbed()
    recorded = RecordedProcesses(mark_base=base, traces=[Trace("s/a", mark=mine.mark)])

    assert end_leftovers(recorded, limit_s=LIMIT_S) == [(mine.pid, "s/a")]
    assert not lives(mine)
    assert lives(theirs)
    assert lives(unmarked)


@linux
def test_a_recorded_process_is_ended_with_its_session(scrubbed):
    child = scrubbed(
        "import os, sys\n"
        "if os.fork() == 0:\n"
        "    if os.fork(): os._exit(0)\n"  # in the session, and nobody's child here any more
        "    print('up', flush=True)\n"
        "sys.stdin.read()\n"
    )
    recorded = RecordedProcesses(traces=[Trace("s/a", child.pid, child.born)])
    ended = end_leftovers(recorded, limit_s=LIMIT_S)

    assert len(ended) == 2
    assert {unit for _, unit in ended} == {"s/a"}
    assert not lives(child)


@linux
@pytest.mark.parametrize("late_s", [-60.0, -0.5, 0.5, 60.0])
def test_a_later_process_with_the_pid_is_left_alone_with_its_session(scrubbed, late_s):
    stranger = scrubbed("import subprocess; subprocess.run(['sh', '-c', 'echo up; read x'])")
    begun, until = stranger.born
    recorded = RecordedProcesses(
        traces=[Trace("s/a", stranger.pid, (begun + late_s, until + late_s))]
    )

    assert end_leftovers(recorded, limit_s=LIMIT_S) == []
    assert lives(stranger)


@linux
def test_a_pid_alone_proves_nothing(scrubbed):
    stranger = scrubbed()

    assert (
        end_leftovers(RecordedProcesses(traces=[Trace("s/a", stranger.pid)]), limit_s=LIMIT_S) == []
    )
    assert end_leftovers(RecordedProcesses(), limit_s=LIMIT_S) == []
    assert lives(stranger)


@linux
def test_the_runs_id_in_the_environment_of_another_user_is_no_proof(start, monkeypatch):
    other = start(PARENT_OF_SCRUBBED)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)

    assert end_leftovers(RecordedProcesses(RUN), limit_s=LIMIT_S) == []
    assert other.poll() is None


ROOTS = 0


@contextlib.contextmanager
def marked(whose, base, *, in_a_session=False):
    """A process of a user that has a mark; yields its pid, and that of its session."""
    ready, say_ready = os.pipe()
    leader = os.fork()
    if leader == 0:
        import resource

        if in_a_session:
            os.setsid()
        pid = os.fork()
        if pid:
            os.write(say_ready, b"%d" % pid)
            os._exit(0)  # it is an orphan: its parent proves nothing
        os.setresgid(whose, whose, whose)
        os.setresuid(whose, whose, whose)
        resource.setrlimit(resource.RLIMIT_RTTIME, (base + 3, resource.RLIM_INFINITY))
        os.write(say_ready, b".")
        signal.pause()
        os._exit(0)
    pid = 0
    try:
        os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT)
        os.close(say_ready)
        with os.fdopen(ready, "rb") as pipe:
            told = b""
            while len(told) < 2 or b"." not in told:
                told += pipe.read1(99)
            pid = int(told.replace(b".", b""))
        yield pid, leader
    finally:
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.waitpid(leader, 0)


@root_only
@pytest.mark.parametrize(("whose", "is_ended"), [(EVE, False), (ROOTS, False), (BOB, True)])
def test_a_mark_that_another_user_has_put_on_a_process_keeps_no_run_up(whose, is_ended):
    """Nor on one that runs as root by now: `sudo` at its prompt keeps the limits of its caller."""
    base = marks.draw_base()
    with marked(whose, base) as (pid, _leader):
        ended = as_user(BOB, lambda: end_leftovers(RecordedProcesses(None, base), limit_s=5.0))

        assert ended == ([(pid, "")] if is_ended else [])


@root_only
def test_a_process_of_root_in_the_session_of_a_unit_is_named_with_the_way_out():
    """It may still work for the unit: two copies of it could run."""
    base = marks.draw_base()
    with marked(ROOTS, base, in_a_session=True) as (pid, leader):
        started = procfs.look(leader).started_s
        trace = Trace("s/a", leader, (started - 1, started + 1), base + 3)
        with pytest.raises(RunBusy) as caught:
            as_user(BOB, lambda: end_leftovers(RecordedProcesses(None, base, [trace]), limit_s=0.2))

    said = str(caught.value)
    assert f"{pid} (s/a)" in said
    assert f"sudo kill -9 PID: {pid} (" in said
    assert "then run again" in said


@linux
def test_where_proc_is_hidden_marks_tell(scrubbed, monkeypatch):
    base = marks.draw_base()
    mine, other = scrubbed(base=base), scrubbed()
    monkeypatch.setattr(procfs, "_ours", False)
    reaper = threading.Thread(target=os.waitid, args=(os.P_PID, mine.pid, os.WEXITED))
    reaper.start()

    assert end_leftovers(RecordedProcesses(mark_base=base), limit_s=LIMIT_S) == [(mine.pid, "")]
    reaper.join()
    assert lives(other)

"""P3, P4: what an earlier sitting left is ended if it is proven ours; nobody else is touched."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

if sys.platform != "linux":
    pytest.skip("starts, marks and namespaces are Linux'", allow_module_level=True)

import msgspec

from procsup.core.records import Begin, Spawned, decode_line, encode_line
from procsup.host import posix, procfs
from tests.support.gate import Gate, complete
from tests.support.projects import LIMIT_S, PROGRAMS, PYTHON, ROOT, Project, finish, kill, slashed

RUN = """
[stage.s]
command = ["{python}", "{program}", "{port}", "{{n}}"{options}]
matrix.n = ["a", "b"]
"""
HOLD = "import sys; print('up', flush=True); sys.stdin.read()"
# A login shell and an editor in it.
LOGIN = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {HOLD!r}])"
root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="namespaces need root"
)


@pytest.fixture
def gate():
    with Gate() as gate:
        yield gate


@pytest.fixture
def made(tmp_path, gate):
    return project(tmp_path, gate)


def project(folder, gate, *options):
    words = "".join(f', "{option}"' for option in options)
    text = RUN.format(
        python=PYTHON, program=slashed(PROGRAMS / "gated.py"), port=gate.port, options=words
    )
    return Project(folder, text)


@pytest.fixture
def stranger():
    """Return a starter of processes that are none of procsup's."""
    started = []

    def begin(code=HOLD, **settings):
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **{"start_new_session": True, **settings},
        )
        started.append(process)
        assert process.stdout.readline() == b"up\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def die(made, gate, *, with_units=True):
    """Begin a run, and let guard and supervisor die in one instant; return its units."""
    child = made.start("run", "run.toml", "--jobs", "2")
    units = [gate.meet(name) for name in ("a", "b")]
    deadline = time.monotonic() + LIMIT_S
    while len(made.records("spawned")) < 2:
        assert time.monotonic() < deadline
    supervisor = made.supervisor_pid
    os.kill(child.pid, signal.SIGSTOP)
    kill(supervisor)
    kill(child.pid)
    finish(child)
    for unit in units if with_units else ():
        kill(unit.pid)
        assert unit.ends_within(LIMIT_S)
    return units


def rewrite(made, change):
    """Change records of the journal, in the very same file."""
    with (made.rundir / "journal.jsonl").open("r+b") as file:
        lines = [decode_line(line.rstrip(b"\n")) for line in file]
        file.seek(0)
        file.truncate()
        file.write(b"".join(encode_line(seq, change(record)) for seq, record in lines))


def born(pid):
    started = procfs.look(pid).started_s
    return started, started


def test_the_records_tell_a_process_from_another_one_with_its_pid(made, gate):
    units = die(made, gate, with_units=False)
    (begun,) = made.records("begin")
    owner = json.loads((made.rundir / "run.lock").read_text())

    status = os.stat(made.rundir / "journal.jsonl")
    assert begun["journal"] == f"{status.st_dev:x}:{status.st_ino:x}"
    assert begun["pid_namespace"] == owner["pid_namespace"] == os.readlink("/proc/self/ns/pid")
    assert owner["start_ticks"] / os.sysconf("SC_CLK_TCK") <= posix.read_proc_clock()
    for spawned, unit in zip(made.records("spawned"), units):
        since, until = spawned["born"]
        assert spawned["pid"] == unit.pid
        assert since <= procfs.look(unit.pid).started_s <= until < since + 5
        assert spawned["mark"] // 2**20 == begun["mark_base"] // 2**20

    said = complete(made, gate)

    assert [unit.ends_within(0.1) for unit in units] == [True, True]
    assert f"ended process {units[0].pid} of s/n=a" in said


@pytest.mark.survives("F73")
def test_a_pid_that_was_given_again_is_a_stranger(made, gate, stranger):
    die(made, gate)
    last = max(record["born"][1] for record in made.records("spawned"))
    while posix.read_proc_clock() <= last:
        pass  # no system reuses a pid within a tick (a hundredth of a second)
    login = stranger(LOGIN)
    editor = procfs.list_children(login.pid)
    rewrite(
        made,
        lambda one: msgspec.structs.replace(one, pid=login.pid) if type(one) is Spawned else one,
    )

    complete(made, gate)

    assert login.poll() is None
    assert procfs.list_children(login.pid) == editor


@pytest.mark.survives("F73")
def test_the_pid_and_start_of_another_namespace_are_a_strangers_here(made, gate, stranger):
    die(made, gate)
    login = stranger(LOGIN)

    def change(record):
        if type(record) is Spawned:
            return msgspec.structs.replace(record, pid=login.pid, born=born(login.pid))
        if type(record) is Begin:
            return msgspec.structs.replace(record, pid_namespace="pid:[1]")
        return record

    rewrite(made, change)

    complete(made, gate)

    assert login.poll() is None


@root
def test_a_container_that_starts_again_does_not_hurt_who_has_the_pids_now(tmp_path, gate):
    made = project(tmp_path, gate)
    first = in_namespace(made, '"$0" -m procsup run run.toml --jobs 2', "--mount-proc")
    units = [gate.meet(name) for name in ("a", "b")]
    pids = [record["pid"] for record in wait_for_spawned(made)]
    kill(first.pid, signal.SIGKILL)  # its only child, which is process 1 in there, goes with it
    assert [unit.ends_within(LIMIT_S) for unit in units] == [True, True]
    finish(first)
    crowd = "".join(
        f"echo {pid - 1} > /proc/sys/kernel/ns_last_pid; setsid sleep 60 & echo $!; "
        for pid in sorted(pids)
    )

    line = f'{crowd} "$0" -m procsup run run.toml --jobs 2; ps -o pid= -C sleep'
    again = in_namespace(made, line, "--mount-proc")
    for name in ("a", "b"):
        gate.meet(name).exit(0)
    out, err = finish(again)

    assert out.split() == [*map(str, sorted(pids))] * 2, err


def wait_for_spawned(made):
    deadline = time.monotonic() + LIMIT_S
    journal = made.rundir / "journal.jsonl"
    while not journal.exists() or len(made.records("spawned")) < 2:
        assert time.monotonic() < deadline
    return made.records("spawned")


def in_namespace(made, line, *options):
    """Run a line of a shell in a pid namespace of its own; ``$0`` is our Python."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        ["unshare", "-p", "-f", "--kill-child", *options, "sh", "-c", line, sys.executable],
        cwd=str(made.folder),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.survives("F74")
def test_who_merely_has_the_units_lock_open_is_left_alone(made, gate, stranger):
    die(made, gate)
    with (made.rundir / "units.lock").open("r+b") as lock:
        reader = stranger(LOGIN, pass_fds=[lock.fileno()])

        complete(made, gate)

        assert reader.poll() is None


@pytest.mark.survives("F74")
def test_a_copy_of_a_live_run_touches_nothing_of_it(made, gate):
    child = made.start("run", "run.toml", "--jobs", "2")
    units = [gate.meet(name) for name in ("a", "b")]
    wait_for_spawned(made)
    elsewhere = made.folder / "elsewhere"
    shutil.copytree(made.rundir, elsewhere / "run")

    copy = made.start("run", "run.toml", "--jobs", "2", "--dir", str(elsewhere))
    for name in ("a", "b"):
        gate.meet(name).exit(0)
    _, err = finish(copy)

    assert copy.returncode == 0, err
    assert all(unit.lives for unit in units)
    for unit in units:
        unit.exit(0)
    _, err = finish(child)
    assert child.returncode == 0, err


def test_a_copy_has_an_id_of_its_own_so_that_what_it_leaves_is_not_the_original_s(made, gate):
    child = made.start("run", "run.toml", "--jobs", "2")
    first, second = (gate.meet(name) for name in ("a", "b"))
    first.exit(0)
    deadline = time.monotonic() + LIMIT_S
    while not made.records("end"):
        assert time.monotonic() < deadline
    there = Project(made.folder / "elsewhere")
    shutil.copytree(made.rundir, there.rundir)
    words = ("run", "run.toml", "--dir", str(there.folder / ".procsup"))

    refused = made.call(*words)
    copy = made.start(*words, "--adopt")
    left = gate.meet("b")
    supervisor = there.supervisor_pid
    os.kill(copy.pid, signal.SIGSTOP)
    kill(supervisor)
    kill(copy.pid)
    finish(copy)
    again = made.start(*words)
    gate.meet("b").exit(0)
    _, err = finish(again)

    assert refused.returncode == 2
    assert again.returncode == 0, err
    assert left.ends_within(LIMIT_S)
    assert second.lives
    ids = [record["run_id"] for record in there.records("begin")]
    assert len(set(ids)) == 2
    assert ids[1] == ids[2]  # of the copy, which was resumed
    second.exit(0)
    _, err = finish(child)
    assert child.returncode == 0, err


def as_of_old(record):
    """Return a record as an older procsup wrote it."""
    if type(record) is Spawned:
        return msgspec.structs.replace(record, born=None, mark=None)
    if type(record) is Begin:
        changes = {"journal": "", "pid_namespace": "", "mark_base": None}
        return msgspec.structs.replace(record, **changes)
    return record


def test_a_journal_of_old_proves_nothing_and_doubt_refuses_the_start(made, gate):
    units = die(made, gate, with_units=False)
    rewrite(made, as_of_old)

    refused = made.call("run", "run.toml")

    assert refused.returncode == 75
    assert all(str(unit.pid) in refused.stderr for unit in units)
    assert "ps -fp" in refused.stderr
    assert all(unit.lives for unit in units)
    for unit in units:
        kill(unit.pid)
    complete(made, gate)


def test_a_pid_in_a_journal_of_an_earlier_boot_belongs_to_no_process(made, gate, stranger):
    die(made, gate)
    login = stranger(LOGIN)

    def change(record):
        record = as_of_old(record)
        return msgspec.structs.replace(record, pid=login.pid) if type(record) is Spawned else record

    rewrite(made, change)
    complete(made, gate)

    assert login.poll() is None


# --- a /proc that is another namespace's ------------------------------------------------------


@pytest.mark.survives("F81")
@root
@pytest.mark.parametrize("end", ["exit 0", "supervisor killed"])
def test_with_the_proc_of_another_namespace_no_process_stays(tmp_path, gate, end):
    made = project(tmp_path, gate, "--daemon", "--scrub")
    shell = in_namespace(made, '"$0" -m procsup run run.toml --jobs 2; echo "over $?"; read x')
    units = [gate.meet(name) for name in ("a", "b")]
    daemons = [gate.meet(name) for name in ("a-daemon", "b-daemon")]
    if end == "exit 0":
        for unit in units:
            unit.exit(0)
    else:
        wait_for_spawned(made)
        supervisor = made.supervisor_pid
        target = f"--target={procfs.list_children(shell.pid)[0]}"
        subprocess.run(["nsenter", target, "-p", "kill", "-9", str(supervisor)], check=True)

    said = shell.stdout.readline()

    assert said == ("over 0\n" if end == "exit 0" else "over 137\n"), shell.stderr.read()
    assert [one.ends_within(1.0) for one in (*units, *daemons)] == [True] * 4
    finish(shell)

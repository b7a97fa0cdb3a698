"""When is a unit over, and whom does a stop reach: real runs of programs as they are."""

import gzip
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest

if sys.platform != "linux":
    pytest.skip("what a process has open is told by Linux only", allow_module_level=True)

from procsup.host import procfs
from tests.support.projects import PROGRAMS, ROOT, Project, finish, kill, wait_for

pytestmark = pytest.mark.slow
PYTHON = shlex.quote(sys.executable)
LEAVE = f"{PYTHON} -S {PROGRAMS / 'leave.py'}"
SAVER = f"{PYTHON} -S {PROGRAMS / 'saver.py'}"


def stage(name: str, line: str, *more: str) -> str:
    """Write a stage whose only unit is a line of bash."""
    return "\n".join((f"[stage.{name}]", f"shell = '''{line}'''", *more, ""))


def attempts_of(project: Project, unit: str) -> List[Dict[str, Any]]:
    (record,) = [one for one in project.manifest["units"] if one["id"] == unit]
    attempts: List[Dict[str, Any]] = record["attempts"]
    return attempts


def read_received(project: Project, name: str) -> List[str]:
    path = project.folder / f"{name}.got"
    return path.read_text().split() if path.exists() else []


# --- who still writes --------------------------------------------------------------------------
POPEN = "import subprocess, sys; subprocess.Popen(sys.argv[1:])"
WRITERS = {
    "substitution": "seq 1 300000 | tee >(gzip -9 > {outputs[0]}) | tail -1",
    "background": f"{LEAVE} write {{outputs[0]}} &",
    "silent": f"{LEAVE} write {{outputs[0]}} >/dev/null 2>&1 &",
    "session": f"setsid {LEAVE} write {{outputs[0]}}",
    "nohup": f"nohup {LEAVE} write {{outputs[0]}} >/dev/null 2>&1 &",
    "renamed": f"({LEAVE} write {{outputs[0]}}.tmp; mv {{outputs[0]}}.tmp {{outputs[0]}}) &",
    "coprocess": f"coproc {LEAVE} write {{outputs[0]}}; true",
    "scrubbed": f"setsid env -i {LEAVE} write {{outputs[0]}} &",
    "subprocess": f"{PYTHON} -c '{POPEN}' {LEAVE} write {{outputs[0]}}",
    "tar": "mkdir d; head -c 20000000 /dev/urandom > d/x; (tar cf - d | gzip -1 > {outputs[0]}) &",
    "dd": "(dd if=/dev/zero bs=1M count=50 status=none; echo end) > {outputs[0]} &",
    "sort": "seq 1 400000 | sort -R -o {outputs[0]} &",
}


@pytest.mark.survives("F71")
def test_no_output_is_vouched_for_while_a_process_writes_it(tmp_path: Path) -> None:
    text = "".join(stage(name, line, f'outputs = ["{name}.out"]') for name, line in WRITERS.items())
    project = Project(tmp_path, text)

    project.run("--jobs", "4")

    assert set(project.verdicts.values()) == {"succeeded"}
    assert len(gzip.decompress((tmp_path / "substitution.out").read_bytes()).split()) == 300000
    for name in list(WRITERS)[1:9]:
        assert len((tmp_path / f"{name}.out").read_text().split()) == 20, name
    gzip.decompress((tmp_path / "tar.out").read_bytes())
    assert (tmp_path / "dd.out").read_bytes().endswith(b"\0end\n")
    assert len((tmp_path / "sort.out").read_text().split()) == 400000
    assert project.call("verify", "run").returncode == 0
    starts = len(project.starts())
    project.run()
    assert len(project.starts()) == starts


@pytest.mark.survives("F71")
def test_who_does_not_stop_writing_fails_its_unit_and_is_named(tmp_path: Path) -> None:
    line = "echo half > {outputs[0]}; sleep 100 >> {outputs[0]} 2>/dev/null &"
    more = ('outputs = ["a.txt"]', 'linger = "300ms"', "retries = 1", 'grace = "1s"')
    project = Project(tmp_path, stage("a", line, *more))

    done = project.run(expect=1)

    assert project.verdicts == {"a": "failed"}
    first, second = attempts_of(project, "a")
    assert first["exit_code"] == second["exit_code"] == 0
    assert "sleep (pid " in second["cause"]
    assert "still wrote to a.txt" in done.stderr
    assert not any(record.get("outputs") for record in project.records("end"))


def test_a_server_that_keeps_the_log_open_is_a_remark(tmp_path: Path) -> None:
    line = f"echo made > {{outputs[0]}}; {PYTHON} -m http.server 0 --bind 127.0.0.1 &"
    more = ('outputs = ["a.txt"]', 'linger = "500ms"', 'grace = "2s"')
    project = Project(tmp_path, stage("a", line, *more))

    done = project.run()

    (attempt,) = attempts_of(project, "a")
    (remark,) = attempt["remarks"]
    assert "kept the log open and was ended" in remark
    assert attempt["linger_s"] >= 0.5
    assert "kept the log open" in done.stderr


def test_the_deadline_goes_on_while_writers_are_waited_for(tmp_path: Path) -> None:
    line = "echo half > {outputs[0]}; sleep 100 >> {outputs[0]} 2>/dev/null &"
    more = ('outputs = ["{stage}"]', 'timeout = "1s"', 'grace = "1s"')
    text = stage("a", line, *more) + stage("b", line, *more, 'linger = "timeout"')
    for name in "ab":
        text = text.replace("{stage}", f"{name}.txt", 1)
    project = Project(tmp_path, text)

    project.run(expect=1)

    assert set(project.verdicts.values()) == {"timed-out"}


def test_a_unit_is_cancelled_while_its_writers_are_waited_for(tmp_path: Path) -> None:
    line = "echo half > {outputs[0]}; sleep 100 >> {outputs[0]} 2>/dev/null & touch ready"
    project = Project(tmp_path, stage("a", line, 'outputs = ["a.txt"]', 'grace = "2s"'))
    child = project.start("run", "run.toml")
    wait_for(project, "ready")
    kill(child.pid, signal.SIGINT)
    finish(child)

    (end,) = project.records("end")
    assert end["verdict"] == "cancelled"
    assert child.returncode == -signal.SIGINT


# --- who is told to stop -------------------------------------------------------------------------

SAVERS = {
    "script": f"exec {SAVER} save script 0.5",
    "pipe": f"{SAVER} save pipe 0.5 | cat",
    "lines": f"{SAVER} save lines 0.5\necho after",
    "flock": f"flock lock {SAVER} save flock 0.5",
    "behind": f"{SAVER} save behind 0.5 & wait",
    "session": f"setsid --wait {SAVER} save session 0.5; true",
    "xargs": f"echo xargs | xargs -P2 -I@ {SAVER} save @ 0.5",
    "coordinator": f"{SAVER} coordinate coordinator 0.5 | cat",
    "trap": f"trap 'kill $pid; wait $pid' TERM; {SAVER} save trap 0.5 & pid=$!; wait",
    "nested": f"{PYTHON} -m procsup map -q --name inner {SAVER} save nested ::: 0.5",
}
WAYS = ("ctrl-c", "stop", "terminated", "timeout", "on-failure")


def saving(way: str) -> str:
    head = 'on-failure = "stop"\n' if way == "on-failure" else ""
    # The limit leaves time for all of them to begin; who was too late saves nothing.
    limit = ('timeout = "6s"',) if way == "timeout" else ()
    stages = [stage(name, line, 'grace = "20s"', *limit) for name, line in SAVERS.items()]
    if way == "on-failure":
        ready = " ".join(f"{name}.ready" for name in SAVERS)
        wait = f'for f in {ready}; do until [ -e "$f" ]; do sleep 0.02; done; done; exit 3'
        stages.append(stage("failing", wait))
    return head + "".join(stages)


@pytest.mark.survives("F75")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_stop_reaches_all_who_save_once(tmp_path: Path, way: str) -> None:
    project = Project(tmp_path, saving(way))
    child = project.start(
        "run", "run.toml", "--jobs", str(len(SAVERS) + 1), env={"PYTHONPATH": str(ROOT)}
    )
    wait_for(project, *(f"{name}.ready" for name in SAVERS))
    if way == "stop":
        assert project.call("stop", "run").returncode == 0
    elif way in ("ctrl-c", "terminated"):
        kill(child.pid, signal.SIGINT if way == "ctrl-c" else signal.SIGTERM)
    _, said = finish(child)

    assert {name for name in SAVERS if (tmp_path / f"{name}.saved").exists()} == set(SAVERS), said
    assert {name: read_received(project, name) for name in SAVERS} == {n: ["TERM"] for n in SAVERS}
    ended = {record["unit"]: record["verdict"] for record in project.records("end")}
    assert {ended[name] for name in SAVERS} == {"timed-out" if way == "timeout" else "cancelled"}


def test_the_second_press_of_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    lines = {"slow": f"{SAVER} save slow 60 | cat", "deaf": f"{SAVER} ignore deaf & wait"}
    text = "".join(stage(name, line, 'grace = "50s"') for name, line in lines.items())
    project = Project(tmp_path, text)
    child = project.start("run", "run.toml", "--jobs", "2")
    wait_for(project, "slow.ready", "deaf.ready")
    kill(child.pid, signal.SIGINT)
    wait_for(project, "slow.got")
    press_until_it_ends(child)

    assert child.returncode == -signal.SIGINT
    assert not (tmp_path / "slow.saved").exists()


def press_until_it_ends(child: "subprocess.Popen[str]") -> None:
    """Press again and again: what follows at once is the same press."""
    for _ in range(20):
        kill(child.pid, signal.SIGINT)
        try:
            child.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue
        return
    finish(child, 1.0)


def test_int_as_the_stop_signal_lets_python_clean_up(tmp_path: Path) -> None:
    line = f"{SAVER} finally_ a | cat"
    project = Project(tmp_path, stage("a", line, 'stop-signal = "INT"', 'grace = "20s"'))
    child = project.start("run", "run.toml")
    wait_for(project, "a.ready")
    kill(child.pid, signal.SIGTERM)
    finish(child)

    assert (tmp_path / "a.saved").exists()
    assert list(tmp_path.glob("temporary-*")) == []


# --- what nobody finds by its environment ------------------------------------------------------

DAEMONS = {
    "scrubbed": "setsid env -i {} & true",
    "double": "(setsid env -i {} </dev/null >/dev/null 2>&1 &)",
    "perl": "perl -e 'fork and exit; use POSIX; setsid(); fork and exit; %ENV=(); exec @ARGV' {}",
}


@pytest.mark.survives("F79")
@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_daemon_ends_with_its_own_attempt_and_with_no_other(tmp_path: Path, daemon: str) -> None:
    """Each attempt takes a lock that the daemon of the one before must have given back."""
    own, others = (f"sleep 77.{os.getpid()}{n}" for n in (1, 2))  # no other test's on this machine
    line = DAEMONS[daemon].format(f"flock lock {own}")
    begin = f"{line}; until ! flock -n lock true; do sleep 0.01; done; exit 1"
    other = f"(setsid env -i {others} &) >/dev/null 2>&1; until [ -e go ]; do sleep 0.02; done"
    text = stage("a", f"flock -n lock true || exit 9; {begin}", "retries = 1")
    text += stage("b", f"{other}; pgrep -f '[s]{others[1:]}' > b.txt", 'outputs = ["b.txt"]')
    text += stage("c", "touch go", 'after = [{ stage = "a", when = "finished" }]')
    project = Project(tmp_path, text)

    project.run("--jobs", "3", expect=1)

    assert [one["exit_code"] for one in attempts_of(project, "a")] == [1, 1]
    assert project.verdicts["b"] == "succeeded"
    assert living(own) == living(others) == []


def living(words: str) -> Sequence[int]:
    wanted = words.replace(" ", "\0").encode() + b"\0"
    return [pid for pid in procfs.list_pids() if procfs.read(f"/proc/{pid}/cmdline") == wanted]


# --- shared memory ---------------------------------------------------------------------------


def test_shared_memory_is_given_back_however_a_unit_ends(tmp_path: Path) -> None:
    pytest.importorskip("multiprocessing.shared_memory")
    program = f"{PYTHON} {PROGRAMS / 'in_memory.py'} procsup-e2e-{os.getpid()}-"
    ends = {"exit": "exit", "kill": "kill", "timeout": "stay"}
    text = "".join(
        stage(name, f"{program}{name} {end}; true", 'timeout = "3s"', 'grace = "1s"')
        for name, end in ends.items()
    )
    project = Project(tmp_path, text)

    project.run(expect=None)

    assert project.verdicts["timeout"] == "timed-out"
    assert list(Path("/dev/shm").glob(f"procsup-e2e-{os.getpid()}-*")) == []

"""Whom does a stop reach? Programs that save when they are asked to, below others that do not."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

import pytest

if sys.platform != "linux":
    pytest.skip("who listens is told by Linux only", allow_module_level=True)

from procsup.core.events import Ended
from procsup.core.outcome import AttemptId, Exited, Signaled
from tests.support.engines import Bench
from tests.support.projects import ROOT

PYTHON = shlex.quote(sys.executable)
SAVER = f"{PYTHON} -S {shlex.quote(str(ROOT / 'tests/support/programs/saver.py'))}"
S = f"{SAVER} save"
GRACE_S = 10.0


class Case(NamedTuple):
    """A line of bash, with the tools that it takes (or a trial of one), and who of it saves."""

    line: str
    needs: Sequence[str] = ()
    savers: Sequence[str] = ("a",)
    most_signals: int = 1
    settings: Dict[str, Any] = {}  # noqa: RUF012  read only


MAKE = "printf 'all: x y\\nx:\\n\\t@%s a\\ny:\\n\\t@%s b; true\\n' '{S}' '{S}' > Makefile; "
NODE = (
    "require('child_process').spawn('bash', ['-c', '{S} a 1.5; true'], {{stdio: 'inherit'}})"
    ".on('exit', (code) => process.exit(code))"
)
CASES = {
    "a script": Case("exec {S} a"),
    "in a pipe": Case("{S} a | cat"),
    "first of a pipe of three": Case("{S} a | tee log | cat >&2"),
    "two lines": Case("{S} a\necho after"),
    "below flock": Case("flock lock {S} a", ["flock"]),
    "in the background": Case("{S} a & wait"),
    "in a subshell": Case("({S} a; true); true"),
    "below setsid --wait": Case("setsid --wait {S} a; true", ["setsid"]),
    "below nice, nohup and env": Case("nohup nice env X=1 {S} a; true", ["nohup"]),
    # timeout(1) itself signals its child, then its whole group.
    "below timeout": Case("timeout 60 {S} a 1.5", ["timeout"], most_signals=2),
    "below timeout --foreground": Case("timeout --foreground 60 {S} a 1.5", ["timeout"]),
    "below xargs -P": Case(
        "printf '%s\\n' a b c | xargs -P3 -I@ {S} @", ["xargs"], ["a", "b", "c"]
    ),
    # It blocks the signal while it waits for its child, and waits for no signal.
    "below unshare --fork": Case("unshare -m -f {S} a", ["unshare -m true"]),
    "below find -exec": Case("find . -maxdepth 0 -exec {S} a ';'", ["find"]),
    "a coordinator": Case("{SAVER} coordinate a | cat"),
    "a trap and a child in front": Case("trap 'echo > trapped' TERM; {S} a; true"),
    "a trap that cleans up slowly": Case(
        "trap '{SAVER} clean a 1; exit' TERM; sh -c 'touch a.ready; exec sleep 60'; true"
    ),
    "a trap that hands it on": Case("trap 'kill $pid; wait $pid' TERM; {S} a 1 & pid=$!; wait"),
    "the same in sh": Case("sh -c 'trap \"kill \\$pid; wait\" TERM; {S} a 1 & pid=$!; wait'; true"),
    "a trap that kills its group": Case("trap 'trap : TERM; kill 0; wait' TERM; {S} a 1 & wait"),
    "a trap at the exit": Case("trap 'kill $(jobs -p); wait' EXIT; {S} a 1 & wait"),
    "a trap, one in front, one behind": Case(
        "trap 'kill $pid; wait' TERM; {S} b 1 & pid=$!; {S} a", savers=["a", "b"]
    ),
    "a trap and a loop in front": Case(
        "trap 'wait; exit' TERM; {S} b & while [ ! -e a.saved ]; do {S} a; done", savers=["a"]
    ),
    "a trap in a background subshell": Case("(trap 'exit' TERM; {S} a; true) & wait"),
    "below tini": Case("tini -s -- {S} a 1", ["tini"]),
    "who waits for the signal": Case("exec {SAVER} relay a 1"),
    "make": Case(MAKE + "exec make x", ["make"]),
    "make -j2": Case(MAKE + "exec make -j2", ["make"], ["a", "b"]),
    "make, its line in a shell": Case(MAKE + "make y; true", ["make"], ["b"]),
    "below node": Case(f"exec node -e {shlex.quote(NODE)}", ["node"]),
    "below perl": Case("exec perl -e 'system(q({S} a)); exit 0'", ["perl"]),
    "a pool": Case("{SAVER} pool a; true"),
    "in a coprocess": Case("coproc {S} a; wait"),
    "in a process substitution": Case("cat <({S} a); true"),
    "a nested procsup": Case(f"exec {PYTHON} -m procsup map -q {{S}} a ::: 1.5"),
    "a nested procsup in a pipe": Case(f"{PYTHON} -m procsup map -q {{S}} a ::: 1.5 | cat"),
}


def start(bench: Bench, line: str, **settings: Any) -> AttemptId:
    filled = line.format(S=S, SAVER=SAVER)
    return bench.start("u", ("bash", "-c", filled), **settings)


def wait_for_files(bench: Bench, names: Sequence[str], what: str = "ready") -> None:
    bench.wait_until(lambda: all((bench.folder / f"{name}.{what}").exists() for name in names))


def read_received(folder: Path, name: str) -> List[str]:
    path = folder / f"{name}.got"
    return path.read_text().split() if path.exists() else []


def stop(bench: Bench, attempt: AttemptId, **settings: Any) -> Ended:
    settings.setdefault("grace_s", GRACE_S)
    bench.stop(attempt, **settings)
    return bench.wait_for(attempt)


@pytest.mark.survives("F75", "F76")
@pytest.mark.parametrize("name", CASES)
def test_a_process_that_saves_is_asked_once_and_gets_the_time(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    for tool in case.needs:
        words = tool.split()
        if shutil.which(words[0]) is None or (words[1:] and subprocess.call(words) != 0):
            pytest.skip(f"no {tool} here")
    environment = {"PYTHONPATH": str(ROOT)}
    with Bench(tmp_path, environment=environment) as bench:
        attempt = start(bench, case.line)
        wait_for_files(bench, case.savers)
        begun = time.monotonic()
        end = stop(bench, attempt)
        took_s = time.monotonic() - begun

    assert end.stopped
    assert end.exit != Signaled(9)
    assert took_s < GRACE_S
    for saver in case.savers:
        assert (tmp_path / f"{saver}.saved").exists(), saver
        assert len(read_received(tmp_path, saver)) <= case.most_signals, saver


@pytest.mark.parametrize("name", ["a trap, one in front, one behind", "a trap at the exit"])
def test_where_all_ignore_quit_a_trap_answers_for_nothing(name: str, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        with Bench(tmp_path, environment={"PYTHONPATH": str(ROOT)}) as bench:
            attempt = start(bench, CASES[name].line)
            wait_for_files(bench, CASES[name].savers)
            begun = time.monotonic()
            end = stop(bench, attempt)
            took_s = time.monotonic() - begun
    finally:
        signal.signal(signal.SIGQUIT, before)

    assert end.stopped
    assert took_s < GRACE_S / 2
    assert all((tmp_path / f"{saver}.saved").exists() for saver in CASES[name].savers)


def test_what_asks_its_workers_itself_is_left_to_it_and_tree_tells_everybody(
    tmp_path: Path,
) -> None:
    for reach, saves in (("auto", True), ("tree", False)):
        folder = tmp_path / reach
        folder.mkdir()
        with Bench(folder, stage={"stop_to": reach}) as bench:
            attempt = start(bench, "exec {SAVER} coordinate a")
            wait_for_files(bench, ["a"])
            end = stop(bench, attempt)

        assert end.exit == Exited(0)
        assert (folder / "a.saved").exists() == saves
        assert read_received(folder, "a") == ["TERM"]


def test_with_stop_to_main_no_other_process_is_signalled(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"stop_to": "main"}) as bench:
        attempt = start(bench, "{S} b & exec {SAVER} ignore a")
        wait_for_files(bench, ["a", "b"])
        end = stop(bench, attempt, grace_s=0.5)

    assert end.exit == Signaled(9)
    assert read_received(tmp_path, "b") == []
    assert not (tmp_path / "b.saved").exists()


def test_a_listener_that_stays_has_half_of_the_grace_for_itself(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempt = start(bench, "{S} b & exec {SAVER} save a 60")
        wait_for_files(bench, ["a", "b"])
        begun = time.monotonic()
        bench.stop(attempt, grace_s=2.0)
        wait_for_files(bench, ["b"], "saved")
        told_s = time.monotonic() - begun
        end = bench.wait_for(attempt)

    assert end.exit == Signaled(9)
    assert told_s > 1.0
    assert (read_received(tmp_path, "a"), read_received(tmp_path, "b")) == (["TERM"], ["TERM"])


@pytest.mark.survives("F76")
def test_stopped_twice_it_is_told_once(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempt = start(bench, "{SAVER} save a 1 | cat")
        wait_for_files(bench, ["a"])
        bench.stop(attempt, grace_s=GRACE_S)
        wait_for_files(bench, ["a"], "got")
        stop(bench, attempt)

    assert read_received(tmp_path, "a") == ["TERM"]
    assert (tmp_path / "a.saved").exists()


@pytest.mark.parametrize("line", ["exec {SAVER} finally_ a", "{SAVER} finally_ a | cat"])
def test_int_lets_a_finally_run_and_removes_temporary_folders(tmp_path: Path, line: str) -> None:
    with Bench(tmp_path, stage={"stop_signal": "INT"}) as bench:
        attempt = start(bench, line)
        wait_for_files(bench, ["a"])
        end = stop(bench, attempt)

    assert end.stopped
    assert (tmp_path / "a.saved").exists()
    assert list(tmp_path.glob("temporary-*")) == []


@pytest.mark.parametrize(
    "line", ["{SAVER} save_at_term a & wait", "sh -c '{SAVER} save_at_term a & wait'"]
)
def test_who_ignores_int_as_background_jobs_do_gets_term(tmp_path: Path, line: str) -> None:
    with Bench(tmp_path, stage={"stop_signal": "INT"}) as bench:
        attempt = start(bench, line)
        wait_for_files(bench, ["a"])
        begun = time.monotonic()
        stop(bench, attempt)

    assert read_received(tmp_path, "a") == ["TERM"]
    assert (tmp_path / "a.saved").exists()
    assert time.monotonic() - begun < GRACE_S / 2


def test_any_signal_may_be_the_request(tmp_path: Path) -> None:
    line = "trap 'echo > a.saved; exit 0' USR1; touch a.ready; while true; do sleep 0.05; done"
    with Bench(tmp_path, stage={"stop_signal": "USR1"}) as bench:
        attempt = start(bench, line)
        wait_for_files(bench, ["a"])
        end = stop(bench, attempt)

    assert end.exit == Exited(0)
    assert (tmp_path / "a.saved").exists()


def test_who_was_stopped_hears_the_request(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempt = start(bench, "{S} a & kill -STOP $!; wait")
        # It may have been stopped before it was ready: it is asked all the same.
        bench.wait_until(lambda: _state_of_child(bench) == "T")
        stop(bench, attempt)

    assert (tmp_path / "a.saved").exists() or read_received(tmp_path, "a") == []


def _state_of_child(bench: Bench) -> str:
    from procsup.host import procfs

    (live,) = bench.engine._live.values()
    states = [one.state for one in procfs.list_descendants(live.child.pid)]
    return "T" if "T" in states else ""


# --- shared memory ---------------------------------------------------------------------------

IN_MEMORY = f"{PYTHON} {shlex.quote(str(ROOT / 'tests/support/programs/in_memory.py'))}"
WAYS = {
    "exit": "exec {} exit",
    "kill": "exec {} kill",
    "stop": "exec {} stay",
    "pipe": "{} stay | cat",
}


@pytest.mark.survives("F77")
@pytest.mark.parametrize("way", WAYS)
def test_no_shared_memory_is_left(tmp_path: Path, way: str) -> None:
    pytest.importorskip("multiprocessing.shared_memory")
    name = f"procsup-test-{os.getpid()}-{way}"
    place = Path("/dev/shm") / name
    with Bench(tmp_path) as bench:
        attempt = start(bench, WAYS[way].format(f"{IN_MEMORY} {name}"))
        wait_for_files(bench, ["a"])
        if "stay" in WAYS[way]:
            assert place.exists()
            bench.stop(attempt, grace_s=2.0)
        bench.wait_for(attempt)

    assert not place.exists()


@pytest.mark.survives("F77")
@pytest.mark.parametrize("signal_name", ["TERM", "INT"])
def test_joblib_leaves_none_of_its_maps_in_shared_memory(tmp_path: Path, signal_name: str) -> None:
    pytest.importorskip("joblib")
    pytest.importorskip("numpy")
    before = set(os.listdir("/dev/shm"))
    with Bench(tmp_path, stage={"stop_signal": signal_name}) as bench:
        attempt = start(bench, f"{IN_MEMORY} joblib; true")
        wait_for_files(bench, ["a"], "workers")
        bench.wait_until(lambda: (tmp_path / "a.workers").stat().st_size == 2)
        ours = {name for name in set(os.listdir("/dev/shm")) - before if "joblib" in name}
        bench.stop(attempt, grace_s=5.0)
        bench.wait_for(attempt)

    assert ours
    assert not ours & set(os.listdir("/dev/shm"))

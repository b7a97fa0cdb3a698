"""When is a unit over? Real programs that leave something behind, and what becomes of it."""

import gzip
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, Callable, Tuple

import pytest

if sys.platform != "linux":
    pytest.skip("what a process has open is told by Linux only", allow_module_level=True)

from procsup.core.events import Ended, Inspected
from procsup.core.outcome import AttemptId, Exited, Signaled
from procsup.core.spec import OutputSpec
from tests.support.engines import Bench, is_alive

LEAVE = f"{sys.executable} -S {Path(__file__).parents[1]}/support/programs/leave.py"


def shell(bench: Bench, line: str, *outputs: str, **settings: Any) -> Tuple[Ended, str]:
    """Run a line of bash to its end; return the end, and the problem of its inspection."""
    declared = tuple(OutputSpec(str(bench.folder / path)) for path in outputs)
    argv = ("bash", "-euo", "pipefail", "-c", line)
    attempt = bench.start("u", argv, outputs=declared, **settings)
    end = bench.wait_for(attempt)
    if end.exit != Exited(0) or end.fault or end.stopped:
        return end, ""
    found = bench.wait_until(lambda: bench.inspection_of(attempt))
    assert isinstance(found, Inspected)
    return end, found.problem


def test_a_process_substitution_ends_before_its_output_is_vouched_for(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        end, problem = shell(bench, "seq 1 300000 | tee >(gzip -9 > out.gz) | tail -1", "out.gz")

    assert (end.exit, end.fault, problem) == (Exited(0), "", "")
    lines = gzip.decompress((tmp_path / "out.gz").read_bytes()).splitlines()
    assert len(lines) == 300000


@pytest.mark.parametrize(
    "line",
    [
        "{writer} out.txt &",
        "{writer} out.txt >/dev/null 2>&1 &",
        "setsid {writer} out.txt",
        "nohup {writer} out.txt >/dev/null 2>&1 &",
        "({writer} out.tmp; mv out.tmp out.txt) &",
        "({writer} out.txt.part && mv out.txt.part out.txt) >/dev/null 2>&1 &",
        "coproc {writer} out.txt; true",
    ],
)
def test_who_still_writes_is_waited_for(tmp_path: Path, line: str) -> None:
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        end, problem = shell(bench, line.format(writer=f"{LEAVE} write"), "out.txt")

    assert (end.exit, end.fault, problem) == (Exited(0), "", "")
    assert len((tmp_path / "out.txt").read_text().split()) == 20
    assert end.linger_s > 0.2
    assert end.remarks == ()


def test_who_writes_through_a_map_is_waited_for(tmp_path: Path) -> None:
    map_it = f"{LEAVE} write_by_map"
    line = f"head -c 8192 /dev/zero > out.bin; {map_it} out.bin </dev/null >/dev/null 2>&1 &"
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        end, problem = shell(bench, line, "out.bin")

    assert (end.fault, problem) == ("", "")
    assert (tmp_path / "out.bin").read_bytes()[:4] == b"last"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of a system call")
def test_a_process_whose_first_thread_has_ended_is_alive(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        end, problem = shell(bench, f"{LEAVE} write_headless out.txt >/dev/null 2>&1 &", "out.txt")

    assert (end.fault, problem) == ("", "")
    assert (tmp_path / "out.txt").read_text() == "whole\n"


@pytest.mark.survives("F20")
def test_a_writer_that_does_not_end_fails_its_unit(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 0.3}) as bench:
        end, _ = shell(bench, "echo half > out.txt; sleep 100 > /dev/null 3>> out.txt &", "out.txt")

    assert end.exit == Exited(0)
    assert end.fault.startswith("sleep (pid ")
    assert re.search(r" still wrote to out\.txt \S+ s after the unit's main process", end.fault)
    assert end.usage.leftovers == 1


def test_a_writer_in_a_folder_or_under_a_glob_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    folder = OutputSpec(f"{tmp_path}/w/", kind="folder")
    glob = OutputSpec(f"{tmp_path}/w/*.txt", kind="glob")
    with Bench(tmp_path, stage={"linger_s": 0.2}) as bench:
        faults = []
        for name, output in (("u", folder), ("v", glob)):
            line = f"sleep 100 > w/{name}.txt 2>/dev/null &"
            attempt = bench.start(name, ("bash", "-c", line), outputs=(output,))
            faults.append(bench.wait_for(attempt).fault)

    assert "still wrote to w/u.txt" in faults[0]
    assert "still wrote to w/v.txt" in faults[1]


def test_who_opens_its_output_again_and_again_fails_its_unit(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 2.0}) as bench:
        end, _ = shell(bench, f"{LEAVE} append out.txt >/dev/null 2>&1 &", "out.txt")

    assert end.exit == Exited(0)
    assert "out.txt" in end.fault or "an output has changed" in end.fault


@pytest.mark.survives("F20")
def test_who_holds_the_log_only_is_a_remark(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 0.3}) as bench:
        end, problem = shell(bench, "echo made > out.txt; sleep 100 &", "out.txt")

    assert (end.fault, problem) == ("", "")
    (remark,) = end.remarks
    assert remark.startswith("sleep (pid ")
    assert re.search(r" kept the log open and was ended after \S+ s; ", remark)


@pytest.mark.survives("F82")
def test_without_outputs_a_log_that_still_grew_is_the_fault(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 0.5}) as bench:
        end, _ = shell(bench, "while sleep 0.05; do echo more; done &")

    assert end.exit == Exited(0)
    assert "still wrote to its log" in end.fault


def test_what_holds_nothing_goes_after_a_second_and_is_no_fault(tmp_path: Path) -> None:
    begun = time.monotonic()
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        line = "echo made > out.txt; setsid sleep 100 </dev/null >/dev/null 2>&1 &"
        end, problem = shell(bench, line, "out.txt")

    assert (end.fault, end.remarks, problem) == ("", (), "")
    assert end.usage.leftovers == 1
    assert 0.9 < end.linger_s < 3.0
    assert time.monotonic() - begun < 8.0


def test_after_a_bad_exit_no_process_is_waited_for_long(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        end, _ = shell(bench, "sleep 100 > out.txt & exit 3", "out.txt")

    assert (end.exit, end.fault, end.remarks) == (Exited(3), "", ())
    assert end.linger_s < 3.0


def test_a_crash_is_a_bad_exit_too(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        end, _ = shell(bench, "sleep 100 & kill -SEGV $$")

    assert end.exit == Signaled(11)
    assert end.linger_s < 3.0


def test_a_stop_after_a_bad_exit_leaves_it_a_bad_exit(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        attempt = bench.start("u", ("bash", "-c", "sleep 100 & exit 3"))
        live = bench.engine._live[attempt]
        bench.wait_until(lambda: live.ended_at is not None)
        bench.stop(attempt, grace_s=5.0)
        end = bench.wait_for(attempt)

    assert (end.exit, end.stopped) == (Exited(3), False)


def test_no_linger_ends_holders_at_once(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": 0.0}) as bench:
        end, problem = shell(bench, "echo made > out.txt; sleep 100 &", "out.txt")

    assert (end.fault, problem) == ("", "")
    assert end.linger_s < 1.0
    assert len(end.remarks) == 1


def test_a_stop_reaches_those_that_are_waited_for(tmp_path: Path) -> None:
    with Bench(tmp_path, stage={"linger_s": None}) as bench:
        attempt = bench.start("u", ("bash", "-c", "sleep 100 & echo $!"))
        pid = bench.pid_it_said(attempt)
        live = bench.engine._live[attempt]
        bench.wait_until(lambda: live.ended_at is not None)
        assert is_alive(pid)
        bench.stop(attempt, grace_s=5.0)
        end = bench.wait_for(attempt)

    assert (end.exit, end.stopped, end.fault) == (Exited(0), True, "")
    assert not is_alive(pid)


@pytest.mark.parametrize("order", [Bench.stop, Bench.kill])
@pytest.mark.parametrize(("program", "code"), [("true", 0), ("false", 1)])
def test_a_stop_or_kill_after_an_end_that_was_not_noticed_changes_nothing(
    tmp_path: Path, order: Callable[[Bench, AttemptId], None], program: str, code: int
) -> None:
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        attempt = bench.start("u", (program,))
        pid = bench.engine._live[attempt].child.pid
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        order(bench, attempt)
        end = bench.wait_for(attempt)

    assert (end.exit, end.stopped) == (Exited(code), False)


def test_trackers_that_ignore_the_stop_have_time_to_clean_up(tmp_path: Path) -> None:
    line = f"mkfifo pipe; {LEAVE} track cleaned < pipe & exec 9> pipe; wait $!"
    with Bench(tmp_path, stage={"linger_s": 10.0}) as bench:
        attempt = bench.start("u", ("bash", "-c", f'trap "" TERM; {line}'))
        bench.wait_until_it_says(attempt, "ready")
        bench.stop(attempt, grace_s=0.1)
        end = bench.wait_for(attempt)

    assert end.exit != Exited(0)
    assert (tmp_path / "cleaned").exists()

"""Whose is a process that has left its parents, its session and its environment behind?"""

import os
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("orphans come to us on Linux only", allow_module_level=True)

from procsup.core.outcome import AttemptId, Exited
from tests.support.engines import Bench, is_alive

HIDE = "setsid env -i sleep 30 < /dev/null > /dev/null 2>&1 & echo $!"
HIDE_TWICE = (
    "sh -c 'setsid sh -c \"env -i setsid sleep 30 >/dev/null 2>&1 & echo \\$!\" < /dev/null'"
)
# As `su` and its like: the limits are set anew, and nothing of the environment stays.
LOSE_MARK = """
import os, resource, sys
reading, writing = os.pipe()  # closed by its exec: then it has hidden
pid = os.fork()
if pid == 0:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_RTTIME, (-1, -1))
    if sys.argv[1] == "close":
        os.closerange(0, 3)
    os.execve("/bin/sleep", ["sleep", "30"], {})
os.close(writing)
os.read(reading, 1)
print(pid)
"""


def begin(bench: Bench, *names: str) -> None:
    for name in names:
        bench.wait_until_it_says(bench.misbehave(name, "sleep"), "ready")


@pytest.mark.parametrize("line", [HIDE, HIDE_TWICE])
def test_a_daemon_that_hides_is_ended_with_its_own_attempt(tmp_path: Path, line: str) -> None:
    with Bench(tmp_path) as bench:
        begin(bench, "before")
        os.mkfifo(str(tmp_path / "gate"))
        attempt = bench.start("u", ("sh", "-c", f"{line}; read wait < gate"))
        begin(bench, "after")
        daemon = bench.pid_it_said(attempt)
        (tmp_path / "gate").write_text("\n")
        end = bench.wait_for(attempt)

        assert end.usage.leftovers == 1
        assert not is_alive(daemon)
        assert bench.end_of(AttemptId("before", 1)) is bench.end_of(AttemptId("after", 1)) is None


def test_the_attempt_after_it_finds_nothing_of_the_one_before(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        begin(bench, "keeper")
        first = bench.wait_for(bench.start("u", ("sh", "-c", HIDE + "; exit 1")))
        daemon = bench.pid_it_said(first.attempt)

        assert Exited(1) == first.exit
        assert not is_alive(daemon)


def test_without_a_mark_the_log_that_it_holds_tells_whose_it_is(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        begin(bench, "before")
        attempt = bench.start("u", (sys.executable, "-S", "-c", LOSE_MARK, "keep"))
        begin(bench, "after")
        end = bench.wait_for(attempt)

        assert end.usage.leftovers == 1
        assert not is_alive(bench.pid_it_said(attempt))


def test_what_nothing_tells_of_is_of_the_only_attempt(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        end = bench.wait_for(bench.start("u", (sys.executable, "-S", "-c", LOSE_MARK, "close")))

        assert end.usage.leftovers == 1
        assert not is_alive(bench.pid_it_said(end.attempt))


def test_what_nothing_tells_of_falls_to_no_wrong_unit_and_ends_with_the_last(
    tmp_path: Path,
) -> None:
    with Bench(tmp_path) as bench:
        begin(bench, "before")
        end = bench.wait_for(bench.start("u", (sys.executable, "-S", "-c", LOSE_MARK, "close")))
        stray = bench.pid_it_said(end.attempt)

        assert end.usage.leftovers == 0
        assert is_alive(stray)
        bench.engine.kill(AttemptId("before", 1))
        bench.wait_for(AttemptId("before", 1))
        bench.wait_until(lambda: not is_alive(stray))


def test_the_members_of_a_tree_are_all_that_live_beside_the_main_process(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        begin(bench, "other")
        attempt = bench.start("u", ("sh", "-c", f"{HIDE}; sleep 30 & echo $!; wait"))
        child = bench.engine._live[attempt].child
        said = bench.wait_until(lambda: len(bench.output(attempt).split()) == 2)
        assert said
        bench.engine._trees.look()

        pids = {int(word) for word in bench.output(attempt).split()}
        assert {one.pid for one in bench.engine._trees.list_processes(child)} == pids

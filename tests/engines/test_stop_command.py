"""A unit that is stopped by a command of its own."""

import sys
from pathlib import Path
from typing import Tuple

import pytest

if sys.platform == "win32":
    pytest.skip("its units are POSIX programs", allow_module_level=True)

from procsup.core.events import Ended
from procsup.core.late import PID
from procsup.core.outcome import Exited, Signaled
from tests.support.engines import PROGRAM, Bench

WAITS = (sys.executable, "-S", PROGRAM, "sleep")


def stop(bench: Bench, *command: str, grace_s: float = 30.0) -> Tuple[Ended, str]:
    """Start a unit that waits, stop it by this command; return its end and its errors."""
    attempt = bench.start("u", WAITS, stop_command=command)
    bench.wait_until_it_says(attempt, "ready")
    bench.stop(attempt, grace_s=grace_s)
    return bench.wait_for(attempt), bench.errors(attempt)


def test_it_runs_instead_of_the_signal_and_its_output_is_in_the_log(tmp_path: Path) -> None:
    line = 'echo "$PROCSUP_UNIT: stopping $1"; kill -USR1 "$1"'
    with Bench(tmp_path) as bench:
        end, said = stop(bench, "bash", "-c", line, "bash", PID)

    assert end.exit == Signaled(10 if sys.platform == "linux" else 30)
    assert end.stopped
    assert said == f"u: stopping {end.pid}\n"
    assert end.remarks == ()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("bash", "-c", "exit 3"), "its stop-command failed (exit 3): it got the stop signal"),
        (("/no/such/program",), "its stop-command could not be started"),
    ],
)
def test_one_that_fails_is_said_and_the_signal_is_sent(
    tmp_path: Path, command: Tuple[str, ...], words: str
) -> None:
    with Bench(tmp_path) as bench:
        end, _ = stop(bench, *command)

    assert end.exit == Signaled(15)
    (remark,) = end.remarks
    assert remark.startswith(words)


def test_one_that_hangs_is_bounded_by_the_grace_and_ended_with_the_tree(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        end, said = stop(bench, "bash", "-c", "echo $$ >&2; sleep 100", grace_s=0.5)

        bench.wait_until(lambda: not Path(f"/proc/{said.strip()}/cwd").exists())
    assert end.exit == Signaled(9)
    assert end.remarks == ("its stop-command had not ended when the grace was over",)


def test_one_that_succeeds_and_stops_nothing_leaves_it_to_the_kill(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        end, _ = stop(bench, "true", grace_s=0.3)

    assert end.exit == Signaled(9)


def test_it_is_not_run_for_what_a_good_end_left_behind(tmp_path: Path) -> None:
    command = ("touch", str(tmp_path / "run-it"))
    with Bench(tmp_path) as bench:
        line = ("bash", "-c", "sleep 100 &")
        end = bench.wait_for(bench.start("u", line, stop_command=command))

    assert end.exit == Exited(0)
    assert not (tmp_path / "run-it").exists()

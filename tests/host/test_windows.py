"""Windows' ways: jobs, console groups, and errors of starting."""

import os
import sys
from pathlib import Path

import pytest

if sys.platform != "win32":
    pytest.skip("Windows only", allow_module_level=True)

from procsup.core.outcome import Exited, NotStarted
from procsup.host import jobs
from tests.support.engines import Bench, is_alive


def test_a_job_counts_what_is_in_it_and_ends_it(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "keep_child")
        bench.wait_until_it_says(attempt, "ready")
        child = bench.engine._live[attempt].child
        assert child.job is not None
        account = child.job.read_account()
        assert account is not None
        assert account.active_processes == child.job.count_active() == 2
        assert child.pid in (child.job.read_pids() or [])
        bench.engine.kill(attempt)

        assert isinstance(bench.wait_for(attempt).exit, Exited)
        assert not is_alive(bench.pid_it_said(attempt))


def test_a_job_that_tells_nothing_is_not_taken_for_an_empty_one() -> None:
    job = jobs.Job()
    assert job.count_active() == 0
    job.close()

    assert job.read_account() is None
    assert job.count_active() == 1
    assert job.read_pids() is None


def test_what_a_job_does_not_list_is_found_in_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.Job, "read_pids", lambda self: None)
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "keep_child")
        bench.wait_until_it_says(attempt, "ready")
        (seen,) = bench.engine._trees.list_processes(bench.engine._live[attempt].child)

        assert seen.pid == bench.pid_it_said(attempt)
        bench.engine.kill(attempt)
        bench.wait_for(attempt)


def test_closing_a_job_ends_what_is_in_it(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "sleep")
        bench.wait_until_it_says(attempt, "ready")
        child = bench.engine._live[attempt].child
        assert child.job is not None
        child.job.close()
        bench.wait_until(lambda: child.has_ended())
        child.job = None


def test_without_a_job_the_tree_is_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.Job, "take", lambda self, handle: False)
    with Bench(tmp_path) as bench:
        attempt = bench.misbehave("u", "keep_child")
        bench.wait_until_it_says(attempt, "ready")
        bench.engine.kill(attempt)
        bench.wait_for(attempt)

        assert not is_alive(bench.pid_it_said(attempt))


def test_a_stop_is_a_break_that_python_can_catch(tmp_path: Path) -> None:
    code = (
        "import signal, sys; from time import sleep;"
        "signal.signal(signal.SIGBREAK, lambda *_: sys.exit(3));"
        "print('ready', flush=True)\nwhile True: sleep(0.1)"
    )
    with Bench(tmp_path) as bench:
        attempt = bench.start("u", (sys.executable, "-c", code))
        bench.wait_until_it_says(attempt, "ready")
        bench.stop(attempt)

        assert bench.wait_for(attempt).exit == Exited(3)


def test_environment_names_are_compared_without_case(tmp_path: Path) -> None:
    with Bench(tmp_path, environment={"SOME_NAME": "inherited"}) as bench:
        code = "import os; print(os.environ['SOME_NAME'])"
        attempt = bench.start("u", (sys.executable, "-c", code), env={"Some_Name": "declared"})
        bench.wait_for(attempt)

        assert bench.output(attempt).strip() == "declared"


@pytest.mark.parametrize(
    ("argv", "settings", "words"),
    [
        (("no-such-program",), {}, "was not found on PATH"),
        (("C:\\no\\such.exe",), {}, "does not exist"),
        (("text.exe",), {"cwd": "."}, "was not found on PATH"),
        ((sys.executable,), {"cwd": "C:\\no\\such"}, "working folder"),
        ((sys.executable, "a\0b"), {}, "NUL"),
    ],
)
def test_what_cannot_be_started_says_why(
    tmp_path: Path, argv: "tuple[str, ...]", settings: "dict[str, str]", words: str
) -> None:
    with Bench(tmp_path) as bench:
        end = bench.wait_for(bench.start("u", argv, **settings))

        assert isinstance(end.exit, NotStarted)
        assert words in end.exit.reason
        assert not os.path.exists(bench.log_paths(end.attempt, "s")[0])

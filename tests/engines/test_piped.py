"""The engine behind a pipe: what travels, what its process is given, and what its death means."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator, List

import psutil
import pytest

from procsup.attempt.context import RunContext
from procsup.core.events import Ended, Inspected, Started, Stop
from procsup.core.outcome import AttemptId, Exited, NotStarted, Signaled, StopReason, Vanished
from procsup.core.spec import OutputSpec
from procsup.engines import piped
from procsup.engines.piped import PipedEngine
from procsup.engines.wire import ORDERS, SAID, SETTINGS, Failed
from procsup.errors import RecordError
from tests.support.engines import LIMIT_S, PipedBench, RealClock, is_alive

posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and sessions are POSIX")
ROOT = Path(__file__).resolve().parents[2]
ECHO = (sys.executable, "-S", "-c", "import os, sys; print(ascii(sys.argv[1:]), os.getcwdb())")
DIED = Vanished("the process that ran it died")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipedBench]:
    with PipedBench(tmp_path) as one:
        yield one
    assert not one.engine._live


def served_by(bench: PipedBench) -> psutil.Process:
    """Return the process that runs the bench's units, as soon as it is there."""
    guard = psutil.Process(bench.engine._far.pid)
    (child,) = bench.wait_until(guard.children)
    assert isinstance(child, psutil.Process)
    return child


# --- what travels ----------------------------------------------------------------------------


def test_arguments_arrive_as_they_were_whatever_they_hold(bench: PipedBench) -> None:
    odd = b"caf\xe9\xff".decode("utf-8", "surrogateescape")
    arguments = ("", "a\nb", odd, "naïve 部 \U0001f600", *("x" * 10_000 for _ in range(100)))
    (bench.folder / odd).mkdir()
    attempt = bench.start(odd, (*ECHO, *arguments), cwd=str(bench.folder / odd))

    assert Exited(0) == bench.wait_for(attempt).exit
    assert bench.output(attempt).startswith(ascii(list(arguments)))
    assert repr(os.fsencode(odd))[2:-1] in bench.output(attempt)


@posix_only
def test_units_inherit_the_environment_that_the_process_was_started_with(tmp_path: Path) -> None:
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    environment = {"PLAIN": "1", "ODD": odd, "LC_CTYPE": "C"}
    with PipedBench(tmp_path, environment=environment) as bench:
        argv = ("sh", "-c", 'printf "%s." "$PLAIN" "$ODD" "$OWN" "$LC_CTYPE"')
        attempt = bench.start("u", argv, env={"OWN": "2"})
        bench.wait_for(attempt)

    assert Path(bench.log_paths(attempt, "s")[0]).read_bytes() == b"1.\xff\xfe.2.C."


class NoFar:
    """Stands in for the other process: keeps what it is told, says what the test says."""

    pid = 4711

    def __init__(self, entry: str, environment: Any) -> None:
        self.environment = environment
        self.told: List[bytes] = []
        self.said: List[bytes] = []
        self.is_over = False

    def listen(self, wake: Any) -> None:
        self.wake = wake

    def tell(self, lines: bytes) -> None:
        self.told += lines.splitlines()

    def take(self) -> List[bytes]:
        said, self.said = self.said, []
        return said

    def finish(self) -> None:
        self.is_over = True
        self.wake()

    def close(self, *, timeout_s: float) -> None:
        """There is nothing to release."""


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PipedBench]:
    monkeypatch.setattr(piped, "WireProcess", NoFar)
    with PipedBench(tmp_path, environment={"TOKEN": "hush-8d5c", "PLAIN": "loud-77a1"}) as bench:
        bench.stage = type(bench.stage)("s", secrets=("TOKEN",))
        yield bench


def say(bench: PipedBench, *facts: Any) -> None:
    bench.engine._far.said += [SAID.encode(fact) for fact in facts]


def test_of_what_is_inherited_only_the_names_of_secrets_are_in_the_lines(
    alone: PipedBench,
) -> None:
    attempt = alone.start("u", ("true",), env={"DECLARED": "known"})
    alone.engine.stop(Stop(attempt, StopReason.USER, 1.0))
    alone.engine.kill(attempt)

    far = alone.engine._far
    assert far.environment["TOKEN"] == "hush-8d5c"
    lines = b"\n".join(far.told)
    assert b"TOKEN" in lines
    assert b"known" in lines
    for value in set(alone.environment.values()) - {"", "0", "1", "/", "s"}:
        # Paths of this very test are in the environment of some test runners, too.
        if len(value) > 8 and value not in str(alone.folder):
            assert os.fsencode(value) not in lines
    assert SETTINGS.decode(far.told[0]).run_dir == str(alone.run_dir)
    assert [ORDERS.decode(line).attempt for line in far.told[1:]] == [attempt] * 3


# --- its end ---------------------------------------------------------------------------------


def test_what_was_not_told_when_the_process_died_is_unknown_and_never_good(
    alone: PipedBench,
) -> None:
    running, good, inspected, bad = (alone.start(name, ("true",)) for name in "abcd")
    say(
        alone,
        Started(running, 5, 6.0),
        Ended(good, Exited(0), 7.0),
        Ended(inspected, Exited(0), 7.0),
        Inspected(inspected),
        Ended(bad, Exited(1), 7.0),
    )
    alone.facts += alone.engine.wait(time.monotonic())
    alone.engine._far.is_over = True
    facts = alone.engine.wait(time.monotonic() + LIMIT_S)

    (end,) = (fact for fact in facts if isinstance(fact, Ended))
    assert (end.attempt, end.exit, end.pid, end.started) == (running, DIED, 5, 6.0)
    (found,) = (fact for fact in facts if isinstance(fact, Inspected))
    assert found.attempt == good
    assert "died" in found.problem

    late = alone.start("late", ("true",))
    (end,) = alone.engine.wait(time.monotonic() + LIMIT_S)
    assert isinstance(end.exit, NotStarted)
    assert not end.exit.passing
    alone.engine.kill(late)
    assert alone.engine.wait(time.monotonic()) == []


def test_what_is_wrong_with_the_run_directory_is_raised_here(alone: PipedBench) -> None:
    say(alone, Failed("units.lock was removed during the run"))

    with pytest.raises(RecordError, match="was removed"):
        alone.engine.wait(time.monotonic() + LIMIT_S)


def test_what_ends_while_it_is_closed_is_told(alone: PipedBench) -> None:
    attempt = alone.start("u", ("true",))
    end = Ended(attempt, Signaled(9), 7.0, stopped=True)
    say(alone, end)

    assert alone.engine.close() == [end]
    assert alone.engine.close() == []


@posix_only
def test_a_lock_that_is_gone_ends_the_engine(tmp_path: Path) -> None:
    context = RunContext(
        f"run-{tmp_path.name}",
        os.environ,
        lambda *_: ("", ""),
        tmp_path,
        units_lock_path=str(tmp_path / "units.lock"),
    )
    engine = PipedEngine(context, clock=RealClock())

    with pytest.raises(RecordError, match="was removed"):
        engine.wait(time.monotonic() + LIMIT_S)

    assert engine.close() == []


@posix_only
def test_the_end_of_its_process_ends_trees_and_is_told(bench: PipedBench) -> None:
    first = bench.misbehave("first", "keep_child")
    child = bench.pid_it_said(first)
    second = bench.misbehave("second", "ignore_term")
    bench.wait_until_it_says(second, "ready")
    served_by(bench).kill()

    ends = [bench.wait_for(attempt) for attempt in (first, second)]

    assert [end.exit for end in ends] == [DIED, DIED]
    assert [is_alive(pid) for pid in (child, *(end.pid or 0 for end in ends))] == [False] * 3


@posix_only
@pytest.mark.parametrize("signum", [15, 9])
def test_who_ends_its_guard_ends_all_of_it(bench: PipedBench, signum: int) -> None:
    attempt = bench.misbehave("u", "ignore_term")
    bench.wait_until_it_says(attempt, "ready")
    served = served_by(bench)
    os.kill(bench.engine._far.pid, signum)

    end = bench.wait_for(attempt)

    assert end.exit == DIED
    assert end.pid is not None
    assert not is_alive(end.pid)
    bench.wait_until(lambda: not is_alive(served.pid))  # it is on its way out


@posix_only
def test_closing_ends_daemons_too_and_leaves_no_process(tmp_path: Path) -> None:
    with PipedBench(tmp_path) as bench:
        attempt = bench.misbehave("u", "ignore_term")
        bench.wait_until_it_says(attempt, "ready")
        served, guard = served_by(bench).pid, bench.engine._far.pid
        facts = bench.engine.close()

    (end,) = (fact for fact in facts if isinstance(fact, Ended))
    assert end.exit == Signaled(signal.SIGKILL)
    assert end.stopped
    assert [is_alive(pid) for pid in (end.pid, served, guard)] == [False] * 3


# --- its process -----------------------------------------------------------------------------


@posix_only
def test_it_has_a_session_of_its_own_and_a_guard(bench: PipedBench) -> None:
    served, guard = served_by(bench), bench.engine._far.pid

    assert os.getsid(served.pid) == os.getsid(guard) == guard != os.getsid(0)


@posix_only
def test_the_loop_does_not_wait_for_a_process_that_does_not_read(bench: PipedBench) -> None:
    first = bench.start("first", ("true",))
    bench.wait_for(first)
    served = served_by(bench)
    served.suspend()
    try:
        orders = [bench.start(f"u{n}", (*ECHO, *["x" * 10_000] * 50)) for n in range(10)]
        bench.engine.wake()
        assert bench.engine.wait(time.monotonic() + LIMIT_S) == []
    finally:
        served.resume()

    assert [bench.wait_for(attempt).exit for attempt in orders] == [Exited(0)] * 10


def test_an_inspection_happens_where_the_outputs_were_made(bench: PipedBench) -> None:
    path = str(bench.folder / "out")
    code = f"open({path!r}, 'w').write('x')"
    argv = (sys.executable, "-S", "-c", code)
    made = bench.start("made", argv, outputs=(OutputSpec(path),))
    lacking = bench.start("lacking", (*argv[:-1], ""), outputs=(OutputSpec(f"{path}2"),))

    good, bad = (bench.wait_until(lambda a=a: bench.inspection_of(a)) for a in (made, lacking))

    assert (good.problem, [reading.path for reading in good.outputs]) == ("", [path])
    assert "was not made" in bad.problem


def test_it_loads_only_what_it_needs() -> None:
    code = "import sys, procsup.engines.serve; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=str(ROOT), stdout=subprocess.PIPE, check=True, text=True
    )

    modules = set(done.stdout.split())
    above = ("runfile", "console", "report", "api", "cli", "aio", "loop", "core.plan.reactor")
    unwanted = {"click", "rich", "tomli", "tomllib", *(f"procsup.{part}" for part in above)}
    assert unwanted & modules == set()
    assert AttemptId.__module__ in modules

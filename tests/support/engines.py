"""A scripted engine with a hand-turned clock, and what tests of real engines share."""

import os
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from procsup.attempt.context import RunContext
from procsup.core.events import Ended, Fact, Inspected, Start, Started, Stop
from procsup.core.outcome import AttemptId, Exit, Exited, NotStarted, Signaled, StopReason
from procsup.core.slots import make_placement
from procsup.core.spec import RunSpec, StageSpec, UnitSpec
from procsup.core.task import Task, make_rules
from procsup.engines.local import LocalEngine
from procsup.engines.piped import PipedEngine
from procsup.host import marks
from procsup.store.rundir import RunDir

PROGRAM = str(Path(__file__).parent / "programs" / "misbehave.py")
LIMIT_S = 20.0


class HandClock:
    """Time that passes only when the test says so."""

    def __init__(self, now: float = 0.0) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_700_000_000.0 + self.time

    def turn(self, seconds: float) -> None:
        self.time += seconds


class RealClock:
    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class Script:
    """What a scripted attempt does: end by itself after a while, or when it is asked to."""

    def __init__(
        self,
        exit_: Exit = Exited(0),  # noqa: B008
        *,
        after_s: Optional[float] = 0.0,
        heeds_stop: bool = True,
    ) -> None:
        self.exit = exit_
        self.after_s = after_s  # None: never by itself
        self.heeds_stop = heeds_stop


class ScriptedEngine:
    """Keeps the engine's law without any process; `wait` turns the clock to the next event."""

    def __init__(self, clock: HandClock, scripts: Optional[Dict[str, Script]] = None) -> None:
        self._clock = clock
        self._scripts = scripts or {}
        self._ends: Dict[AttemptId, Tuple[Optional[float], Exit]] = {}
        self._stopped: Set[AttemptId] = set()
        self._facts: List[Fact] = []
        self._woken = False
        self.orders: List[str] = []

    def start(self, order: Start) -> None:
        self.orders.append(f"start {order.attempt}")
        script = self._scripts.get(order.attempt.unit, Script())
        now = self._clock.now()
        if isinstance(script.exit, NotStarted):
            self._facts.append(Ended(order.attempt, script.exit, self._clock.wall()))
            return
        due = None if script.after_s is None else now + script.after_s
        self._ends[order.attempt] = (due, script.exit)
        self._facts.append(Started(order.attempt, 1, self._clock.wall()))

    def stop(self, order: Stop) -> None:
        attempt, now = order.attempt, self._clock.now()
        self.orders.append(f"stop {attempt}")
        if attempt not in self._ends:
            return
        self._stopped.add(attempt)
        if self._scripts.get(attempt.unit, Script()).heeds_stop:
            self._ends[attempt] = (now, Signaled(15))
        else:
            self._ends[attempt] = (now + order.grace_s, Signaled(9))

    def kill(self, attempt: AttemptId) -> None:
        self.orders.append(f"kill {attempt}")
        if attempt in self._ends:
            self._stopped.add(attempt)
            self._ends[attempt] = (self._clock.now(), Signaled(9))

    def wait(self, until: Optional[float]) -> List[Fact]:
        if not self._facts and not self._woken:
            dues = [due for due, _ in self._ends.values() if due is not None]
            times = dues if until is None else [*dues, until]
            assert times, "nothing would ever end this wait"
            self._clock.time = max(self._clock.now(), min(times))
        self._woken = False
        for attempt, (due, exit_) in list(self._ends.items()):
            if due is not None and due <= self._clock.now():
                del self._ends[attempt]
                self._tell_end(attempt, exit_)
        facts, self._facts = self._facts, []
        return facts

    def _tell_end(self, attempt: AttemptId, exit_: Exit) -> None:
        stopped = attempt in self._stopped
        wall = self._clock.wall()
        self._facts.append(Ended(attempt, exit_, wall, started=0.0, stopped=stopped))
        if exit_ == Exited(0) and not stopped:
            self._facts.append(Inspected(attempt))

    def wake(self) -> None:
        self._woken = True

    def close(self) -> List[Fact]:
        self._ends.clear()
        return []


class Bench:
    """A real engine in a folder of its own, and short words for what tests do with it."""

    _make_engine: Any = LocalEngine

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.run_dir.mkdir(exist_ok=True)
        # Most tests are not about what is waited for: there it is ended soon.
        stage_settings = {"linger_s": 0.2, "grace_s": 1.0, **settings.pop("stage", {})}
        spec_settings = settings.pop("spec", {})
        self.environment = {**os.environ, **settings.pop("environment", {})}
        self.stage = StageSpec("s", **stage_settings)
        self.spec = RunSpec(
            "r", None, str(folder), str(self.run_dir), (self.stage,), **spec_settings
        )
        context = RunContext(
            settings.pop("run_id", f"run-{folder.name}"),
            self.environment,
            self.log_paths,
            self.run_dir,
            settings.pop("open_inherited", tuple),
            settings.pop("mark_base", marks.draw_base()),
        )
        settings.setdefault("clock", RealClock)
        settings.setdefault("sampling", False)
        self.engine: Any = self._make_engine(context, **settings)
        self.facts: List[Fact] = []

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()

    def log_paths(self, attempt: AttemptId, stage: str) -> Tuple[str, str]:
        base = self.run_dir / "logs" / stage
        name = f"{attempt.unit.replace('/', '_')}.{attempt.number}"
        return str(base / f"{name}.out"), str(base / f"{name}.err")

    def order(self, name: str, argv: Tuple[str, ...], **settings: Any) -> Start:
        number = settings.pop("number", 1)
        cpu_ids = settings.pop("cpu_ids", ())
        cpus = settings.pop("cpus", 1.0)
        memory_bytes = settings.pop("memory_bytes", None)
        settings.setdefault("cwd", str(self.folder))
        unit = UnitSpec(name, "s", settings.pop("index", 0), argv, fingerprint="f", **settings)
        placement = make_placement("here", cpus, memory_bytes, cpu_ids)
        rules = make_rules(self.spec, self.stage)
        return Start(Task(AttemptId(name, number), unit, placement, rules))

    def start(self, name: str, argv: Tuple[str, ...], **settings: Any) -> AttemptId:
        order = self.order(name, argv, **settings)
        self.engine.start(order)
        return order.attempt

    def stop(self, attempt: AttemptId, *, grace_s: float = 60.0, dump: bool = False) -> None:
        self.engine.stop(Stop(attempt, StopReason.USER, grace_s, dump))

    def kill(self, attempt: AttemptId) -> None:
        self.engine.kill(attempt)

    def misbehave(self, name: str, *how: str, **settings: Any) -> AttemptId:
        return self.start(name, (sys.executable, PROGRAM, *how), **settings)

    def wait_for(self, attempt: AttemptId) -> Ended:
        """Wait until this attempt has ended, within a limit."""
        found = self.wait_until(lambda: self.end_of(attempt))
        assert isinstance(found, Ended)
        return found

    def end_of(self, attempt: AttemptId) -> Optional[Ended]:
        for fact in self.facts:
            if isinstance(fact, Ended) and fact.attempt == attempt:
                return fact
        return None

    def inspection_of(self, attempt: AttemptId) -> Optional[Inspected]:
        for fact in self.facts:
            if isinstance(fact, Inspected) and fact.attempt == attempt:
                return fact
        return None

    def wait_until(self, happened: Callable[[], Any]) -> Any:
        limit = time.monotonic() + LIMIT_S
        while True:
            found = happened()
            if found:
                return found
            assert time.monotonic() < limit, f"nothing of that within {LIMIT_S} s"
            self.facts += self.engine.wait(min(limit, time.monotonic() + 0.01))

    def output(self, attempt: AttemptId) -> str:
        path = Path(self.log_paths(attempt, "s")[0])
        return path.read_text() if path.exists() else ""

    def errors(self, attempt: AttemptId) -> str:
        return Path(self.log_paths(attempt, "s")[1]).read_text()

    def wait_until_it_says(self, attempt: AttemptId, word: str) -> None:
        self.wait_until(lambda: word in self.output(attempt))

    def pid_it_said(self, attempt: AttemptId) -> int:
        return int(self.wait_until(lambda: first_number(self.output(attempt))))


class PipedBench(Bench):
    """The same with a local engine behind a pipe, which names logs by itself."""

    _make_engine = PipedEngine

    def log_paths(self, attempt: AttemptId, stage: str) -> Tuple[str, str]:
        return RunDir(self.run_dir).make_log_paths(attempt, stage)


def first_number(text: str) -> Optional[int]:
    lines = [line for line in text.splitlines(keepends=True) if line.strip().isdigit()]
    return int(lines[0]) if lines and lines[0].endswith("\n") else None


def is_alive(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

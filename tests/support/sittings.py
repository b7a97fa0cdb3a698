"""A run directory whose supervisor is played by the test: it begins, publishes, closes or dies."""

import threading
from pathlib import Path
from typing import Any, Callable, List, Optional

from procsup.core.events import UnitResult
from procsup.core.manifest import StageCounts
from procsup.core.outcome import Exited, Reading, Verdict
from procsup.core.records import (
    JOURNAL_VERSION,
    Begin,
    Closed,
    End,
    Launch,
    Planned,
    Record,
    RunFinal,
    Spawned,
)
from procsup.core.spec import RunSpec, StageSpec, UnitSpec
from procsup.host.birth import read_born_ns
from procsup.host.files import read_file_id
from procsup.store.journal import JournalWriter
from procsup.store.manifest import ManifestPublisher
from procsup.store.rundir import RunDir
from procsup.store.sitting import Sitting

WALL = 1_700_000_000.0
LIMIT_S = 30.0


class Supervised:
    """A run ``demo`` of the stages ``s`` and ``t`` in a folder; one sitting at a time."""

    def __init__(self, folder: Path, *, stamp: Optional[str] = None) -> None:
        self.folder = folder
        self.stamp = stamp
        self.rundir = RunDir(folder / ".procsup" / "demo")
        self.sitting: Optional[Sitting] = None
        self.journal: Optional[JournalWriter] = None
        self.publisher: Optional[ManifestPublisher] = None
        self.run_id = ""
        self.begun: Optional[Begin] = None

    def begin(
        self, run_id: str = "r1", sitting: int = 1, at: float = WALL, *, share: str = "none"
    ) -> "Supervised":
        """A supervisor has begun its sitting; old manifests still lie there."""
        self.rundir.create(share)
        self.run_id = run_id
        self.sitting = Sitting.open(self.rundir, share=share, at=at)
        self.journal = JournalWriter.open(
            self.rundir.journal, on_synced=lambda: None, folder=self.sitting.folder
        )
        fd = self.sitting.folder.fd
        begin = self.begun = Begin(
            version=JOURNAL_VERSION,
            run_id=run_id,
            sitting=sitting,
            name="demo",
            at=at,
            host=self.sitting.owner.host,
            boot_id=self.sitting.owner.boot_id,
            pid=self.sitting.owner.pid,
            procsup="0",
            python="3",
            platform="p",
            run_file=None,
            resumed=sitting > 1,
            journal=read_file_id(self.rundir.journal, dir_fd=fd),
            born_ns=read_born_ns(self.rundir.journal, dir_fd=fd),
        )
        self.journal.append([begin])
        spec = RunSpec(
            "demo",
            None,
            str(self.folder),
            str(self.rundir.path),
            (StageSpec("s"), StageSpec("t")),
            stamp=self.stamp,
        )
        self.publisher = ManifestPublisher(
            self.rundir, spec, begin, self.journal, self.sitting, started=at, wall=lambda: at + 60
        )
        self.sitting.begin(sitting, run_id, ["s", "t"])
        return self

    def write(self, *records: Record) -> "Supervised":
        assert self.journal is not None
        self.journal.append(list(records))
        self.journal.sync()
        return self

    def withdraw(self) -> None:
        assert self.publisher is not None
        self.publisher.withdraw(["s", "t"])

    def publish_stage(self, *results: UnitResult, status: str = "succeeded") -> None:
        assert self.publisher is not None
        self.publisher.publish_stage("s", counts_of(results, status), iter(results))

    def publish(self, *results: UnitResult, status: str = "succeeded") -> "Supervised":
        """The run is final; its supervisor closes."""
        assert self.publisher is not None
        self.write(RunFinal(self.run_id, status, WALL))
        self.publisher.publish_run(status, [("s", counts_of(results, status))], iter(results))
        return self.leave()

    def close(self, reason: str) -> None:
        """The sitting ends before the run is final, by its own decision."""
        self.write(Closed(WALL, reason)).leave()

    def leave(self) -> "Supervised":
        try:
            if self.journal is not None:
                self.journal.close()
        finally:
            if self.sitting is not None:
                self.sitting.close()
        return self

    def die(self) -> None:
        """What the kernel does for a supervisor that was killed: its locks are free, no more."""
        assert self.sitting is not None
        assert self.journal is not None
        self.journal.close()
        for stage in ("s", "t", None):
            self.sitting._let_go(stage)
        self.sitting.units_lock.close()
        self.sitting._lock.close()
        self.sitting.folder.close()


def counts_of(results: "tuple[UnitResult, ...]", status: str) -> StageCounts:
    well = sum(1 for result in results if result.ends[-1].verdict is Verdict.SUCCEEDED)
    return StageCounts(status, len(results), succeeded=well, failed=len(results) - well)


def end(unit: str, attempt: int = 1, code: int = 0, **more: Any) -> End:
    verdict = Verdict.FAILED if code else Verdict.SUCCEEDED
    cause = f"exit {code}" if code else ""
    more.setdefault("exit", Exited(code))
    return End(unit, attempt, verdict, WALL + 2, started=WALL, wall_s=2.0, cause=cause, **more)


def result(number: int, *outputs: Path, code: int = 0) -> UnitResult:
    unit = UnitSpec(f"s/x={number}", "s", number, ("true",), "w", "f", parameters={"x": number})
    readings = tuple(
        Reading(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in outputs
    )
    return UnitResult(unit, (end(unit.id, code=code, outputs=readings),))


def plan(*units: str) -> Planned:
    return Planned("s", list(units))


def started(unit: str, attempt: int = 1, pid: int = 4242) -> "List[Record]":
    return [Launch(unit, attempt, WALL, "f"), Spawned(unit, attempt, pid, WALL)]


class Meanwhile:
    """Runs something on a thread; `result` gives what it returned or raises what it raised."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._value: Any = None
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001  raised again by `result`
            self._error = error

    def result(self) -> Any:
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error
        return self._value

"""What the tests of the store build again and again."""

import os
from pathlib import Path
from typing import Any, List, Optional

from procsup.core.events import UnitResult
from procsup.core.making import MadeColumns
from procsup.core.outcome import (
    Affinity,
    Exited,
    NotStarted,
    Reading,
    Signaled,
    StopReason,
    Usage,
    Vanished,
    Verdict,
)
from procsup.core.records import (
    JOURNAL_VERSION,
    Begin,
    Closed,
    ControlReply,
    End,
    Kept,
    Launch,
    Planned,
    Record,
    Refused,
    RunFinal,
    Seen,
    Spawned,
    StageFinal,
    Withdrawn,
)
from procsup.core.spec import RunSpec, StageSpec, UnitSpec
from procsup.store.journal import JournalWriter, ReadJournal, read_journal
from procsup.store.rundir import RunDir

PROGRAMS = Path(__file__).resolve().parent.parent / "support" / "programs"
ROOT = PROGRAMS.parent.parent.parent
WALL = 1_700_000_000.0


def environment() -> "dict[str, str]":
    """The environment in which test programs find the package."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def begin(run_id: str = "r1", sitting: int = 1, **changes: Any) -> Begin:
    fields = {
        "version": JOURNAL_VERSION,
        "run_id": run_id,
        "sitting": sitting,
        "name": "demo",
        "at": WALL,
        "host": "here",
        "boot_id": "b",
        "pid": 10,
        "procsup": "0.1",
        "python": "3.8.0",
        "platform": "linux",
        "run_file": None,
        "resumed": False,
        **changes,
    }
    return Begin(**fields)


def end(unit: str, attempt: int = 1, verdict: Verdict = Verdict.SUCCEEDED, **more: Any) -> End:
    return End(unit, attempt, verdict, WALL + 2, exit=Exited(0), started=WALL, **more)


def records(units: int = 5) -> List[Record]:
    """A small run from its beginning to its end, with two kinds of records per unit."""
    names = [f"s/{number}" for number in range(units)]
    body: List[Record] = [begin(), Planned("s", names), Withdrawn(["s"])]
    for name in names:
        body += [Launch(name, 1, WALL, "f"), end(name)]
    return [
        *body,
        StageFinal("s", "succeeded", {"planned": units}),
        RunFinal("r1", "succeeded", WALL),
    ]


def every_record() -> List[Record]:
    """One record of each type and of each shape within: what journal-1.jsonl holds for ever.

    Fields that come later have defaults, and are tested elsewhere.
    """
    usage = Usage(
        cpu_user_s=1.5,
        cpu_system_s=0.25,
        peak_memory_bytes=1 << 20,
        peak_memory_source="sampled",
        peak_processes=3,
        samples=7,
        sample_interval_s=1.0,
        leftovers=1,
        affinity=Affinity([0, 1], [0, 1, 2], ((0.5, [2]),)),
    )
    full = End(
        "s/x=1",
        2,
        Verdict.TIMED_OUT,
        WALL + 3.5,
        final=False,
        counts=False,
        exit=Signaled(9),
        stopped_for=StopReason.DEADLINE,
        cause="ran longer than 10 s",
        started=WALL + 1,
        wall_s=2.5,
        pid=77,
        host="here",
        cpus=2.0,
        memory_bytes=1 << 30,
        usage=usage,
        stdout_path="logs/s/x=1.2.out",
        stderr_path="logs/s/x=1.2.err",
        outputs=(Reading("/o/a", 3, 4, "ab"), Reading("/o/b", 0, 5)),
        inputs=(Reading("/i/a", 1, 2),),
        fingerprint="f00",
        program="beef",
        same_as=3,
    )
    return [
        begin(
            version=1,
            run_file="/r/a.toml",
            resumed=True,
            fresh=True,
            variables={"a": 1, "b": [True]},
        ),
        Planned("s", ["s/x=1", "s/x=\u00e9"], last=False),
        Planned("t", [], problem="no input"),
        Kept("s", ["s/x=0"], stale=True),
        Withdrawn(["s", "t"]),
        Launch("s/x=1", 2, WALL, "f00", cpus=2.0, cpu_ids=(0, 1), memory_bytes=5),
        Launch("s/x=2", 1, WALL, "f01"),
        Spawned("s/x=1", 2, 77, WALL),
        full,
        End("s/x=2", 1, Verdict.NOT_STARTED, WALL, exit=NotStarted("no memory", True)),
        End("s/x=3", 1, Verdict.LOST, WALL, exit=Vanished("reaped by somebody else")),
        End("s/x=4", 0, Verdict.SKIPPED, WALL, cause="s/x=1 did not succeed"),
        End("s/\udcff\x00\ud800", 1, Verdict.SUCCEEDED, WALL, exit=Exited(0)),
        StageFinal("s", "failed", {"planned": 5, "timed-out": 1}),
        RunFinal("r1", "failed", WALL + 9),
        ControlReply("1-a-2", "drain", True),
        ControlReply("1-a-3", "stop", False, "nothing runs"),
        Closed(WALL + 9, "interrupted by signal 2"),
    ]


def records_of_version_2() -> List[Record]:
    """What version 2 has beyond the first: what journal-2.jsonl holds for ever."""
    remark = "sleep (pid 5) kept the log open and was ended after 10 s"
    return [
        begin(
            version=2,
            thread_caps={"OMP_NUM_THREADS": "procsup", "GOMAXPROCS": "environment"},
            mark_base=(1 << 52) + (7 << 20),
            pid_namespace="pid:[4026531836]",
            journal="fe01:2a",
        ),
        Planned("s", ["s/x=1"]),
        Launch("s/x=1", 1, WALL, "f00"),
        Refused("s/x=1", 1, WALL, "the system is short of something"),
        Launch("s/x=1", 1, WALL + 1, "f00"),
        Spawned("s/x=1", 1, 77, WALL + 1, (10.01, 10.03), (1 << 52) + (7 << 20) + 1),
        end("s/x=1", linger_s=10.25, remarks=(remark,), threads=2),
        StageFinal("s", "succeeded", {"succeeded": 1}),
        RunFinal("r1", "succeeded", WALL + 9),
    ]


def write(path: Path, body: List[Record], **seams: Any) -> None:
    """Write a journal, synced and closed."""
    with JournalWriter.open(path, on_synced=lambda: None, **seams) as writer:
        writer.append(body)


def read(path: Path) -> "tuple[List[Record], ReadJournal]":
    journal = read_journal(path)
    return [entry.record for entry in journal], journal


def spec(rundir: RunDir, **changes: Any) -> RunSpec:
    stages = (StageSpec("s", stamp=changes.pop("stage_stamp", None)), StageSpec("t"))
    folder = str(rundir.path.parent)
    return RunSpec("demo", None, folder, str(rundir.path), stages, **changes)


def result(number: int, unit_id: Optional[str] = None, **changes: Any) -> UnitResult:
    name = unit_id or f"s/x={number}"
    unit = UnitSpec(name, "s", number, ("true",), "/w", "f00", **changes)
    return UnitResult(unit, (end(name, outputs=(Reading(f"/o/{number}", 3, 4),)),))


def records_of_version_3() -> List[Record]:
    """Return the records that version 3 added; journal-3.jsonl must keep them."""
    files = (Reading("o/a", 3, 4, "ab", 5, 6), Reading("/x", 3, 4, None, 5, 6, "../l", True))
    made = MadeColumns([["x"], ["1", "2"]], {"n": ["1", "2"]}, {"LANG": ["6b23c0d5", None]})
    return [
        begin(
            version=3,
            run_file="/r/a.toml",
            root="../..",
            capacity={"cpus": 2.0, "memory": 1 << 30},
            jobs=4,
            selected=("s",),
        ),
        Planned("s", ["s/n=1", "s/n=2"], open=True, made=made),
        Launch(
            "s/n=1",
            1,
            WALL,
            "f00",
            host="h",
            agent="a",
            slot=2,
            amounts={"cpus": 1.5, "memory": 1 << 30, "licence": 1},
            indices={"cpus": (0, 1), "gpus": (3,)},
        ),
        Spawned("s/n=1", 1, 77, WALL, (10.01, 10.03), 9, "b007", "job-12"),
        End("s/n=1", 1, Verdict.SUCCEEDED, WALL, exit=Exited(0), outputs=files, inputs=files),
        Seen("s/n=1", files),
        End(
            "s/n=2",
            1,
            Verdict.SUCCEEDED,
            WALL,
            exit=Exited(0),
            stdout_path="logs/s.log",
            stderr_path="logs/s.log",
            stdout_part=(4, 10),
            stderr_part=(14, 0),
        ),
    ]

"""Kinds of runs, recorded: each a folder, the calls of all its sittings, and what was told."""

import os
import random
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple
from unittest import mock

from procsup.core.events import Settled, Start
from procsup.engines.local import LocalEngine
from procsup.errors import RecordError
from procsup.store.manifest import ManifestPublisher
from procsup.store.sitting import Sitting
from procsup.supervisor.requests import Request
from procsup.supervisor.session import bring_to_completion
from tests.faults.power_cuts.disk import State, replay
from tests.faults.power_cuts.recording import Op, Recorder, full_disk

_PLAIN = """
name = "run"
jobs = 2
stamp = "told/done.stamp"
manifest = "told/manifest.json"
[stage.make]
command = ["sh", "-c", "echo {n} > {outputs[0]}"]
matrix.n = ["a", "b"]
outputs = ["out/{n}.txt"]
stamp = "make.stamp"
[stage.use]
for-each = "make"
command = ["cp", "{make.outputs[0]}", "{outputs[0]}"]
inputs = ["{make.outputs[0]}"]
outputs = ["use/{n}.txt"]
[stage.last]
after = ["use"]
command = ["true"]
"""
# Nothing is told beside the run directory: no folder there is synced for the sake of a stamp.
_BARE = "\n".join(
    line for line in _PLAIN.splitlines() if "told/" not in line and "stamp" not in line
)
_RETRIED = """
name = "run"
jobs = 2
manifest = "manifest.json"
[stage.work]
shell = "test $PROCSUP_ATTEMPT -ge {n} && echo {n} > {outputs[0]}"
matrix.n = [1, 2, 1000]
outputs = ["{n}.txt"]
retries = 1
[stage.after]
after = [{ stage = "work", when = "finished" }]
command = ["true"]
"""
_MANY = """
name = "run"
jobs = 2
[stage.many]
command = ["true"]
matrix.n.range = "1..40"
"""
_SLOW = """
name = "run"
jobs = 2
stamp = "stamp"
[stage.work]
command = ["sh", "-c", "echo {n} > {outputs[0]}; sleep {s}"]
zip.n = [1, 2, 3]
zip.s = [0, 0, 0.3]
outputs = ["{n}.txt"]
"""
_LATE = """
name = "run"
jobs = 2
[stage.make]
command = ["sh", "-c", "mkdir -p parts; echo a > parts/a; echo b > parts/b"]
outputs = ["parts/"]
[stage.late]
after = ["make"]
matrix.part.glob = "parts/{n:*}"
command = ["cp", "{part}", "{outputs[0]}"]
outputs = ["late/{n}.txt"]
stamp = "late.stamp"
"""


class Recording(NamedTuple):
    """A workload: its folder, the calls, and the verdicts that an undisturbed run ends with."""

    name: str
    folder: Path
    request: Request
    ops: List[Op]
    verdicts: Dict[str, str]


class Watcher:
    """Sees what a person would see."""

    def __init__(self, note: Callable[..., None], on_settled: Callable[[int], None]) -> None:
        self._note, self._on_settled = note, on_settled
        self._count = 0

    def note_start(self, order: Start) -> None:
        """Say nothing."""

    def note_end(self, order: Settled) -> None:
        """An end was told."""
        self._note("settled", order.end)
        self._count += 1
        self._on_settled(self._count)

    def show(self, summary: Any) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""


class Course:
    """A folder with a run file, in which sittings are recorded one after another."""

    def __init__(self, name: str, folder: Path, text: str, ends: Dict[str, str]) -> None:
        folder.mkdir(parents=True)
        (folder / "run.toml").write_text(text)
        self.name, self.folder, self.ends = name, folder.resolve(), ends
        # A killed course is written as new files, which procsup takes for a copy.
        self.request = Request(file=str(self.folder / "run.toml"), adopt=True)
        self.ops: List[Op] = []
        self._names: Dict[str, int] = {}

    def sit(
        self,
        *,
        spoil: Optional[Callable[[str, bytes], int]] = None,
        on_settled: Callable[[int], None] = lambda _count: None,
        **changes: Any,
    ) -> "Course":
        """Record one sitting, to its own end."""
        recorder = Recorder(self.folder, self.ops, self._names)
        recorder.spoil = spoil
        fields = {**{f: getattr(self.request, f) for f in Request.__struct_fields__}, **changes}
        recorder.event("sitting")
        with recorder.recording(), _told(recorder):
            try:
                ending = bring_to_completion(
                    Request(**fields), watchers=lambda _: Watcher(recorder.event, on_settled)
                )
                recorder.event("ended", ending.status)
            except RecordError as error:
                recorder.event("refused", str(error))
        self._names = dict(recorder._names)
        return self

    def killed(self, dice: random.Random, share: Tuple[float, float] = (0.2, 0.95)) -> "Course":
        """Forget the end of what was recorded: the supervisor was killed at some call."""
        began = max(at for at, op in enumerate(self.ops) if op.event == ("sitting",))
        length = len(self.ops) - began
        return self.killed_at(began + int(length * dice.uniform(*share)))

    def killed_at(self, at: int) -> "Course":
        """Forget all after so many calls."""
        del self.ops[at:]
        state = replay(str(self.folder), self.ops).whole()
        self._names = {name: file for name, (file, _) in state.files.items()}
        self.ops.append(Op("event", event=("killed",)))
        lay_out(self.folder, state, stamps_of(self.ops))
        return self

    def done(self) -> Recording:
        """Return all of it."""
        return Recording(self.name, self.folder, self.request, self.ops, self.ends)


@contextmanager
def _told(recorder: Recorder) -> Iterator[None]:
    """Have starts, withdrawals and what wakes waiters noted, too."""

    def noted(kind: Any, name: str, before: str, after: str = "") -> Any:
        real = getattr(kind, name)

        def call(self: Any, *args: Any, **more: Any) -> Any:
            recorder.event(before, *args) if before else None
            result = real(self, *args, **more)
            recorder.event(after, *args) if after else None
            return result

        return mock.patch.object(kind, name, call)

    with noted(LocalEngine, "start", "start"), noted(
        ManifestPublisher, "withdraw", "withdraw", "withdrawn"
    ), noted(Sitting, "begin", "begin"), noted(Sitting, "release_stage", "stage done"), noted(
        Sitting, "release_run", "run done"
    ):
        yield


def lay_out(folder: Path, state: State, stamps: Dict[str, int]) -> None:
    """Put a folder on the disk as a state has it; the run file stays."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(str(entry))
        elif entry.name != "run.toml":
            entry.unlink()
    for name in sorted(state.folders):
        os.makedirs(name, exist_ok=True)
    for name, (_, data) in state.files.items():
        Path(name).write_bytes(data)
        if name in stamps:
            os.utime(name, ns=(stamps[name], stamps[name]))


def stamps_of(ops: List[Op]) -> Dict[str, int]:
    """Return when each file of a unit was written, as its record says."""
    return {op.event[1]: op.event[3] for op in ops if op.event[:1] == ("made",)}


# --- the workloads -----------------------------------------------------------------------------

_WELL = {"make/n=a": "succeeded", "make/n=b": "succeeded", "use/n=a": "succeeded",
         "use/n=b": "succeeded", "last": "succeeded"}  # fmt: skip


def fresh(folder: Path, _dice: random.Random) -> Course:
    """Everything for the first time."""
    return Course("fresh", folder, _PLAIN, _WELL).sit()


def retry(folder: Path, _dice: random.Random) -> Course:
    """Retries within, then a retry by hand: a failed run's manifests are withdrawn."""
    ends = {"work/n=1": "succeeded", "work/n=2": "succeeded", "work/n=1000": "failed",
            "after": "succeeded"}  # fmt: skip
    return Course("retry", folder, _RETRIED, ends).sit().sit(again=())


def resume(folder: Path, dice: random.Random) -> Course:
    """Killed once, and resumed."""
    return Course("resume", folder, _PLAIN, _WELL).sit().killed(dice).sit()


def resume_of_a_resume(folder: Path, dice: random.Random) -> Course:
    """Killed when the folders of outputs were just made, and again later."""
    course = Course("resume of a resume", folder, _BARE, _WELL).sit()
    made = [at for at, op in enumerate(course.ops, 1) if op.kind == "mkdir"]
    return course.killed_at(made[-1]).sit().killed(dice).sit()


def disk_full(folder: Path, _dice: random.Random) -> Course:
    """The disk is full for a moment, then for good; then there is room."""
    course = Course("disk full", folder, _PLAIN, _WELL).sit(spoil=full_disk(4, passing=True))
    return course.sit(fresh=True, spoil=full_disk(5, passing=False)).sit()


def many_units(folder: Path, _dice: random.Random) -> Course:
    """Forty units that leave nothing but their records."""
    ends = {f"many/n={n}": "succeeded" for n in range(1, 41)}
    return Course("many units", folder, _MANY, ends).sit()


def interrupted(folder: Path, _dice: random.Random) -> Course:
    """Ctrl-C in the middle, and resumed."""

    def press(count: int) -> None:
        if count == 2:
            os.kill(os.getpid(), signal.SIGINT)

    ends = {f"work/n={n},s={s}": "succeeded" for n, s in ((1, "0"), (2, "0"), (3, "0.3"))}
    return Course("interrupted", folder, _SLOW, ends).sit(on_settled=press).sit()


def late_expansion(folder: Path, _dice: random.Random) -> Course:
    """Units that are known only when the stage before has made their files; then all anew."""
    ends = {"make": "succeeded", "late/n=a": "succeeded", "late/n=b": "succeeded"}
    return Course("late expansion", folder, _LATE, ends).sit().sit(fresh=True)


WORKLOADS: Tuple[Callable[[Path, random.Random], Course], ...] = (
    fresh,
    retry,
    resume,
    resume_of_a_resume,
    disk_full,
    many_units,
    interrupted,
    late_expansion,
)


def again(folder: Path, _dice: random.Random) -> Course:
    """A finished run from the beginning: all that told of it is withdrawn."""
    return Course("again", folder, _PLAIN, _WELL).sit().sit(fresh=True)

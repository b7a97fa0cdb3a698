"""The end of an attempt: the system's exit status (`Exit`) and our conclusion (`Verdict`)."""

from enum import Enum
from typing import List, NamedTuple, Optional, Tuple, Union

from msgspec import Struct


class AttemptId(NamedTuple):
    """One try at a unit. A number is never used twice for the same unit, over all runs."""

    unit: str
    number: int

    def __str__(self) -> str:
        return f"{self.unit}#{self.number}"


class Exited(Struct, frozen=True, tag="exited", tag_field="kind"):
    """The main process called exit; `code` is 0 to 255 (Windows: 0 to 2**32 - 1)."""

    code: int


class Signaled(Struct, frozen=True, tag="signaled", tag_field="kind"):
    """The main process was ended by a signal."""

    signum: int


class NotStarted(Struct, frozen=True, tag="not-started", tag_field="kind"):
    """No process was made; `passing` is true for a shortage that may pass by itself."""

    reason: str
    passing: bool = False


class Vanished(Struct, frozen=True, tag="vanished", tag_field="kind"):
    """The process has ended and its exit status is unknown."""

    reason: str


Exit = Union[Exited, Signaled, NotStarted, Vanished]


class StopReason(Enum):
    """Why an attempt was asked to stop."""

    DEADLINE = "timeout"
    MEMORY = "memory"
    STALL = "stall"
    DRIFT = "drift"  # its CPU affinity changed, and on-drift says "fail"
    POLICY = "on-failure"  # the run's own on-failure = "stop"
    USER = "user"  # from outside: a signal, `procsup stop`, the end of the guard or the owner


class Verdict(Enum):
    """What we conclude of a unit; exactly these ten words appear in manifests."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    OVER_MEMORY = "over-memory"
    STALLED = "stalled"
    BAD_OUTPUT = "bad-output"
    CANCELLED = "cancelled"
    NOT_STARTED = "not-started"
    SKIPPED = "skipped"
    LOST = "lost"

    # Members are singletons; Enum's own hash is a slow Python call for each unit counted.
    __hash__ = object.__hash__

    @property
    def is_failure(self) -> bool:
        """Whether the unit itself failed: not if another unit did, or the user cancelled it."""
        return self not in NO_FAILURE


# Groups of verdicts.
NO_FAILURE = (Verdict.SUCCEEDED, Verdict.SKIPPED, Verdict.CANCELLED)
NO_RETRY = (Verdict.SUCCEEDED, Verdict.SKIPPED)  # by a `retry` without selectors
MAYBE_UNTRIED = (Verdict.SKIPPED, Verdict.CANCELLED)  # with or without an attempt
RETRY_ON = (
    Verdict.FAILED,
    Verdict.TIMED_OUT,
    Verdict.OVER_MEMORY,
    Verdict.STALLED,
    Verdict.BAD_OUTPUT,
    Verdict.LOST,
)
NOT_REACHED_YET = (Verdict.OVER_MEMORY, Verdict.STALLED)  # before `memory-limit` and `stall` exist

_STOPPED = {
    StopReason.DEADLINE: Verdict.TIMED_OUT,
    StopReason.MEMORY: Verdict.OVER_MEMORY,
    StopReason.STALL: Verdict.STALLED,
    StopReason.DRIFT: Verdict.FAILED,
    StopReason.POLICY: Verdict.CANCELLED,
    StopReason.USER: Verdict.CANCELLED,
}


def judge(
    exit: Exit, stopped_for: Optional[StopReason] = None, success_codes: Tuple[int, ...] = (0,)
) -> Verdict:
    """Return the verdict of an exit, before its outputs are inspected.

    An unknown exit status is `LOST`, never success; a child that exits 0 while it is being
    stopped did not succeed.
    """
    if isinstance(exit, NotStarted):
        return Verdict.NOT_STARTED
    if isinstance(exit, Vanished):
        return Verdict.LOST
    if stopped_for is not None:
        return _STOPPED[stopped_for]
    if isinstance(exit, Exited) and exit.code in success_codes:
        return Verdict.SUCCEEDED
    return Verdict.FAILED


def describe(exit: Exit) -> str:
    """Describe an exit in a few words: ``exit 7``, ``signal 9``, or the reason."""
    if isinstance(exit, Exited):
        return f"exit {exit.code}" if exit.code < 2**16 else f"exit 0x{exit.code:08X}"
    if isinstance(exit, Signaled):
        return f"signal {exit.signum}"
    return exit.reason


class Reading(Struct, frozen=True, gc=False, omit_defaults=True):
    """The state of a file at one time; a folder or a glob has one reading per file.

    `path` is absolute; `size` in bytes; `sha256` is None if it was not requested. `inode` and
    `ctime_ns` are None if unknown (in older records; ctime also on Windows). If the path is a
    symbolic link, `link` is its text, and all other fields are those of its target.
    `changed`: it differed at the end of the attempt, so it is never intact.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: Optional[str] = None
    inode: Optional[int] = None
    ctime_ns: Optional[int] = None
    link: Optional[str] = None
    changed: bool = False


class LeftoverFiles(Struct, frozen=True, gc=False):
    """Files in a unit's outputs that are not vouched for: their number and first names.

    Names are relative to the run file's folder if they are below it, with slashes.
    """

    count: int = 0
    names: Tuple[str, ...] = ()


NO_LEFTOVER_FILES = LeftoverFiles()


Part = Tuple[int, int]  # (offset, length) in bytes, of a log that is not a whole file


class Affinity(Struct, frozen=True, gc=False, omit_defaults=True):
    """CPUs granted, those observed (union of all samples), and each set that differed."""

    granted: Optional[List[int]] = None
    observed: Optional[List[int]] = None
    drift: Tuple[Tuple[float, List[int]], ...] = ()  # (seconds after the start, the set seen)


class Usage(Struct, frozen=True, gc=False, omit_defaults=True):
    """Peaks and sums of an attempt; None is unknown, never 0.

    CPU times are in seconds (of the whole tree if the system counts it), memory in bytes.
    `peak_memory_source` is ``sampled`` (sum over the tree), ``rusage`` (largest single process)
    or None.
    """

    cpu_user_s: Optional[float] = None
    cpu_system_s: Optional[float] = None
    peak_memory_bytes: Optional[int] = None
    peak_memory_source: Optional[str] = None
    peak_processes: Optional[int] = None
    samples: int = 0
    sample_interval_s: Optional[float] = None
    leftovers: int = 0  # processes of the tree that had to be ended after the main one
    affinity: Affinity = Affinity()

    @property
    def cpu_s(self) -> Optional[float]:
        """The CPU time that is known; None if none is."""
        known = [part for part in (self.cpu_user_s, self.cpu_system_s) if part is not None]
        return sum(known) if known else None

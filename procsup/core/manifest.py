"""The completion manifest: its shapes, and how a unit's ends become its line.

Other programs rely on the names here; they change only with `SCHEMA`. Unknown is None (JSON
null), never 0. Times are RFC 3339 in UTC.
"""

from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import astuple

from procsup.core.late import restore_placeholders
from procsup.core.outcome import Exited, LeftoverFiles, Part, Reading, Signaled, Verdict, describe
from procsup.core.rooted import strip_folder
from procsup.core.values import Value

if TYPE_CHECKING:  # `wait` reads only manifests and must not import these (start-up budget)
    from procsup.core.events import UnitResult
    from procsup.core.records import End

SCHEMA = "procsup/manifest/1"

_WORDS = {verdict: verdict.value for verdict in Verdict}


class OutputRecord(Struct, frozen=True, gc=False, omit_defaults=True):
    """An output that the manifest vouches for, or an input; `size` in bytes.

    `path` is absolute, as of writing; `relative` is the same path from `Head.root`, if it is below
    that. By `relative` the file is found in a project that was moved or copied. The fields after
    `sha256` are left out if they are unknown or do not apply; see `Reading`.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: Optional[str]
    inode: Optional[int] = None
    ctime_ns: Optional[int] = None
    link: Optional[str] = None
    changed: bool = False
    relative: Optional[str] = None

    def make_reading(self, path: str) -> Reading:
        """Return the record as a `Reading`, with the current path of the file."""
        return Reading(
            path,
            self.size,
            self.mtime_ns,
            self.sha256,
            self.inode,
            self.ctime_ns,
            self.link,
            self.changed,
        )


class AffinityRecord(Struct, frozen=True, gc=False):
    """CPUs granted (None: not pinned), observed (None: unknown), and each set that differed."""

    granted: Optional[List[int]] = None
    observed: Optional[List[int]] = None
    drift: Optional[List[Dict[str, Value]]] = None


class AttemptRecord(Struct, frozen=True, gc=False):
    """One attempt; `cause` is a sentence, empty for success.

    `wall_s` is the time of its main process, `linger_s` the time from its end to that of its tree
    (None in older manifests). `remarks` are sentences about irregularities that are not failures.
    `threads` is the value of the thread caps that procsup set (`Head.thread_caps`). A log is the
    file at its path, or the part of it: (offset, length) in bytes.
    """

    attempt: int
    verdict: str
    exit: Optional[str]
    exit_code: Optional[int]
    signal: Optional[int]
    cause: str
    started: Optional[str]
    ended: str
    wall_s: Optional[float]
    pid: Optional[int]
    host: Optional[str]
    cpus: Optional[float]
    memory_bytes: Optional[int]
    affinity: AffinityRecord
    cpu_user_s: Optional[float]
    cpu_system_s: Optional[float]
    peak_memory_bytes: Optional[int]
    peak_memory_source: Optional[str]
    peak_processes: Optional[int]
    samples: int
    sample_interval_s: Optional[float]
    leftovers: int
    stdout_path: Optional[str]
    stderr_path: Optional[str]
    linger_s: Optional[float] = None
    remarks: Tuple[str, ...] = ()
    threads: Optional[int] = None
    stdout_part: Union[Part, UnsetType] = UNSET
    stderr_part: Union[Part, UnsetType] = UNSET


class UnitRecord(Struct, frozen=True, gc=False, omit_defaults=True):
    """One unit; the flat names are those of its last attempt.

    `leftover_files` are in its folder and glob outputs, but not part of the result; left out if
    none are known.
    """

    id: str
    stage: str
    index: int
    parameters: Dict[str, Value]
    fingerprint: str
    verdict: str
    exit_code: Optional[int]
    signal: Optional[int]
    cause: str
    kept: bool
    stale: bool
    tries: int
    started: Optional[str]
    ended: Optional[str]
    wall_s: Optional[float]
    cpu_s: Optional[float]
    peak_memory_bytes: Optional[int]
    host: Optional[str]
    stdout_path: Optional[str]
    stderr_path: Optional[str]
    argv: Tuple[str, ...]
    cwd: str
    env: List[str]
    inputs: List[OutputRecord]
    outputs: List[OutputRecord]
    attempts: List[AttemptRecord]
    linger_s: Optional[float] = field(default_factory=lambda: None)  # written even if None
    leftover_files: Optional[LeftoverFiles] = None
    stdout_part: Union[Part, UnsetType] = UNSET
    stderr_part: Union[Part, UnsetType] = UNSET


class StageCounts(Struct, frozen=True, rename="kebab"):
    """A stage in numbers: one count per verdict, their sum is `planned`; `kept` is part of
    `succeeded`. `status` is ``succeeded``, ``failed`` or ``skipped``. `enough` says why not all of
    its units had to succeed; it is left out if they had to."""

    status: str
    planned: int = 0
    succeeded: int = 0
    kept: int = 0
    failed: int = 0
    timed_out: int = 0
    over_memory: int = 0
    stalled: int = 0
    bad_output: int = 0
    cancelled: int = 0
    not_started: int = 0
    skipped: int = 0
    lost: int = 0
    problem: str = ""
    enough: Union[str, UnsetType] = UNSET

    def get_count(self, verdict: Verdict) -> int:
        """Return the number of its units with a verdict."""
        number: int = getattr(self, _name_count(verdict))
        return number


def _name_count(verdict: Verdict) -> str:
    return verdict.value.replace("-", "_")


class JournalMark(Struct, frozen=True):
    """The journal that this manifest was made from: its length in bytes and its sha256."""

    length: int
    sha256: str


class Head(Struct, frozen=True):
    """All of a manifest but its units: its first line. `stage` is None for the run's.

    `root` is the run file's folder, as of writing. `thread_caps` tells for each variable whether
    units of the last sitting got it from the caller (``environment``) or from ``procsup``; a value
    in a unit's own `env` takes precedence.
    """

    run_id: str
    name: str
    status: str
    started: Optional[str]
    ended: str
    host: str
    platform: str
    procsup: str
    python: str
    run_file: Optional[str]
    directory: str
    journal: JournalMark
    stages: Dict[str, StageCounts]
    stage: Optional[str] = None
    variables: Dict[str, Value] = field(default_factory=dict)
    thread_caps: Dict[str, str] = field(default_factory=dict)
    root: Optional[str] = None
    schema: str = SCHEMA


def format_rfc3339(at: Optional[float]) -> Optional[str]:
    """Write seconds since 1970 as ``2026-01-02T03:04:05.678901Z``.

    None if it is unknown or beyond the calendar: a wrong clock or a damaged journal may have such
    times.
    """
    if at is None:
        return None
    try:
        second, microsecond = divmod(round(at * 1_000_000), 1_000_000)
        return f"{_format_second(second)}.{microsecond:06d}Z"
    except (OverflowError, ValueError, OSError):
        return None


def parse_rfc3339(text: Optional[str]) -> Optional[float]:
    """Return the seconds since 1970 of a text by `format_rfc3339`; None if it is not one."""
    try:
        return datetime.fromisoformat((text or "").replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


@lru_cache(maxsize=4096)  # a manifest of many units has few different seconds
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, timezone.utc).isoformat()[:19]


def make_unit_record(result: "UnitResult", root: Optional[str] = None) -> UnitRecord:
    """Make a unit's line of the manifest from its ends; `root` is that of its head."""
    # Arguments by position, here and below: keywords take 1.5 times as long, for 100,000 units.
    unit, last = result.unit, result.ends[-1]
    attempts = [make_attempt_record(end) for end in result.ends]
    shown = attempts[-1]  # of attempt 0 if it never started
    tried = [attempt for attempt in attempts if attempt.attempt > 0]
    return UnitRecord(
        unit.id,
        unit.stage,
        unit.index,
        unit.parameters,
        unit.fingerprint,
        shown.verdict,
        shown.exit_code,
        shown.signal,
        last.cause,
        result.kept,
        result.stale,
        len(tried),
        shown.started,
        shown.ended,
        last.wall_s,
        last.usage.cpu_s,
        shown.peak_memory_bytes,
        last.host,
        last.stdout_path,
        last.stderr_path,
        restore_placeholders(unit.argv),
        unit.cwd,
        sorted(unit.env),
        _make_files(last.inputs, root),
        _make_files(last.outputs, root) if last.verdict is Verdict.SUCCEEDED else [],
        tried,
        last.linger_s,
        last.leftover_files,
        last.stdout_part or UNSET,
        last.stderr_part or UNSET,
    )


def make_attempt_record(end: "End") -> AttemptRecord:
    """Make an attempt's entry from its end."""
    usage = end.usage
    code, signal = exit_numbers(end)
    affinity = usage.affinity
    drift = affinity.drift and [{"after_s": at, "cpus": cpus} for at, cpus in affinity.drift]
    return AttemptRecord(
        end.attempt,
        _WORDS[end.verdict],
        None if end.exit is None else describe(end.exit),
        code,
        signal,
        end.cause,
        format_rfc3339(end.started),
        format_rfc3339(end.at) or "",
        end.wall_s,
        end.pid,
        end.host,
        end.cpus,
        end.memory_bytes,
        AffinityRecord(affinity.granted, affinity.observed, drift or []),
        usage.cpu_user_s,
        usage.cpu_system_s,
        usage.peak_memory_bytes,
        usage.peak_memory_source,
        usage.peak_processes,
        usage.samples,
        usage.sample_interval_s,
        usage.leftovers,
        end.stdout_path,
        end.stderr_path,
        end.linger_s,
        end.remarks,
        end.threads,
        end.stdout_part or UNSET,
        end.stderr_part or UNSET,
    )


def exit_numbers(end: "End") -> Tuple[Optional[int], Optional[int]]:
    """Return (exit code, signal number) of an end; the one that does not apply is None."""
    exit = end.exit
    if isinstance(exit, Exited):
        return exit.code, None
    if isinstance(exit, Signaled):
        return None, exit.signum
    return None, None


def _make_files(readings: Sequence[Reading], root: Optional[str]) -> List[OutputRecord]:
    if not readings:
        return []
    if root is None:
        return [OutputRecord(*astuple(one)) for one in readings]
    return [OutputRecord(*(*astuple(one), strip_folder(root, one.path))) for one in readings]


def count(
    status: str,
    verdicts: Dict[Verdict, int],
    *,
    kept: int = 0,
    problem: str = "",
    enough: str = "",
) -> StageCounts:
    """Make a stage's counts from the number of units per verdict."""
    by_name: Dict[str, Any] = {_name_count(verdict): number for verdict, number in verdicts.items()}
    planned = sum(verdicts.values())
    by_name.update(kept=kept, problem=problem, enough=enough or UNSET)
    return StageCounts(status, planned, **by_name)

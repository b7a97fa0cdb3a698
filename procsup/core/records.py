"""The journal's records: shapes, versions, encode, decode.

A journal line is ``CRC SEQ JSON\\n``: eight hexadecimal digits of zlib's crc32 over everything
between the first blank and the newline, the record's number (from 1, without gaps), and one
JSON object whose ``t`` names its type. Times are seconds since 1970 (UTC), as floats.

Raise `JOURNAL_VERSION` with every change of shape that an older procsup would misread; it
stands in each `Begin`, and a journal with a higher one is refused, not touched.
"""

import zlib
from typing import Any, Dict, List, Optional, Tuple, Union

import msgspec
from msgspec import Struct

from procsup.core.lines import Lines
from procsup.core.making import MadeColumns
from procsup.core.outcome import Exit, LeftoverFiles, Part, Reading, StopReason, Usage, Verdict
from procsup.core.slots import Placement, make_placement

JOURNAL_VERSION = 3  # 2: `Refused`; 3: the second form (see `Begin.root`)
_DIGITS = 15  # of a record's number: a line with more is damaged


class Begin(Struct, frozen=True, tag="begin", tag_field="t"):
    """A sitting begins; `run_id` is new unless it resumes a run that was not finished.

    In a copy of a run directory a sitting always gets a new `run_id`: the original keeps its own.

    `mark_base` is the prefix of the marks of its attempts (host/marks.py), None without marks.
    Pids are numbers of `pid_namespace`, empty where there are none. `journal` identifies the file
    that this record was written to, as ``DEVICE:INODE`` in hexadecimal digits: in another file
    the record is a copy, and its processes are not ours. `born_ns` is when that file was made, in
    nanoseconds since 1970 (None if that is unknown): inodes are used again. `root` is the path from
    the run directory to the run file's folder (usually ``../..``), absolute if that is not above
    it. Files below that folder are recorded relative to it, in all records of the sitting. Without
    `root` (in the first form, versions 1 and 2) all paths are absolute. `capacity` is the amount
    of each resource, by name, and `jobs` the most live units (None: not limited); `selected` are
    the selectors of ``--only`` or of a retry: other units are not run. `adopted`: the user said
    that what a copied journal calls done counts here.
    """

    version: int
    run_id: str
    sitting: int  # from 1, over all runs of this directory
    name: str
    at: float
    host: str
    boot_id: str
    pid: int
    procsup: str
    python: str
    platform: str
    run_file: Optional[str]
    resumed: bool
    fresh: bool = False
    variables: Dict[str, Any] = {}
    thread_caps: Dict[str, str] = {}  # name -> where its value is from, unless `env` has one
    mark_base: Optional[int] = None
    pid_namespace: str = ""
    journal: str = ""
    root: str = ""
    capacity: Dict[str, Union[int, float]] = {}
    jobs: Optional[int] = None
    selected: Tuple[str, ...] = ()
    adopted: bool = False
    born_ns: Optional[int] = None


class Planned(Struct, frozen=True, tag="planned", tag_field="t"):
    """Units of a stage, in order, in one or more records; `last` closes the stage's plan.

    A stage's plan replaces the one of an earlier sitting; an `open` one may grow after its last
    record. `problem` says why a stage could not be planned at all.
    `made` holds the units' arguments and parameters. It is None if all units are kept, since an
    earlier plan holds them, and in the first form of the journal.
    """

    stage: str
    units: List[str]
    last: bool = True
    problem: str = ""
    open: bool = False
    made: Optional[MadeColumns] = None


class Kept(Struct, frozen=True, tag="kept", tag_field="t"):
    """Finished units that this run does not repeat; `stale` if their program's file changed since.

    With ``--only`` and in a retry also units that did not succeed and keep that verdict.
    `restored`: they were skipped or not started since their last success, which still counts.
    """

    stage: str
    units: List[str]
    stale: bool = False
    restored: bool = False


class Seen(Struct, frozen=True, tag="seen", tag_field="t", omit_defaults=True):
    """The content of a kept unit's files was read again and matches its last end.

    Their stamps are new (in a copied project, for example); with these readings the content need
    not be read again. `leftover_files` are those beside its outputs now; None if unchanged.
    """

    unit: str
    readings: Tuple[Reading, ...]
    leftover_files: Optional[LeftoverFiles] = None


class Withdrawn(Struct, frozen=True, tag="withdrawn", tag_field="t"):
    """The manifests and stamps of these stages, and the run's, will be removed."""

    stages: List[str]


class Launch(Struct, frozen=True, tag="start", tag_field="t", omit_defaults=True):
    """The intention to start an attempt; written before the process exists.

    `host`, `agent` and `slot` are where it starts, `amounts` and `indices` what it gets of each
    resource, by name; see `Placement`. The first form has only CPUs and memory.
    """

    unit: str
    attempt: int
    at: float
    fingerprint: str
    cpus: Optional[float] = None  # only in the first form
    cpu_ids: Tuple[int, ...] = ()  # only in the first form
    memory_bytes: Optional[int] = None  # only in the first form
    host: str = ""
    agent: str = ""
    slot: Optional[int] = None
    amounts: Dict[str, Union[int, float]] = {}
    indices: Dict[str, Tuple[int, ...]] = {}

    @property
    def placement(self) -> Placement:
        """The placement, from either form."""
        if self.amounts:
            slot = 1 if self.slot is None else self.slot
            return Placement(self.host, self.amounts, self.indices, self.agent, slot)
        cpus = 1.0 if self.cpus is None else self.cpus
        return make_placement(self.host, cpus, self.memory_bytes, self.cpu_ids)


class Spawned(Struct, frozen=True, tag="spawned", tag_field="t", omit_defaults=True):
    """The process exists.

    `born` is an interval of seconds since boot in which it was started (Linux, CLOCK_BOOTTIME): a
    process of this pid that started outside of it is another one. `boot` identifies the boot for
    `born` and the pid, if it is not the supervisor's; `handle` is the process's name in the system
    that started it for us, if there is one.
    """

    unit: str
    attempt: int
    pid: int
    at: float
    born: Optional[Tuple[float, float]] = None
    mark: Optional[int] = None
    boot: Optional[str] = None
    handle: Optional[str] = None


class Refused(Struct, frozen=True, tag="refused", tag_field="t"):
    """The start of an attempt was refused for a shortage that the run itself may have caused.

    No process was made: it was no attempt, and its number is free again.
    """

    unit: str
    attempt: int
    at: float
    reason: str


class End(Struct, frozen=True, tag="end", tag_field="t", omit_defaults=True):
    """An attempt is over, its tree empty, its outputs inspected.

    `final` is false when the unit will be tried again; `counts` is false when the attempt does
    not count against `retries`. A unit that never started ends with attempt 0. `program` is the
    sha256 of the script or module file, None if unknown. `same_as` is the number of an earlier
    end whose outputs this attempt did not change: units that follow it need no new run.
    `linger_s` passed between the end of the main process and that of its tree; `remarks` are
    sentences about irregularities that are not failures. `leftover_files` were in its folder and
    glob outputs before, and are not part of the result. A log is the file at its path, or the
    recorded `Part` of it.
    """

    unit: str
    attempt: int
    verdict: Verdict
    at: float
    final: bool = True
    counts: bool = True
    exit: Optional[Exit] = None
    stopped_for: Optional[StopReason] = None
    cause: str = ""
    started: Optional[float] = None
    wall_s: Optional[float] = None
    pid: Optional[int] = None
    host: Optional[str] = None
    cpus: Optional[float] = None
    memory_bytes: Optional[int] = None
    usage: Usage = Usage()
    stdout_path: Optional[str] = None  # relative to the run directory, unless the user named it
    stderr_path: Optional[str] = None
    outputs: Tuple[Reading, ...] = ()
    inputs: Tuple[Reading, ...] = ()
    fingerprint: str = ""
    program: Optional[str] = None
    same_as: Optional[int] = None
    linger_s: float = 0.0
    remarks: Tuple[str, ...] = ()
    threads: Optional[int] = None  # the value of the thread caps that procsup set
    leftover_files: Optional[LeftoverFiles] = None
    stdout_part: Optional[Part] = None
    stderr_part: Optional[Part] = None


class StageFinal(Struct, frozen=True, tag="stage-final", tag_field="t", omit_defaults=True):
    """Every planned unit of the stage has its verdict; its manifest follows.

    `enough` says why not all of its units had to succeed; see `spec.Enough`.
    """

    stage: str
    status: str
    counts: Dict[str, int]
    enough: str = ""


class RunFinal(Struct, frozen=True, tag="run-final", tag_field="t"):
    """The run is final; nothing follows in this sitting, and its manifest is written next."""

    run_id: str
    status: str
    at: float


class ControlReply(Struct, frozen=True, tag="answer", tag_field="t"):
    """A control request was carried out or refused; `units` are being stopped.

    An interrupt (a signal) is recorded as a request ``stop`` without a name, with its cause. So is,
    as ``hold``, that a stage waits for the machine before it starts more, and as ``go-on`` that it
    does not any more; `units` then has the stage.
    """

    request: str
    verb: str
    ok: bool
    message: str = ""
    units: Tuple[str, ...] = ()


class Closed(Struct, frozen=True, tag="closed", tag_field="t"):
    """A sitting ends before the run is final, by its own decision."""

    at: float
    reason: str  # "interrupted by signal 2", "drained", "stopped", "guard died", ...


class Missing(Struct, frozen=True, tag="missing", tag_field="t"):
    """Replaces damaged records in a repaired journal: those from its own number to `last`."""

    last: int


Record = Union[
    Begin,
    Planned,
    Kept,
    Seen,
    Withdrawn,
    Launch,
    Spawned,
    Refused,
    End,
    StageFinal,
    RunFinal,
    ControlReply,
    Closed,
    Missing,
]

_lines = Lines[Record](Record)


class BadLine(ValueError):
    """A damaged or unknown journal line; the message describes the damage."""


class UnknownRecord(BadLine):
    """An undamaged line whose record this procsup does not know; `seq` is its number."""

    def __init__(self, seq: int, message: str) -> None:
        super().__init__(message)
        self.seq = seq


def encode_line(seq: int, record: Record) -> bytes:
    """Return the journal line of a record, newline included."""
    body = b"%d %s" % (seq, _lines.encode(record))
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode_line(line: bytes) -> Tuple[int, Record]:
    """Return sequence number and record of a line without its newline; BadLine if damaged.

    UnknownRecord, a BadLine too, if it is undamaged and of an unknown shape.
    The checksum is compared as text: reading it as a number accepts damaged digits.
    """
    crc, blank, body = line[:8], line[8:9], line[9:]
    if blank != b" " or crc != b"%08x" % zlib.crc32(body):
        raise BadLine("checksum does not match")
    number, _, text = body.partition(b" ")
    if not number.isdigit() or len(number) > _DIGITS:
        raise BadLine("checksum matches, the sequence number does not read")
    seq = int(number)
    try:
        record = _lines.decode(text)
    except msgspec.ValidationError as error:
        raise UnknownRecord(seq, str(error)) from error
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise BadLine(f"checksum matches, content does not: {error}") from error
    if type(record) is Missing and not seq <= record.last < 10**_DIGITS:
        raise BadLine(f"checksum matches, but nothing is missing from {seq} to {record.last}")
    return seq, record

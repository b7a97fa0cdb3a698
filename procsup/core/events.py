"""The facts that the planner receives and the orders it gives: plain data, fit for JSON lines.

Wall-clock times (`at`) are seconds since 1970; they are recorded and never compared with the
monotonic `now` that the loop hands to the planner.
"""

from typing import ClassVar, Dict, List, Optional, Tuple, Union

from msgspec import Struct

from procsup.core.outcome import (
    AttemptId,
    Exit,
    Exited,
    LeftoverFiles,
    Reading,
    StopReason,
    Usage,
)
from procsup.core.records import End, Record
from procsup.core.spec import UnitSpec
from procsup.core.task import Program, Rules, Task
from procsup.core.versions import Version

# --- facts -------------------------------------------------------------------------------


class Started(Struct, frozen=True, tag=True, gc=False):
    """The attempt's process exists; `born` and `mark` identify it, as in its record."""

    attempt: AttemptId
    pid: int
    at: float
    born: Optional[Tuple[float, float]] = None
    mark: Optional[int] = None


class Sampled(Struct, frozen=True, tag=True, gc=False):
    """The CPU affinity of a live tree drifted, and the planner must decide what follows."""

    attempt: AttemptId
    drifted_to: List[int]


class Ended(Struct, frozen=True, tag=True):
    """The attempt is over and its tree is empty; exactly one per `Start`.

    `started` is None if no process was made. `stopped`: a stop or a kill reached the unit before
    its end. `fault`: it exited well, but a process left behind still wrote its outputs or log. A
    good end without either is followed by one `Inspected`. `linger_s` is the time from the end of
    the main process to the end of its tree. Log paths are relative to the run directory. `program`
    is the sha256 of its script or module file when it started, None if unknown.
    """

    attempt: AttemptId
    exit: Exit
    at: float
    started: Optional[float] = None
    wall_s: Optional[float] = None  # monotonic
    pid: Optional[int] = None
    usage: Usage = Usage()
    stdout_path: Optional[str] = None
    stderr_path: Optional[str] = None
    stopped: bool = False
    fault: str = ""
    remarks: Tuple[str, ...] = ()
    linger_s: float = 0.0
    program: Optional[str] = None

    def is_good(self, rules: Rules) -> bool:
        """Whether it is a good end, which an `Inspected` follows."""
        if self.stopped or self.fault or not isinstance(self.exit, Exited):
            return False
        return rules.is_success(self.exit.code)


class Inspected(Struct, frozen=True, tag=True):
    """The outputs of a good end were inspected, hashed and synced; without faults no `problem`.

    There is exactly one for each good end, also for units without files. `leftover_files` are in
    folder and glob outputs, and the attempt did not write them. `remarks` are added to those of
    its end.
    """

    attempt: AttemptId
    outputs: Tuple[Reading, ...] = ()
    inputs: Tuple[Reading, ...] = ()
    problem: str = ""
    leftover_files: Optional[LeftoverFiles] = None
    remarks: Tuple[str, ...] = ()


class Synced(Struct, frozen=True, tag=True, gc=False):
    """All records up to and including number `seq` are on disk."""

    seq: int


class Reuse(Struct, frozen=True, tag=True, gc=False):
    """A unit's standing when its stage is expanded: its last success still stands.

    Its files are intact. `seen` are new readings of files whose content was read again and is
    unchanged. `leftover_files` are beside its outputs now; None if nothing searched for them.
    """

    stale: bool = False  # although the program's file changed
    bare: bool = False  # without outputs, from a run that did not succeed
    seen: Tuple[Reading, ...] = ()
    leftover_files: Optional[LeftoverFiles] = None

    reason: ClassVar[str] = ""
    text: ClassVar[str] = ""
    keeps_verdict: ClassVar[bool] = True


class Rerun(Struct, frozen=True, tag=True, gc=False):
    """A unit's standing: it must run.

    `reason` is the kind of reason: ``new``, ``failed before``, ``input changed``, ...; `detail` is
    a sentence that names the file, parameter or the like, empty if there is none.
    """

    reason: str
    detail: str = ""

    keeps_verdict: ClassVar[bool] = False

    @property
    def text(self) -> str:
        """`detail` if there is one, else `reason`."""
        return self.detail or self.reason


class Hold(Struct, frozen=True, tag=True, gc=False):
    """A unit's standing: without a success it stays as it is, unless its dependencies change.

    `keeps_verdict`: it has its verdict; otherwise this sitting gives it none. `reason` and
    `detail` as in `Rerun`.
    """

    reason: str
    detail: str = ""
    keeps_verdict: bool = False

    @property
    def text(self) -> str:
        """`detail` if there is one, else `reason`."""
        return self.detail or self.reason


Standing = Union[Reuse, Rerun, Hold]


class Expanded(Struct, frozen=True, tag=True):
    """The units of a stage, in order, each with its standing; or why there are none.

    `unfit` holds units with missing inputs if `missing-inputs` is ``fail-unit``;
    `program` is the stage's script or module file, None if there is none; `notes` are for the
    user: what was left out. Unless it is the `last` one, more units follow, which the planner asks
    for by another `Expand`. `unsure`: that it is the last one may only mean that the program that
    makes the units was ended.
    """

    stage: str
    units: Tuple[UnitSpec, ...] = ()
    standings: Tuple[Standing, ...] = ()
    unfit: Dict[str, str] = {}  # unit id -> reason
    problem: str = ""
    program: Optional[Program] = None
    notes: Tuple[str, ...] = ()
    last: bool = True
    unsure: bool = False


class Weighed(Struct, frozen=True, tag=True):
    """The new standings of the units that a `Weigh` named."""

    stage: str
    standings: Dict[str, Standing]  # unit id -> its standing


class Asked(Struct, frozen=True, tag=True, gc=False):
    """A request from a control file: ``drain``, ``stop``, ``stop-units`` or ``retry``.

    `units` are words that select the units to stop or retry; ``retry`` without words means all
    that have failed so far. `problem` says why the request is invalid, if it is; `why` is the
    reason of a stop.
    """

    request: str
    verb: str
    grace_s: Optional[float] = None
    units: Tuple[str, ...] = ()
    problem: str = ""
    why: str = ""


class Interrupted(Struct, frozen=True, tag=True, gc=False):
    """A signal came (`signum`), or the guard died (None). The second one kills at once."""

    signum: Optional[int]
    reason: str


class TimeLimitReached(Struct, frozen=True, tag=True, gc=False):
    """The whole run has lasted as long as it may; `reason` says how long that is."""

    reason: str


class TakenBack(Struct, frozen=True, tag=True, gc=False):
    """A `Withdraw` is done, durably; its intention was recorded as `Withdrawn`."""

    stages: Tuple[str, ...]


class Measured(Struct, frozen=True, tag=True, gc=False):
    """A reading of the machine, as an answer to `Measure`; None is unknown.

    `free_bytes` is memory that units may take without a limit or swap being reached. `load` is the
    number of threads that run or want to run, those of procsup left out; `cpus` are the machine's.
    """

    free_bytes: Optional[int]
    load: Optional[float]
    cpus: int


class Published(Struct, frozen=True, tag=True, gc=False):
    """The manifest of a stage (None: of the run), then its stamp, are published; waiters woken."""

    stage: Optional[str]


Fact = Union[
    Started,
    Sampled,
    Ended,
    Inspected,
    Synced,
    Expanded,
    Weighed,
    Asked,
    TimeLimitReached,
    Interrupted,
    TakenBack,
    Published,
    Measured,
]

# --- orders ------------------------------------------------------------------------------


class Start(Struct, frozen=True, tag=True):
    """Start an attempt."""

    task: Task

    @property
    def attempt(self) -> AttemptId:
        """The attempt's id."""
        return self.task.attempt


class Stop(Struct, frozen=True, tag=True, gc=False):
    """Ask an attempt to end, and kill its tree after `grace_s` seconds.

    `dump`: a Python unit writes the stacks of its threads to its log before it ends.
    """

    attempt: AttemptId
    reason: StopReason
    grace_s: float
    dump: bool = False


class Kill(Struct, frozen=True, tag=True, gc=False):
    """Kill the whole tree now."""

    attempt: AttemptId


class Write(Struct, frozen=True, tag=True):
    """Append this record (the loop does so before it performs any other order)."""

    record: Record


class Expand(Struct, frozen=True, tag=True):
    """Expand the units of a stage whose upstream is done, on a side thread; or take more of them.

    `outputs` are the readings of the succeeded units of the stages in `sources`, by stage, in unit
    order, each with its unit's id. A success that did not use the version `made` of the stages
    before it will not be kept. `moving`: units that its own units follow may still run, and then
    any of its own may run, too.
    """

    stage: str
    outputs: Dict[str, List[Tuple[str, Tuple[Reading, ...]]]] = {}
    made: Version = Version()
    moving: bool = False


class Weigh(Struct, frozen=True, tag=True, gc=False):
    """Compare the files of units again, on the side thread; answered by one `Weighed`.

    Their inputs had changed; since then the units that make these inputs ran and made the same.
    """

    stage: str
    units: Tuple[str, ...]


class Withdraw(Struct, frozen=True, tag=True, gc=False):
    """Sync the journal, then durably remove the manifests and stamps of these stages and the run.

    A side thread does it, in one queue with `Publish`, and answers with `TakenBack`. Until then no
    unit of these stages is started.
    """

    stages: Tuple[str, ...]


class Measure(Struct, frozen=True, tag=True, gc=False):
    """Read the memory and the load of the machine: answered by one `Measured`."""


class UnitResult(Struct, frozen=True):
    """One unit's line of a manifest: its spec, and its ends in this run (the last one decides)."""

    unit: UnitSpec
    ends: Tuple[End, ...]
    kept: bool = False
    stale: bool = False


class Publish(Struct, frozen=True, tag=True):
    """Write the manifest of a stage (None: of the run), then its stamp if it succeeded.

    A side thread does it, in one queue with `Withdraw`, and answers with `Published`. After this
    order the stage does not change, so that thread may read its results from the planner unit by
    unit (`Plan.results`).
    """

    stage: Optional[str]
    status: str


class Spill(Struct, frozen=True, tag=True):
    """Hold these results on disk until their manifest is written: the planner forgets the units.

    It is done in one queue with `Publish`, and has no answer.
    """

    results: Tuple[UnitResult, ...]


class Settled(Struct, frozen=True, tag=True):
    """The end of a unit is on disk: watchers may show it."""

    end: End


Order = Union[Write, Start, Stop, Kill, Expand, Weigh, Withdraw, Publish, Spill, Settled, Measure]

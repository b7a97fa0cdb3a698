"""The request for a sitting, its opening and its ending."""

import datetime
import json
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple

from msgspec import Struct
from msgspec.structs import asdict

from procsup.core.plan.rehearsal import RehearsedStage
from procsup.core.plan.summary import Summary
from procsup.core.records import End
from procsup.core.slots import Capacity
from procsup.core.spec import RunSpec
from procsup.host.logfiles import LogPlaces

if TYPE_CHECKING:
    from procsup.host.opened import Folder
    from procsup.host.parent_watch import ParentWatch
    from procsup.runfile.plan import PlanText


class Request(Struct, frozen=True):
    """Bring this run file to completion.

    `variables` are ``--var``; `directory` is the path of the run directory (``--dir``); `only`
    holds selectors (core/selectors.py). `again` makes it a retry of the units that its selectors
    select, or, if it is empty, of all that did not succeed. With a `digest` the run file must have
    this sha256. `plan`, if there is one, replaces the run file. The run ends when the program that
    `owner` watches ends.
    """

    file: str = "procsup.toml"
    variables: Dict[str, str] = {}
    directory: Optional[str] = None
    jobs: Optional[int] = None
    fresh: bool = False
    only: Tuple[str, ...] = ()
    again: Optional[Tuple[str, ...]] = None
    today: Optional[str] = None  # ISO; the value of {date}, if it is not the present date
    engine: str = "local"
    plan: Optional["PlanText"] = None
    owner: Optional["ParentWatch"] = None
    digest: Optional[str] = None
    adopt: bool = False  # ``--adopt``: a copied run keeps its finished units
    time_limit_s: Optional[float] = None  # for this sitting; then it is stopped
    goes_on: bool = False  # `plan` is a run's that is there already; keep units without files, too
    name_if_busy: Optional[str] = None  # of a new run of `plan`, if another process has that one
    keep_last: Optional[int] = None  # unnamed runs that remain beside it; None: all
    durable: bool = True  # False: nothing is synced; for measuring what durability costs

    @property
    def date(self) -> Optional[datetime.date]:
        """`today`, as a date."""
        return None if self.today is None else datetime.date.fromisoformat(self.today)

    @property
    def runs_all_or_again(self) -> bool:
        """Whether a message need not propose `--fresh`."""
        return self.fresh or self.again is not None


class Display(NamedTuple):
    """What stderr shows of a run; `as_json`: its end is an object on stdout.

    `quiet`: only an end without success is shown; `silent`: not even that, since the data has it.
    """

    progress: str = "auto"
    quiet: bool = False
    as_json: bool = False
    silent: bool = False


class HostedRequest(NamedTuple):
    """What a program sends to the supervisor that it starts; ASCII, since paths may not be UTF-8.

    `announce`: the supervisor writes a line to stdout when it holds the run directory.
    `plan_follows`: the next lines are a plan, which replaces the run file; if it `plan_grows`, the
    run begins with its first unit. `follows_environment`: it is a command line of the user
    (host/default_python.py). `queue`: the head of a plan whose units are those of a queue.
    """

    request: Request
    display: Display
    announce: bool = False
    plan_follows: bool = False
    plan_grows: bool = False
    follows_environment: bool = False
    queue: Optional[List[Any]] = None

    def encode(self) -> bytes:
        """Write it as a line."""
        return json.dumps([asdict(self.request), *self[1:]]).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "HostedRequest":
        """Read such a line."""
        fields, display, *others = json.loads(line)
        for name in ("only", "again"):
            fields[name] = None if fields[name] is None else tuple(fields[name])
        return cls(Request(**fields), Display(*display), *others)


class Opening(Struct, frozen=True):
    """A sitting that holds its lock and has withdrawn outdated manifests; no unit started yet.

    `folder` is the open run directory.
    """

    spec: RunSpec
    run_id: str
    sitting: int
    folder: "Folder"
    log_places: LogPlaces
    first_line: str
    notes: List[str]
    summary: Summary
    resumed: bool = False  # it goes on with a run that has planned units

    @property
    def directory(self) -> str:
        """The run directory."""
        return self.log_places.run


class Ending(Struct, frozen=True):
    """How a sitting ended.

    `status` is ``succeeded`` or ``failed`` if the run is final; else it is None, and `reason` says
    why. `is_plan_open`: more units might have come. `complaint` describes a wrong selector that was
    found only during the run; `doubt` one that selected none of the units known at the end.
    `failures` are the first ends that are not succeeded, skipped or cancelled.
    """

    status: Optional[str]
    run_id: str
    log_places: LogPlaces
    summary: Summary
    reason: str = ""
    signum: Optional[int] = None
    failures: Tuple[End, ...] = ()
    failed_total: int = 0
    manifest_path: Optional[str] = None
    is_plan_open: bool = False
    complaint: str = ""
    doubt: str = ""

    @property
    def directory(self) -> str:
        """The run directory."""
        return self.log_places.run


class DryRun(Struct, frozen=True):
    """What a run would do; `live`: a supervisor works on it right now.

    `refusal` says why the run would be refused without another option; empty if it would not.
    """

    spec: RunSpec
    capacity: Capacity
    stages: Dict[str, RehearsedStage]
    notes: List[str]
    live: bool = False
    refusal: str = ""

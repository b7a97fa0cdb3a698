"""All that an executor needs to run one attempt: self-contained, and fit for a JSON line."""

from typing import NamedTuple, Optional, Tuple

from msgspec import Struct

from procsup.core.outcome import AttemptId, Reading
from procsup.core.slots import Placement
from procsup.core.spec import RunSpec, StageSpec, UnitSpec, list_published_files


class Program(NamedTuple):
    """The file of the script or module that a stage's units run, and its sha256 when read."""

    path: str  # absolute
    sha256: Optional[str]  # None if it could not be read


class Rules(Struct, frozen=True):
    """The settings of a stage and its run that the executor of its attempts must know.

    `secrets` are names of environment variables; inherited values are never in it.
    `folder` is the run file's: paths are shown relative to it.
    """

    success_codes: Tuple[int, ...] = (0,)
    is_python: bool = False
    pythonpath: Tuple[str, ...] = ()  # absolute folders
    secrets: Tuple[str, ...] = ()
    scratch: bool = False
    unit_file: bool = False
    on_drift: str = "record"
    grace_s: float = 10.0
    stop_signal: str = "TERM"
    stop_to: str = "auto"
    linger_s: Optional[float] = 10.0  # None: as long as the unit may take
    checksum: str = "auto"
    sync_outputs: bool = True
    merged_logs: bool = False
    folder: str = "/"
    published: Tuple[str, ...] = ()  # absolute: files that procsup writes for the user
    program: Optional[str] = None  # absolute: the script or module file that every unit runs

    def is_success(self, code: int) -> bool:
        """Whether this exit code is a success."""
        return code in self.success_codes


class Aside(Struct, frozen=True):
    """An attempt without a good end, whose files among the outputs must be moved away.

    `number` is the attempt's, `since` its start (seconds since 1970).
    """

    number: int
    since: float


class Task(Struct, frozen=True):
    """One attempt at a unit: its spec, its placement, its rules.

    `vouched` are the outputs of the unit's last success, if its files may count again or must not
    be moved away.
    """

    attempt: AttemptId
    unit: UnitSpec
    placement: Placement
    rules: Rules = Rules()
    aside: Optional[Aside] = None
    vouched: Tuple[Reading, ...] = ()

    @property
    def threads(self) -> int:
        """How many threads its libraries may start, at least 1."""
        return count_threads(self.unit, self.placement)

    @property
    def is_inspected(self) -> bool:
        """Whether the unit has files that are read before its start and after a good end."""
        unit = self.unit
        given = unit.inputs or unit.depends or (unit.stdin and not unit.piped)
        return bool(given or unit.outputs or unit.stdout or unit.stderr)


def count_threads(unit: UnitSpec, placement: Placement) -> int:
    """Return how many threads a unit's libraries may start, at least 1."""
    return unit.threads or max(1, int(placement.cpus))


def make_rules(spec: RunSpec, stage: StageSpec) -> Rules:
    """Return the rules of a stage's attempts."""
    return Rules(
        success_codes=stage.success_codes,
        is_python=stage.is_python,
        pythonpath=stage.pythonpath,
        secrets=stage.secrets,
        scratch=stage.scratch,
        unit_file=stage.unit_file,
        on_drift=stage.on_drift,
        grace_s=stage.grace_s,
        stop_signal=stage.stop_signal,
        stop_to=stage.stop_to,
        linger_s=stage.linger_s,
        checksum=spec.checksum,
        sync_outputs=spec.sync_outputs,
        merged_logs=spec.logs == "merged",
        folder=spec.folder,
        published=list_published_files(spec),
        program=stage.script,
    )

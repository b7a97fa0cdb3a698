"""The dry run, typed: what would happen to each unit, and why."""

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from procsup.core.events import Hold, Reuse, Standing
from procsup.core.late import restore_placeholders
from procsup.core.spec import UnitSpec
from procsup.core.text import count_noun
from procsup.lib.invocation import RunOptions, SpecOrFile, resolve_request
from procsup.lib.plain import read_selectors
from procsup.report.plan import format_plan
from procsup.supervisor.requests import DryRun, Request
from procsup.supervisor.session import rehearse_run


class PlanUnit(NamedTuple):
    """A unit, and whether it would be kept; `reason` says why it would run.

    ``new``, ``failed before``, ``command changed``, ``input changed``, ``fresh``, ...; `detail`
    names the cause. `aside`: it has not succeeded and would not be started. `stale`: it would be
    kept although its program's file has changed.
    """

    id: str
    stage: str
    keep: bool
    reason: str
    stale: bool
    argv: Tuple[str, ...]
    cwd: str
    parameters: Mapping[str, object]
    detail: str = ""
    aside: bool = False


class Plan:
    """What a run would do; a stage that is expanded later has None.

    A unit that would run is assumed to change its outputs. `notes` are the notes that the run
    would print first, `lines` is the plan as text. `known_after` maps each stage that is
    expanded later to those it waits for. `live`: a supervisor works on the run now.
    """

    def __init__(self, dry: DryRun) -> None:
        self.name = dry.spec.name
        self.directory = dry.spec.directory
        self.notes: List[str] = list(dry.notes)
        self.lines: List[str] = format_plan(dry.spec, dry.stages)
        self.stages: Dict[str, Optional[List[PlanUnit]]] = {
            name: None if seen.known_after is not None else list(map(_make_unit, *seen[:2]))
            for name, seen in dry.stages.items()
        }
        self.known_after: Dict[str, List[str]] = {
            name: list(seen.known_after)
            for name, seen in dry.stages.items()
            if seen.known_after is not None
        }
        self.live = dry.live

    def __repr__(self) -> str:
        units = count_noun(len(self.units), "unit")
        return f"<Plan of {self.name}: {len(self.to_run)} of {units} to run>"

    def __str__(self) -> str:
        return "\n".join([*self.notes, *self.lines])

    @property
    def units(self) -> List[PlanUnit]:
        """The units of all stages that are expanded already."""
        return [unit for units in self.stages.values() for unit in units or ()]

    @property
    def to_run(self) -> List[PlanUnit]:
        """The units that would run."""
        return [unit for unit in self.units if not (unit.keep or unit.aside)]


def _make_unit(unit: UnitSpec, standing: Standing) -> PlanUnit:
    return PlanUnit(
        unit.id,
        unit.stage,
        standing.keeps_verdict,
        standing.reason,
        isinstance(standing, Reuse) and standing.stale,
        restore_placeholders(unit.argv),
        unit.cwd,
        unit.parameters,
        standing.text,
        isinstance(standing, Hold) and not standing.keeps_verdict,
    )


def plan(
    spec_or_file: SpecOrFile = "procsup.toml",
    *,
    fresh: bool = False,
    only: Sequence[str] = (),
    vars: Optional[Mapping[str, object]] = None,
    static: bool = False,
) -> Plan:
    """Return what `run` would do and why; nothing is written or locked, and no unit is started.

    The `python` of a stage is started, to ask for its version and its `module`, which imports the
    module's parent packages. With `static` nothing that the run file names is executed.

    RunFileError lists all errors.
    """
    file, given, directory = resolve_request(spec_or_file, RunOptions(vars=vars))
    words = read_selectors("only", only)
    return Plan(
        rehearse_run(Request(file, given, directory, fresh=fresh, only=words), static=static)
    )

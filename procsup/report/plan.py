"""The dry run as text and as data: what would be run, and why."""

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from procsup.core.events import Standing
from procsup.core.spec import RunSpec, StageSpec, UnitSpec, upstream, whole_upstream
from procsup.core.text import plural, visible

Planned = Sequence[Tuple[UnitSpec, Standing]]


def plan_lines(spec: RunSpec, stages: Mapping[str, Optional[Planned]]) -> List[str]:
    """Return one line per unit under its stage; a stage planned later says what it waits for."""
    lines = [f"{visible(spec.name)}, in {visible(spec.directory)}"]
    for stage in spec.stages:
        units = stages.get(stage.name)
        if units is None:
            lines.append(f"{visible(stage.name)}: planned when {visible(_when(stage))}")
            continue
        to_run = sum(1 for _, standing in units if not (standing.kept or standing.aside))
        count = plural(len(units), "unit")
        lines.append(f"{visible(stage.name)}: {count}, {to_run} to run")
        lines += [f"  {_unit_line(unit, standing)}" for unit, standing in units]
    return lines


def _when(stage: StageSpec) -> str:
    """Say after what the units of a stage are known."""
    whole = whole_upstream(stage) if stage.unit_wise else upstream(stage)
    parts = [f"{', '.join(whole)} is done"] if whole else []
    if stage.unit_wise:
        parts.append(f"the units of {', '.join(stage.for_each)} are known")
    return " and ".join(parts)


def _unit_line(unit: UnitSpec, standing: Standing) -> str:
    if standing.aside:
        word = "leave aside"
    elif standing.kept and standing.reason:
        word = f"leave as it is ({standing.reason})"
    elif standing.kept:
        word = "keep (its program has changed)" if standing.stale else "keep"
    else:
        word = f"run ({standing.reason})" if standing.reason else "run"
    return f"{visible(word)}  {visible(unit.id)}"


def plan_data(spec: RunSpec, stages: Mapping[str, Optional[Planned]]) -> Dict[str, Any]:
    """Return the plan as plain data; a stage that is planned later is null."""
    return {
        "name": spec.name,
        "directory": spec.directory,
        "stages": {stage.name: _stage_data(stages.get(stage.name)) for stage in spec.stages},
    }


def _stage_data(units: Optional[Planned]) -> Optional[List[Dict[str, Any]]]:
    if units is None:
        return None
    return [
        {
            "id": unit.id,
            "keep": standing.kept,
            "stale": standing.stale,
            "reason": standing.reason,
            "argv": list(unit.argv),
            "cwd": unit.cwd,
        }
        for unit, standing in units
    ]

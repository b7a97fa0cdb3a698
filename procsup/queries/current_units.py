"""Reads the units of a run from its manifests and its run file."""

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from procsup.core.outcome import Reading, Verdict
from procsup.core.replay import History
from procsup.core.slots import Capacity
from procsup.core.spec import UnitSpec, list_sources, list_upstream, sort_stages
from procsup.core.text import say_when_units_known
from procsup.errors import ProcsupError, RecordError, RunFileError
from procsup.host import machine
from procsup.queries.retrying import read_rerun, request_for
from procsup.queries.view import RunView
from procsup.runfile.load import LoadedRun
from procsup.store.history import read_parameters
from procsup.store.manifest import read_manifest
from procsup.store.rundir import RunDir
from procsup.supervisor.resolved_request import load_source

_Outputs = Dict[str, List[Tuple[str, Tuple[Reading, ...]]]]
Parameters = Dict[str, Mapping[str, Any]]


def read_unit_parameters(rundir: RunDir, history: History) -> Tuple[Parameters, str]:
    """Return the parameters of planned units, and the error if some are unknown.

    Of units planned by an older procsup, which did not record them, they come from the run's
    manifests, or from its present file for stages without a manifest.
    """
    found: Parameters = dict(read_parameters(rundir))
    for path in (rundir.manifest, *map(rundir.get_stage_manifest, history.plan)):
        if all(unit in found for units in history.plan.values() for unit in units):
            return found, ""
        try:
            head, units = read_manifest(path)
            of_this_run = head.run_id == history.run_id
            if of_this_run:
                found = {**{unit.id: unit.parameters for unit in units}, **found}
        except RecordError:
            continue  # not final yet, or withdrawn
    try:
        view = RunView(rundir)
        with view.reading():
            now = list_units(
                load_source(request_for(read_rerun(view), ()), may_be_open=True), history
            )
    except ProcsupError as error:
        return found, str(error)
    found = {**{unit.id: unit.parameters for unit in now.units}, **found}
    unclear = [
        why
        for stage, why in now.unknown.items()
        if any(unit not in found for unit in history.plan.get(stage, ()))
    ]
    return found, "; ".join(unclear)


def list_stages(rundir: RunDir, history: History) -> Dict[str, str]:
    """Return all stages in the run file's order; for a stage without a plan, when it gets one."""
    view = RunView(rundir)
    names = view.owner.stages if view.owner and view.owner.stages else tuple(history.plan)
    try:
        with view.reading():
            spec = load_source(request_for(read_rerun(view), ()), may_be_open=True).spec
        before = {stage.name: list_upstream(stage) for stage in spec.stages}
    except ProcsupError:
        before = {}
    return {name: _say_when_known(name, before.get(name, ()), history) for name in names}


def _say_when_known(name: str, before: Sequence[str], history: History) -> str:
    if history.plan.get(name) or (name in history.plan and _may_begin(before, history)):
        return ""
    if name in history.problems:
        return f"the units of stage {name} are not known: {history.problems[name]}"
    due = [one for one in before if one not in history.finals] or before
    return say_when_units_known(name, due)


def _may_begin(before: Sequence[str], history: History) -> bool:
    return all(
        one in history.finals and history.finals[one].status == "succeeded" for one in before
    )


class CurrentUnits(NamedTuple):
    """The units of a run by its present file; `unknown` says why those of some stages are not."""

    units: List[UnitSpec]
    unknown: Dict[str, str]


def list_units(loaded: LoadedRun, history: History) -> CurrentUnits:
    """Return all units of the run; later stages are expanded from outputs in the journal."""
    wanted = loaded.spec.capacity
    capacity = machine.make_capacity(
        cpus=wanted.cpus, memory_bytes=wanted.memory_bytes, jobs=loaded.spec.jobs
    )
    units: Dict[str, Sequence[UnitSpec]] = dict(loaded.expand_early(capacity))
    unknown: Dict[str, str] = {}
    for name in sort_stages(loaded.spec):
        if name in units:
            continue
        before = list_upstream(loaded.spec.stage(name))
        due = [one for one in before if one not in history.finals]
        if due:
            unknown[name] = say_when_units_known(name, due)
            continue
        try:
            units[name] = _expand_late(loaded, name, capacity, history)
        except RunFileError as error:
            unknown[name] = f"the units of stage {name} are not known: {error}"
    return CurrentUnits(
        [unit for stage in loaded.spec.stages for unit in units.get(stage.name, ())], unknown
    )


def _expand_late(
    loaded: LoadedRun, name: str, capacity: Capacity, history: History
) -> List[UnitSpec]:
    outputs: _Outputs = {}
    for before in list_sources(loaded.spec.stage(name)):
        outputs[before] = []
        for unit_id in history.plan.get(before, ()):
            past = history.units.get(unit_id)
            last = past.last if past is not None else None
            if last is not None and last.verdict is Verdict.SUCCEEDED:
                outputs[before].append((unit_id, last.outputs))
    return loaded.expand(name, capacity, outputs)

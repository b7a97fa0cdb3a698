"""`retry --here`: start one unit of a run in this terminal. Nothing of it is recorded."""

import os
from typing import Dict, List, NamedTuple, Sequence, Tuple

from procsup.api.asked import load_source
from procsup.api.requests import Request
from procsup.api.retrying import Rerun
from procsup.api.selection import require_hits, selector_of
from procsup.attempt import by_hand as hand
from procsup.attempt.context import RunContext
from procsup.attempt.preflight import about_secrets
from procsup.core.outcome import AttemptId, Reading, Verdict
from procsup.core.outlook import in_order
from procsup.core.replay import History
from procsup.core.slots import Capacity, Placement
from procsup.core.spec import UnitSpec, upstream
from procsup.core.task import Task, rules_of
from procsup.errors import RecordError, RunBusy, RunUnfinished, UsageError
from procsup.host import machine
from procsup.host.files import reason
from procsup.host.inherited import inherited_environment
from procsup.host.units_lock import UnitsLock
from procsup.runfile.load import Loaded
from procsup.store.reader import read_journal

Outputs = Dict[str, List[Tuple[str, Tuple[Reading, ...]]]]


class Prepared(NamedTuple):
    """A unit of a run, with its program and its environment, ready to start here."""

    unit: UnitSpec
    by_hand: hand.ByHand
    outputs: List[str]  # what it may overwrite


def prepare(rerun: Rerun, made: Request, word: str, *, touch: bool) -> Prepared:
    """Find the one unit that is meant and make what it needs (unless `touch` is false).

    UsageError if none or several are meant, RunBusy if that unit lives right now.
    """
    history = History()
    for entry in read_journal(rerun.rundir.journal):
        history.add(entry.seq, entry.record)
    loaded = load_source(made)
    unit = _only_one(word, _units(loaded, history))
    _refuse_live(rerun, history, unit)
    stage = loaded.spec.stage(unit.stage)
    problems = about_secrets(stage, os.environ)
    if problems:
        raise UsageError(f"stage {stage.name}: {problems[0]}")
    past = history.units.get(unit.id)
    number = past.last_number + 1 if past is not None else 1
    placement = Placement(machine.host_name(), unit.cpus, unit.memory_bytes)
    task = Task(AttemptId(unit.id, number), unit, placement, rules_of(loaded.spec, stage))
    try:
        by_hand = hand.prepare(task, _context(rerun), touch=touch)
    except OSError as error:
        raise RecordError(f"{error.filename or unit.cwd}: {reason(error)}") from error
    named = [path for path in (unit.stdout, unit.stderr) if path is not None]
    return Prepared(unit, by_hand, [one.path for one in unit.outputs if one.path not in named])


def _units(loaded: Loaded, history: History) -> List[UnitSpec]:
    """Return all units of the run; those known late by what the journal has of earlier stages."""
    wanted = loaded.spec.capacity
    capacity = machine.capacity(
        cpus=wanted.cpus, memory_bytes=wanted.memory_bytes, jobs=loaded.spec.jobs
    )
    units: Dict[str, Sequence[UnitSpec]] = dict(loaded.expand_early(capacity))
    for name in in_order(loaded.spec):
        if name not in units and all(one in history.finals for one in _before(loaded, name)):
            units[name] = _expand_late(loaded, name, capacity, history)
    return [unit for stage in loaded.spec.stages for unit in units.get(stage.name, ())]


def _before(loaded: Loaded, name: str) -> List[str]:
    return upstream(loaded.spec.stage(name))


def _expand_late(loaded: Loaded, name: str, capacity: Capacity, history: History) -> List[UnitSpec]:
    outputs: Outputs = {}
    for before in _before(loaded, name):
        outputs[before] = []
        for unit_id in history.plan.get(before, ()):
            past = history.units.get(unit_id)
            last = past.last if past is not None else None
            if last is not None and last.verdict is Verdict.SUCCEEDED:
                outputs[before].append((unit_id, last.outputs))
    return loaded.expand(name, capacity, outputs)


def _only_one(word: str, units: Sequence[UnitSpec]) -> UnitSpec:
    exact = [unit for unit in units if unit.id == word]
    if exact:
        return exact[0]
    stages = list(dict.fromkeys(unit.stage for unit in units))
    require_hits([word], stages, [], units, option="")
    selector = selector_of([word])
    assert selector is not None
    found = [unit for unit in units if selector(unit)]
    if len(found) != 1:
        named = ", ".join(unit.id for unit in found[:5])
        more = ", ..." if len(found) > 5 else ""
        raise UsageError(f"--here runs one unit, and {word!r} means {len(found)}: {named}{more}")
    return found[0]


def _refuse_live(rerun: Rerun, history: History, unit: UnitSpec) -> None:
    past = history.units.get(unit.id)
    if past is None or past.open_launch is None:
        return
    left = rerun.live is not None or UnitsLock(rerun.rundir.units_lock).is_held()
    if left:
        who = f"process {past.open_pid}" if past.open_pid is not None else "a process"
        raise RunBusy(
            f"unit {unit.id} runs right now ({who}): a second one beside it would write the same"
            " files; wait for it, or stop the run"
        )


def _context(rerun: Rerun) -> RunContext:
    if not rerun.rundir.path.is_dir():
        raise RunUnfinished(f"{rerun.rundir.path} is gone")
    # Not the run's own id: what bears that is ended by the next sitting of the run.
    return RunContext(
        f"{rerun.begin.run_id}-here",
        inherited_environment(),
        rerun.rundir.log_paths,
        rerun.rundir.path,
    )

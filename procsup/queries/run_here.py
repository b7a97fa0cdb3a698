"""`retry --here`: starts one unit of a run in this terminal, and records nothing."""

import os
from typing import List, NamedTuple

from procsup.attempt import run_here as hand
from procsup.attempt.context import RunContext
from procsup.attempt.preflight import check_secrets
from procsup.core.facts import make_facts_before
from procsup.core.outcome import AttemptId
from procsup.core.replay import History
from procsup.core.selectors import Selection, refuse
from procsup.core.slots import make_placement
from procsup.core.spec import UnitSpec
from procsup.core.task import Task, make_rules
from procsup.errors import RecordError, RunBusy, RunUnfinished, UsageError
from procsup.host import identity
from procsup.host.files import describe_error
from procsup.host.inherited import get_inherited_environment
from procsup.host.units_lock import UnitsLock
from procsup.queries.current_units import CurrentUnits, list_units
from procsup.queries.retrying import Rerun
from procsup.store.history import read_history
from procsup.supervisor.requests import Request
from procsup.supervisor.resolved_request import load_source


class PreparedRun(NamedTuple):
    """A unit of a run, with its program and its environment, ready to start here."""

    unit: UnitSpec
    by_hand: hand.PreparedUnit
    outputs: List[str]  # the files that it may overwrite


def prepare(rerun: Rerun, made: Request, word: str, *, touch: bool) -> PreparedRun:
    """Find the selected unit and make its folders and files (unless `touch` is false).

    UsageError unless exactly one is selected, RunBusy if that unit is running.
    """
    history = read_history(rerun.rundir)
    loaded = load_source(made, may_be_open=True)
    unit = _choose_one(word, list_units(loaded, history), history)
    _refuse_live(rerun, history, unit)
    stage = loaded.spec.stage(unit.stage)
    problems = check_secrets(stage, os.environ)
    if problems:
        raise UsageError(f"stage {stage.name}: {problems[0]}")
    past = history.units.get(unit.id)
    number = past.last_number + 1 if past is not None else 1
    placement = make_placement(identity.get_host_name(), unit.cpus, unit.memory_bytes)
    task = Task(AttemptId(unit.id, number), unit, placement, make_rules(loaded.spec, stage))
    try:
        by_hand = hand.prepare(task, _make_context(rerun), touch=touch)
    except OSError as error:
        raise RecordError(f"{error.filename or unit.cwd}: {describe_error(error)}") from error
    named = [path for path in (unit.stdout, unit.stderr) if path is not None]
    return PreparedRun(unit, by_hand, [one.path for one in unit.outputs if one.path not in named])


def _choose_one(word: str, now: CurrentUnits, history: History) -> UnitSpec:
    selection = Selection([word], make_facts_before(history))
    selection.learn(now.units)
    stages = dict.fromkeys([unit.stage for unit in now.units], "")
    selection.set_stages({**stages, **now.unknown})
    refuse(selection)
    found = [unit for unit in now.units if selection(unit)]
    if len(found) != 1:
        named = ", ".join(unit.id for unit in found[:5])
        more = ", ..." if len(found) > 5 else ""
        raise UsageError(
            f"--here runs one unit, and {word!r} selects {len(found)}: name one of {named}{more}"
        )
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


def _make_context(rerun: Rerun) -> RunContext:
    if not rerun.rundir.path.is_dir():
        raise RunUnfinished(f"{rerun.rundir.path} is gone")
    # Not the run's own id: the next sitting ends processes that have it.
    return RunContext(
        f"{rerun.begin.run_id}-here",
        get_inherited_environment(),
        rerun.rundir.make_log_paths,
        rerun.rundir.path,
    )

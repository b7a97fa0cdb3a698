"""Selects runs, or logs of runs, for removal, and removes them one by one."""

import os
import re
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence

from procsup.core.outcome import AttemptId, Verdict
from procsup.core.regexes import compile_at_use
from procsup.errors import ProcsupError, RecordError
from procsup.queries.listing import ListedRun, look_at
from procsup.queries.view import find_own_run
from procsup.store import removal
from procsup.store.find import list_run_dirs
from procsup.store.history import read_history
from procsup.store.removal import RemovedFiles, Target
from procsup.store.rundir import RunDir

_LOG = compile_at_use(r"(.*\.)[0-9]+\.(?:out|err)", re.DOTALL)


class PruneItem(NamedTuple):
    """A run to remove, or only its `logs`; or the rest of an interrupted removal (`run` None)."""

    target: Target
    run: Optional[ListedRun]
    logs: Optional[List[str]]
    frees: RemovedFiles

    @property
    def path(self) -> Path:
        """Its path."""
        return self.target.path


class Choice(NamedTuple):
    """Which runs to remove: the named ones, or all older ones, or all but the newest `keep`."""

    runs: Sequence[str] = ()
    older_than_s: Optional[float] = None
    keep: Optional[int] = None
    logs: bool = False


class Plan(NamedTuple):
    """What to remove, and a sentence for each named or old run that stays."""

    items: List[PruneItem]
    left: List[str]
    refused: bool = False  # a run that the user named stays
    mounted: bool = False  # a run stays because of a mount


def plan_removal(choice: Choice, home: Optional[Path], *, start: str = ".") -> Plan:
    """Return what to remove, and change nothing. NoSuchRun for a name that no run has."""
    if choice.runs:
        found = [_find_named(run, start) for run in choice.runs]
        listed = list({one.rundir.path: one for one in found}.values())
    else:
        listed = [look_at(rundir) for rundir in list_run_dirs(home or start)]
    chosen = _choose_runs(listed, choice)
    items: List[PruneItem] = []
    problems: List[Exception] = []
    for one in chosen:
        try:
            items += _make_items(one, logs=choice.logs)
        except (OSError, RecordError) as error:  # noqa: PERF203
            problems.append(error)
    if home is not None and not choice.runs and not choice.logs:
        rests = removal.list_half_removed(home)
        items += [PruneItem(rest, None, None, removal.measure_sizes(rest.path)) for rest in rests]
    return Plan(
        items,
        [str(error) for error in problems],
        refused=bool(problems) and bool(choice.runs),
        mounted=any(isinstance(error, removal.Mounted) for error in problems),
    )


def _find_named(run: str, start: str) -> ListedRun:
    view = find_own_run(run, start, "prune")
    listed = look_at(view.rundir)
    view.require_latest(listed.run_id, f"is not the latest of {view.rundir.path}")
    return listed


def _choose_runs(listed: Sequence[ListedRun], choice: Choice) -> List[ListedRun]:
    now = time.time()
    newest_first = sorted(listed, key=lambda one: one.when, reverse=True)
    if choice.keep is not None:
        newest_first = newest_first[choice.keep :]
    if choice.older_than_s is None:
        return newest_first
    return [one for one in newest_first if now - one.when > choice.older_than_s]


def _make_items(one: ListedRun, *, logs: bool) -> List[PruneItem]:
    path, target = one.rundir.path, removal.make_target(one.rundir)
    if not logs:
        removal.refuse_mount_in(path)
        return [PruneItem(target, one, None, removal.measure_sizes(path))]
    paths = list(_list_needless_logs(one.rundir))
    return [PruneItem(target, one, paths, removal.measure_sizes(path, paths))] if paths else []


def _list_needless_logs(rundir: RunDir) -> Iterator[str]:
    """Yield the logs of all attempts of units that succeeded or are not in the plan any more."""
    history = read_history(rundir)
    stages = {name: stage for stage, units in history.plan.items() for name in units}
    listed: Dict[str, Dict[str, List[str]]] = {}  # by folder
    for name, unit in history.units.items():
        if unit.open_launch is not None:
            continue
        if name not in stages and history.run_final is None:
            continue  # its stage may still be planned
        if name in stages and not (unit.is_final and unit.verdict is Verdict.SUCCEEDED):
            continue
        stage = stages.get(name, name.partition("/")[0])
        first, _ = rundir.make_log_paths(AttemptId(name, 1), stage)
        folder = os.path.dirname(first)
        if folder not in listed:
            listed[folder] = _list_logs(folder)
        yield from listed[folder].get(os.path.basename(first)[: -len("1.out")], ())


def _list_logs(folder: str) -> Dict[str, List[str]]:
    """Return the logs in a folder, by the beginning of their names, which is their unit's.

    The number of attempts in a journal may be any: that of the files is not.
    """
    found: Dict[str, List[str]] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return found  # the stage has none
    for name in names:
        parts = _LOG.fullmatch(name)
        path = os.path.join(folder, name)
        if parts is not None and Path(path).is_file():
            found.setdefault(parts[1], []).append(path)
    return found


def carry_out(item: PruneItem) -> None:
    """Remove it. RunBusy if a supervisor has taken it, RecordError if it cannot be removed."""
    if item.run is None:
        removal.finish(item.target)
    elif item.logs is None:
        removal.remove_run(item.run.rundir, item.target)
    else:
        removal.remove_logs(item.run.rundir, item.target, item.logs)


def try_all(items: Sequence[PruneItem]) -> "List[ProcsupError]":
    """Remove one after the other; return the errors."""
    errors: List[ProcsupError] = []
    for one in items:
        try:
            carry_out(one)
        except ProcsupError as error:  # noqa: PERF203  the others go all the same
            errors.append(error)
    return errors

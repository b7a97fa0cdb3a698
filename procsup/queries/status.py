"""Reads the status of a run from its journal, its locks and its manifest."""

import time
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from procsup.core.facts import list_ends_that_count
from procsup.core.manifest import Head, parse_rfc3339
from procsup.core.plan.summary import StageStatus, StageTally
from procsup.core.quantities import show_duration
from procsup.core.records import End
from procsup.core.replay import History
from procsup.core.text import count_noun
from procsup.core.values import Value
from procsup.host.logfiles import LogPlaces
from procsup.queries.rows import make_ends_row, make_parameter_columns
from procsup.queries.selection import SelectedUnits
from procsup.queries.session_end import explain_end
from procsup.queries.view import RunView
from procsup.store.copies import find_origin
from procsup.store.history import read_history
from procsup.store.log_places import make_log_places
from procsup.store.reader import put_on_disk, read_journal
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner


class RunningUnit(NamedTuple):
    """An attempt that was started and has no end; `pid` is None in the first milliseconds."""

    unit: str
    attempt: int
    pid: Optional[int]
    since: float


class Status(NamedTuple):
    """The status of a run.

    `state` is ``running``, ``starting``, ``succeeded``, ``failed``, ``unfinished`` or ``empty``;
    `sentence` says it in words. `notes` describe errors of the records.
    """

    rundir: RunDir
    state: str
    sentence: str
    owner: Optional[Owner]
    history: History
    stages: List[StageTally]
    running: List[RunningUnit]
    failures: List[End]
    notes: List[str]

    def __repr__(self) -> str:
        done = sum(tally.done for tally in self.stages)
        planned = sum(tally.planned or 0 for tally in self.stages)
        units = count_noun(planned, "unit")
        if any(tally.grows for tally in self.stages):
            units = f"{planned}+ units"
        return f"<Status of {self.name}: {self.state}, {done} of {units} done>"

    @property
    def name(self) -> str:
        """The run's name; the name of its directory if no run was begun in it."""
        begin = self.history.begin
        return begin.name if begin is not None else self.rundir.path.name

    @property
    def copied_from(self) -> Optional[str]:
        """Where the original of these records is; None unless they are known to be a copy."""
        begin = self.history.begin
        return None if begin is None else find_origin(self.rundir, begin)

    @property
    def log_places(self) -> LogPlaces:
        """Where the logs of its units are read."""
        return make_log_places(self.rundir, self.history.begin)

    def parameters(self) -> Tuple[Mapping[str, Mapping[str, Value]], str]:
        """Return the parameters of the planned units, and the error if some are unknown.

        For stages that are not final they come from the present run file.
        """
        from procsup.queries.current_units import read_unit_parameters  # it may read the run file

        return read_unit_parameters(self.rundir, self.history)

    def rows(
        self, *units: str, parameters: Mapping[str, Mapping[str, Value]] = {}
    ) -> Iterator[Dict[str, Value]]:
        """Yield one flat row per planned unit, or per unit that the selectors select.

        A value that is not known yet is None. A unit's `parameters` are added to its row.
        UsageError if a selector selects no unit.
        """
        known = None
        if units:
            live = self.state == "running"
            known = SelectedUnits(units, self.rundir, self.history, live=live)
        for tally in self.stages:
            stage = tally.name
            for index, unit_id in enumerate(self.history.plan.get(stage, ())):
                if known is not None and not known.is_selected(unit_id):
                    continue
                kept = unit_id in self.history.kept and self.history.has_succeeded(unit_id)
                ends = list_ends_that_count(self.history, unit_id)
                stale = unit_id in self.history.stale
                row = make_ends_row(unit_id, stage, index, ends, kept=kept, stale=stale)
                yield {**row, **make_parameter_columns(parameters.get(unit_id, {}))}


def read_status(view: RunView) -> Status:
    """Read the status of a run.

    RunUnfinished if that run is no longer the latest. RecordError if a newer procsup wrote the
    journal: this version could misread it.
    """
    rundir, owner, live = view.rundir, view.owner, view.live
    journal = read_journal(rundir.journal, digesting=False)
    history = read_history(rundir, journal)
    journal.check_writable()
    put_on_disk(rundir.journal)
    view.require_latest(history.run_id)
    state, sentence = _find_state(view, history)
    running = [] if live is None else list(_list_running(history))
    stages = _list_stages(history, owner)
    return Status(
        rundir,
        state,
        sentence,
        owner,
        history,
        [
            _make_tally(history, name, {unit.unit for unit in running}, is_live=live is not None)
            for name in stages
        ],
        running,
        list(_list_failures(history, stages)),
        journal.damage,
    )


def _find_state(view: RunView, history: History) -> Tuple[str, str]:
    owner = view.owner
    if view.live is not None:
        return "running", f"running: {view.live.describe()}"
    if owner is not None and view.is_starting:
        return "starting", f"starting: {owner.describe()}"
    head = view.head()
    if head is not None and head.run_id == history.run_id:
        return head.status, f"{head.status}{_describe_age(head)}"
    if history.begin is None or owner is None:
        return "empty", "nothing was begun here"
    return "unfinished", explain_end(view.rundir, owner)


def _describe_age(head: Head) -> str:
    ended = parse_rfc3339(head.ended)
    return "" if ended is None else f", finished {show_duration(time.time() - ended)} ago"


def _list_stages(history: History, owner: Optional[Owner]) -> List[str]:
    """Return the stages of the present sitting; those of the plan if there is none yet.

    The plan still has stages that were since removed from the run file.
    """
    return list(owner.stages if owner is not None and owner.stages else history.plan)


def _make_tally(history: History, name: str, live: Set[str], *, is_live: bool) -> StageTally:
    tally = StageTally(name)
    units = history.plan.get(name)
    if units is not None:
        tally.planned, tally.status = len(units), StageStatus.OPEN
        tally.grows = history.grows(name)
        tally.kept = sum(
            1 for unit in units if unit in history.kept and history.has_succeeded(unit)
        )
        tally.stale = sum(1 for unit in units if unit in history.stale)
        tally.running = sum(1 for unit in units if unit in live)
    tally.verdicts = history.count_verdicts(name)
    tally.problem = history.problems.get(name, "")
    tally.held = history.held.get(name, "") if is_live and not history.ending else ""
    if history.leftover_files:
        for unit in units or ():
            tally.note_leftover_files(unit, history.leftover_files.get(unit))
    if name in history.finals:
        tally.status = StageStatus.of_record(history.finals[name].status)
        tally.enough = history.finals[name].enough
    return tally


def _list_running(history: History) -> Iterator[RunningUnit]:
    for unit_id, unit in history.units.items():
        launch = unit.open_launch
        if launch is not None:
            yield RunningUnit(unit_id, launch.attempt, unit.open_pid, launch.at)


def _list_failures(history: History, stages: Iterable[str]) -> Iterator[End]:
    for stage in stages:
        for unit_id in history.plan.get(stage, ()):
            unit = history.units.get(unit_id)
            if unit is not None and unit.is_final and unit.verdict and unit.verdict.is_failure:
                yield from list_ends_that_count(history, unit_id)[-1:]

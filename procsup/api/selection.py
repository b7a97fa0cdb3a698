"""Applies selectors to the units and results in a run's journal."""

import time
from typing import Any, Collection, Dict, Iterator, Mapping, Optional, Sequence

from procsup.core.records import End
from procsup.core.replay import History, UnitHistory
from procsup.core.selectors import Facts, FactsOf, Nameable, Named, Selection, facts_of
from procsup.errors import UsageError
from procsup.store.rundir import RunDir

_NOT_KNOWN: Mapping[str, Any] = {}


def selection_of(words: Optional[Sequence[str]]) -> Optional[Selection]:
    """Return the selection of these selectors; None without any, for all units."""
    return Selection(words) if words else None


def refuse(selection: Optional[Selection], later: Collection[str] = (), option: str = "") -> None:
    """Raise UsageError for a selector that certainly selects no unit.

    Units of the stages in `later` are not known yet.
    """
    complaint = selection.complaint(later) if selection is not None else ""
    if complaint:
        raise UsageError(f"{option}{complaint}")


def facts_before(history: History) -> FactsOf:
    """Return a lookup of units' results before a sitting, in this run or an earlier one."""

    def facts(unit: Nameable) -> Facts:
        past = history.units.get(unit.id)
        if past is None or past.open_launch is None:
            return facts_of(past.ends if past is not None else ())
        return Facts(columns={"tries": len(past.ends) + 1})

    return facts


def facts_now(history: History, *, live: bool) -> FactsOf:
    """Return a lookup of units' states in this run; open attempts are running if it is live."""
    now = time.time()

    def facts(unit: Nameable) -> Facts:
        past = history.units.get(unit.id)
        launch = past.open_launch if past is not None else None
        if past is not None and launch is not None and live:
            ends = past.ends if past.generation == history.generation else ()
            return facts_of(ends, running_s=max(now - launch.at, 0.0))
        return facts_of(ends_that_count(history, unit.id))

    return facts


def ends_that_count(history: History, unit_id: str) -> Sequence[End]:
    """Return the ends that count in the present run: its own, or those that it keeps."""
    unit: Optional[UnitHistory] = history.units.get(unit_id)
    if unit is None or unit.open_launch is not None:
        return []
    if unit.generation != history.generation and unit_id not in history.kept:
        return []
    return unit.ends


class Known:
    """The planned units of a run that selectors select; without selectors, all.

    UsageError if a selector selects none; units of the stages in `later` may still be planned.
    """

    def __init__(
        self,
        words: Sequence[str],
        rundir: RunDir,
        history: History,
        *,
        live: bool,
        later: Sequence[str] = (),
    ) -> None:
        self._rundir = rundir
        self._history = history
        self._selection = Selection(words, facts_now(history, live=live))
        self._units: Dict[str, Named] = {}
        self._learn()
        if self._selection.complaint(later):
            from procsup.api.known import stages_of  # it may read the run file

            self._selection.set_stages(stages_of(rundir, history))
            refuse(self._selection, later)

    def meant(self) -> Iterator[Named]:
        """Yield the selected units, in the order of the plan."""
        return (unit for unit in self._units.values() if self._selection(unit))

    def means(self, unit_id: str) -> bool:
        """Return whether a unit is selected; it may have been planned since."""
        if unit_id not in self._units:
            self._learn()
        unit = self._units.get(unit_id)
        return unit is not None and self._selection(unit)

    def _learn(self) -> None:
        parameters: Mapping[str, Mapping[str, Any]] = {}
        ids = {unit for units in self._history.plan.values() for unit in units}
        if self._selection.needs_parameters(ids):
            from procsup.api.known import parameters_of  # it may read the run file

            parameters, problem = parameters_of(self._rundir, self._history)
            if problem:
                raise UsageError(f"what parameters the units have is not known: {problem}")
        for stage, names in self._history.plan.items():
            units = [Named(name, stage, parameters.get(name, _NOT_KNOWN)) for name in names]
            units = [unit for unit in units if unit.id not in self._units]
            self._units.update((unit.id, unit) for unit in units)
            self._selection.learn(units, stage)

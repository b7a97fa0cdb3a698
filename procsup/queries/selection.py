"""Applies selectors to the units and results in a run's journal."""

import time
from typing import Any, Dict, Iterator, Mapping, Sequence

from procsup.core.facts import make_facts_now
from procsup.core.replay import History
from procsup.core.selectors import Named, Selection, refuse
from procsup.core.spec import UnitSpec
from procsup.errors import UsageError
from procsup.store.rundir import RunDir

_NOT_KNOWN: Mapping[str, Any] = {}


class SelectedUnits:
    """The planned units of a run that selectors select; without selectors, all.

    `more` are units of stages that are not planned, but known. UsageError if a selector selects
    none; units of the stages in `later` may still be planned.
    """

    def __init__(
        self,
        words: Sequence[str],
        rundir: RunDir,
        history: History,
        *,
        live: bool,
        later: Sequence[str] = (),
        more: Mapping[str, Sequence[UnitSpec]] = _NOT_KNOWN,
    ) -> None:
        self._rundir = rundir
        self._history = history
        self._selection = Selection(words, make_facts_now(history, live=live, at=time.time()))
        self._units: Dict[str, Named] = {}
        self._learn()
        for stage, units in more.items():
            self._add(stage, [Named(unit.id, stage, unit.parameters) for unit in units])
        if self._selection.find_complaint(later):
            from procsup.queries.current_units import list_stages  # it may read the run file

            self._selection.set_stages({**list_stages(rundir, history), **dict.fromkeys(more, "")})
            refuse(self._selection, later)

    def list_selected(self) -> Iterator[Named]:
        """Yield the selected units, in the order of the plan."""
        return (unit for unit in self._units.values() if self._selection(unit))

    def is_selected(self, unit_id: str) -> bool:
        """Return whether a unit is selected; it may have been planned since."""
        if unit_id not in self._units:
            self._learn()
        unit = self._units.get(unit_id)
        return unit is not None and self._selection(unit)

    def _learn(self) -> None:
        parameters: Mapping[str, Mapping[str, Any]] = {}
        ids = {unit for units in self._history.plan.values() for unit in units}
        if self._selection.needs_parameters(ids):
            from procsup.queries.current_units import (
                read_unit_parameters,  # it may read the run file
            )

            parameters, problem = read_unit_parameters(self._rundir, self._history)
            if problem:
                raise UsageError(f"what parameters the units have is not known: {problem}")
        for stage, names in self._history.plan.items():
            new = [name for name in names if name not in self._units]
            self._add(stage, [Named(one, stage, parameters.get(one, _NOT_KNOWN)) for one in new])

    def _add(self, stage: str, units: Sequence[Named]) -> None:
        self._units.update((unit.id, unit) for unit in units)
        self._selection.learn(units, stage)

"""Explains why a unit of a live run has not started, from the run's records."""

from typing import Dict, List, Mapping, Optional

from procsup.core.outcome import Verdict
from procsup.core.quantities import show_duration, show_time
from procsup.core.replay import History, UnitHistory
from procsup.core.selectors import Selection
from procsup.core.slots import Capacity, Slots, compute_needs
from procsup.core.spec import RunSpec, StageSpec, UnitSpec, list_upstream
from procsup.core.text import count_noun

SOON = "nothing on record holds it: it is about to start"
_ENDING = {
    "drain": "nothing more is started: the run is being drained",
    "stop": "nothing more is started: the run is being stopped",
}


class Waits:
    """Explains the waiting units of a run with a live supervisor.

    `units` are all units that are known, by id; `at` is the present time, in seconds since 1970.
    """

    def __init__(
        self,
        spec: RunSpec,
        units: Mapping[str, UnitSpec],
        history: History,
        capacity: Capacity,
        *,
        at: float,
    ) -> None:
        self._stages = {stage.name: stage for stage in spec.stages}
        self._units = units
        self._history = history
        self._at = at
        self._capacity = capacity
        self._slots = Slots(capacity)
        self._running: Dict[str, List[str]] = {}  # by stage
        for name, past in history.units.items():
            if past.open_launch is not None:
                self._slots.take(past.open_launch.placement)
                self._running.setdefault(name.partition("/")[0], []).append(name)
        self._queues: Dict[str, Dict[str, int]] = {}  # units that wait only for room, in order
        self._selected: Optional[Selection] = None
        begin = history.begin
        if begin is not None and begin.selected:
            self._selected = Selection(begin.selected)
            for name in self._stages:
                self._selected.learn([one for one in units.values() if one.stage == name], name)

    def explain(self, unit: UnitSpec) -> str:
        """Return why a unit without a verdict and a live attempt has not started."""
        return (
            self._explain_early_end()
            or self._is_left_alone(unit)
            or self._explain_stage_before(unit)
            or self._explain_unit_before(unit)
            or self._explain_delay(unit)
            or self._explain_room(unit)
        )

    def _explain_early_end(self) -> str:
        return _ENDING.get(self._history.ending, "")

    def _is_left_alone(self, unit: UnitSpec) -> str:
        begin, selected = self._history.begin, self._selected
        if begin is None or selected is None or selected(unit):
            return ""
        words = " ".join(begin.selected)
        if selected.asks_facts:
            return ""  # the request for them began the sitting
        return f"it is left alone: --only selected {words}"

    def _explain_stage_before(self, unit: UnitSpec) -> str:
        stage = self._stages[unit.stage]
        followed = stage.for_each if stage.unit_wise else ()
        for name in list_upstream(stage):
            if name not in self._history.finals and name not in followed:
                return f"it waits for {self._explain_progress(name)}"
        return ""

    def _explain_progress(self, stage: str) -> str:
        planned = self._history.plan.get(stage)
        if planned is None:
            return f"all of stage {stage}, whose units are not known yet"
        done = sum(self._history.count_verdicts(stage).values())
        return f"all of stage {stage} ({done} of {count_noun(len(planned), 'unit')} done)"

    def _explain_unit_before(self, unit: UnitSpec) -> str:
        due = [one for one in unit.follows if not self._has_succeeded(one)]
        if not due:
            return ""
        more = f" and {len(due) - 1} more" if len(due) > 1 else ""
        past = self._history.units.get(due[0])
        runs = past is not None and past.open_launch is not None
        return f"it waits for {due[0]}{more}, which {'runs' if runs else 'waits, too'}"

    def _has_succeeded(self, unit_id: str) -> bool:
        return self._history.find_final_verdict(unit_id) is Verdict.SUCCEEDED

    def _explain_delay(self, unit: UnitSpec) -> str:
        due = self._find_due(unit)
        if due is None:
            return ""
        when = show_time(due, "%H:%M:%S")
        return f"its next attempt is made at {when}, in {show_duration(due - self._at)}"

    def _find_due(self, unit: UnitSpec) -> Optional[float]:
        """Return the time of its next attempt, None if that is not in the future."""
        past = self._find_history(unit)
        last = past.last if past is not None else None
        delay_s = self._stages[unit.stage].retry.delay_s
        if last is None or last.final or not last.counts or last.at + delay_s <= self._at:
            return None
        return last.at + delay_s

    def _find_history(self, unit: UnitSpec) -> Optional[UnitHistory]:
        """Return the history of a unit in the present run, None if it has none."""
        past = self._history.units.get(unit.id)
        return past if past is not None and past.generation == self._history.generation else None

    def _explain_room(self, unit: UnitSpec) -> str:
        stage = self._stages[unit.stage]
        running = len(self._running.get(stage.name, ()))
        if stage.jobs is not None and running >= stage.jobs:
            most = count_noun(running, "unit")
            return f"it waits for a unit of its stage to end: {most} may run at once"
        lacks = self._explain_lacks(stage, unit)
        if lacks:
            return f"it waits for {lacks}"
        queue = self._explain_queue(stage)
        ahead = queue.get(unit.id, 0)
        first = self._units[next(iter(queue))] if ahead else unit
        lacks = self._explain_lacks(stage, first) if ahead else ""
        if lacks:
            before = count_noun(ahead, "unit")
            return f"it waits behind {before}, of which {first.id} waits for {lacks}"
        begin = self._history.begin
        if self._selected is not None and begin is not None:
            return f"{SOON}, if {' '.join(begin.selected)} selected it"
        return SOON

    def _explain_lacks(self, stage: StageSpec, unit: UnitSpec) -> str:
        past = self._find_history(unit)
        tried = past.tried if past is not None else 0
        return self._slots.describe_lack(
            compute_needs(stage, unit, tried, self._capacity.memory_bytes)
        )

    def _explain_queue(self, stage: StageSpec) -> Dict[str, int]:
        if stage.name not in self._queues:
            known = (self._units.get(name) for name in self._history.plan.get(stage.name, ()))
            ready = [unit for unit in known if unit is not None and self._is_ready(unit)]
            ready.sort(key=lambda unit: -unit.priority)
            self._queues[stage.name] = {unit.id: place for place, unit in enumerate(ready)}
        return self._queues[stage.name]

    def _is_ready(self, unit: UnitSpec) -> bool:
        past = self._history.units.get(unit.id)
        if self._history.find_final_verdict(unit.id) is not None:
            return False
        if past is not None and past.open_launch is not None:
            return False
        return not (
            self._is_left_alone(unit)
            or self._explain_unit_before(unit)
            or self._explain_delay(unit)
        )

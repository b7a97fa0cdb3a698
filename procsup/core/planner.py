"""The state machine over the whole run: facts in, orders out.

One `handle` per turn of the loop. It never acts and never reads a clock; tests give it histories
of facts. ``states.py`` has the states of a unit, ``attempts.py`` the transitions between them,
``admission.py`` the beginning of a stage's units, ``succession.py`` the order of stages. This
module hands each fact to one of them.
"""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from procsup.core.admission import Admission, Selector
from procsup.core.again import try_again
from procsup.core.attempts import Attempts
from procsup.core.calling_off import call_off
from procsup.core.events import (
    Asked,
    Ended,
    Expanded,
    Fact,
    Inspected,
    Interrupted,
    Order,
    Published,
    Sampled,
    Settled,
    Standing,
    Started,
    Synced,
    TakenBack,
    UnitResult,
    Weighed,
    Write,
)
from procsup.core.making import made_of
from procsup.core.outcome import StopReason
from procsup.core.records import Answer, Begin, Closed, End, Planned, Record
from procsup.core.replay import History
from procsup.core.selectors import Selection
from procsup.core.slots import Capacity
from procsup.core.spec import RunSpec, UnitSpec
from procsup.core.stages import Stage, later_first
from procsup.core.states import Unit
from procsup.core.succession import Succession
from procsup.core.tally import EarlyEnd, Summary
from procsup.core.task import rules_of
from procsup.core.text import plural

_PLAN_CHUNK = 500  # units in one record


class Planner:
    """What to do next, for all units of a run.

    `outcome` is None until `done`; then ``succeeded`` or ``failed`` if the run is final, or an
    empty text if the sitting ended before that (`closing` says why).
    """

    def __init__(
        self,
        spec: RunSpec,
        capacity: Capacity,
        history: History,
        *,
        selector: Optional[Selector] = None,
        named: Sequence[Selection] = (),
    ) -> None:
        self.spec = spec
        self.capacity = capacity
        self.summary = Summary([stage.name for stage in spec.stages])
        self.stages = [
            Stage(stage, self.summary.stages[stage.name], rules_of(spec, stage))
            for stage in spec.stages
        ]
        self.by_name = {stage.name: stage for stage in self.stages}
        self.later_first = later_first(self.stages)
        self.moved = True  # a stage may now be unblocked, final or withdrawn
        self.run_status: Optional[str] = None  # from the order to publish the run on
        self.outcome: Optional[str] = None
        self.run_id = ""
        self.closing = ""  # why the sitting ended before the run was final
        self.complaint = ""  # a selector selects no unit of any stage
        self.interrupted_by: Optional[int] = None
        self.seq = history.last_seq
        self.now = 0.0
        self.wall = 0.0
        self.orders: List[Order] = []
        self._unsettled: List[Tuple[int, Stage, End]] = []
        self.admission = Admission(self, history, selector)
        self._named = named
        self.attempts = Attempts(self)
        self._succession = Succession(self, self.admission)

    @property
    def done(self) -> bool:
        """The sitting is over: no unit is live, and all publications are done."""
        return self.outcome is not None

    @property
    def is_idle(self) -> bool:
        """No attempt is live or being inspected, and every verdict is on disk."""
        return not self.attempts.any_live and not self._unsettled

    def begin(self, begin: Begin, lost: Iterable[End]) -> List[Order]:
        """Open the sitting; `lost` are the ends that dead sittings did not record."""
        self.run_id = begin.run_id
        self.write(begin)
        for end in lost:
            self.write(end)
        return self._take_orders()

    def handle(self, facts: Iterable[Fact], now: float, wall: float) -> List[Order]:
        """Take the facts and return the orders; `now` is monotonic, `wall` for records."""
        self.now, self.wall = now, wall
        for fact in facts:
            _HANDLERS[type(fact)](self, fact)
        self.attempts.record_spawned()
        self.attempts.meet_deadlines()
        self._succession.settle_stages()
        if not self.summary.ending:
            self.attempts.fill_slots()
        self._succession.close_if_over()
        return self._take_orders()

    def next_deadline(self) -> Optional[float]:
        """The monotonic time at which `handle` must be called even if nothing happens."""
        return self.attempts.next_deadline()

    def results(self, stage: Optional[str] = None) -> Iterator[UnitResult]:
        """The units that have a verdict, with their ends, in order: of a stage or of the run.

        Another thread may read those that a `Publish` names: they do not change any more.
        """
        for candidate in self.stages:
            if stage is None or candidate.name == stage:
                yield from candidate.results()

    # --- facts ---------------------------------------------------------------------------

    def _on_started(self, fact: Started) -> None:
        self.attempts.on_started(fact)

    def _on_sampled(self, fact: Sampled) -> None:
        self.attempts.on_sampled(fact)

    def _on_ended(self, fact: Ended) -> None:
        self.attempts.on_ended(fact)

    def _on_inspected(self, fact: Inspected) -> None:
        self.attempts.on_inspected(fact)

    def _on_expanded(self, fact: Expanded) -> None:
        self.moved = True
        self.admission.take(fact)
        self._check_words()

    def _check_words(self) -> None:
        """Start nothing more if a selector selects no unit of any stage."""
        later = [one.name for one in self.stages if not one.expanded or one.tally.problem]
        for selection in self._named:
            self.complaint = self.complaint or selection.complaint(later)
        if self.complaint:
            self.end_early(EarlyEnd.DRAINING, self.complaint)

    def _on_weighed(self, fact: Weighed) -> None:
        self.admission.take_again(fact)

    def _on_synced(self, fact: Synced) -> None:
        settled = 0
        for seq, stage, end in self._unsettled:
            if seq > fact.seq:
                break
            settled += 1
            stage.unsettled -= 1
            self.moved |= not stage.unsettled and not stage.undecided
            self.orders.append(Settled(end))
        del self._unsettled[:settled]

    def _on_taken_back(self, fact: TakenBack) -> None:
        self._succession.on_taken_back(fact)

    def _on_published(self, fact: Published) -> None:
        self._succession.on_published(fact)

    def _on_interrupted(self, fact: Interrupted) -> None:
        if self.run_status is not None:
            return  # nothing lives, and the run is final: it ends by its outcome
        again = self.summary.ending >= EarlyEnd.INTERRUPTED
        self.interrupted_by = fact.signum if fact.signum is not None else self.interrupted_by
        by_whom = fact.reason if fact.signum is None else f"interrupted by {fact.reason}"
        self.end_early(EarlyEnd.INTERRUPTED, by_whom)
        self.attempts.stop_all(StopReason.USER)
        if again or fact.signum is None:
            self.attempts.kill_all()

    def _on_asked(self, fact: Asked) -> None:
        units: Tuple[str, ...] = ()
        if self.run_status is not None and fact.verb in ("stop", "stop-units", "drain"):
            ok, message = True, f"the run is final ({self.run_status}): nothing of it runs any more"
        elif fact.verb == "stop":
            ok, message = True, self._stop(fact.grace_s)
        elif fact.verb == "drain":
            ok, message = True, self._drain()
        elif fact.verb == "stop-units":
            ok, message, units = call_off(self, fact.units, fact.grace_s)
        elif fact.verb == "retry":
            ok, message = try_again(self, fact.units)
        else:
            ok, message = False, f"unknown request {fact.verb!r}"
        self.write(Answer(fact.request, fact.verb, ok, message, units))

    def _stop(self, grace_s: Optional[float]) -> str:
        self.attempts.grace_s = grace_s
        self.end_early(EarlyEnd.STOPPING, "stopped by request")
        self.attempts.shorten_grace()
        self.attempts.stop_all(StopReason.USER)
        return f"stopping {plural(self.summary.running, 'running unit')}"

    def _drain(self) -> str:
        if self.summary.ending > EarlyEnd.DRAINING:
            return f"nothing more is started: {self.closing}"
        self.end_early(EarlyEnd.DRAINING, "drained by request")
        running = plural(self.summary.running, "running unit")
        return f"nothing more is started; {running} left to finish"

    # --- for its parts -------------------------------------------------------------------

    def unit(self, unit_id: str) -> Unit:
        """Return a planned unit by its id; KeyError if there is none."""
        return self.by_name[unit_id.partition("/")[0]].by_id[unit_id]

    def end_early(self, ending: EarlyEnd, reason: str) -> None:
        """Start nothing more in this sitting; of several reasons the highest, then latest stays.

        So a drain requested after Ctrl-C does not replace its reason, and the next Ctrl-C still
        kills.
        """
        if ending >= self.summary.ending:
            self.moved = True
            self.summary.ending = ending
            self.closing = reason

    def write(self, record: Record) -> int:
        """Order a record to be appended; return the number that it will have."""
        self.seq += 1
        self.orders.append(Write(record))
        return self.seq

    def write_plan(
        self, stage: str, units: Sequence[UnitSpec], standings: Sequence[Standing]
    ) -> None:
        """Write the plan of a stage, in as many records as it takes."""
        for start in range(0, max(len(units), 1), _PLAN_CHUNK):
            end = start + _PLAN_CHUNK
            some = units[start:end]
            # Kept units have the same arguments and parameters as in an earlier plan.
            same = standings and all(one.kept for one in standings[start:end])
            made = None if same else made_of(some, self.spec.folder)
            self.write(Planned(stage, [unit.id for unit in some], end >= len(units), made=made))

    def await_sync(self, seq: int, stage: Stage, end: End) -> None:
        """Settle this verdict once its record is on disk."""
        stage.unsettled += 1
        self._unsettled.append((seq, stage, end))

    def close(self, outcome: str) -> None:
        """The sitting is over."""
        if not outcome:
            self.write(Closed(self.wall, self.closing))
        self.outcome = outcome

    def _take_orders(self) -> List[Order]:
        orders, self.orders = self.orders, []
        return orders


_HANDLERS: Dict[type, Callable[[Planner, Any], None]] = {
    Started: Planner._on_started,
    Sampled: Planner._on_sampled,
    Ended: Planner._on_ended,
    Inspected: Planner._on_inspected,
    Synced: Planner._on_synced,
    Expanded: Planner._on_expanded,
    Weighed: Planner._on_weighed,
    Asked: Planner._on_asked,
    Interrupted: Planner._on_interrupted,
    TakenBack: Planner._on_taken_back,
    Published: Planner._on_published,
}

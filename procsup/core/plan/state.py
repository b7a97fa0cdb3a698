"""All that a plan knows: its stages and their units, its live attempts, its end, and one outbox.

The functions of the other modules change it; see ``reactor.py``. A method here changes fields that
belong together, and decides nothing.
"""

from collections import deque
from enum import Enum
from typing import (
    Callable,
    Deque,
    Dict,
    Iterator,
    List,
    Optional,
    Sequence,
    Set,
    Tuple,
    ValuesView,
)

import msgspec

from procsup.core.events import (
    Order,
    Rerun,
    Settled,
    Spill,
    Standing,
    Started,
    UnitResult,
    Write,
)
from procsup.core.manifest import StageCounts, count
from procsup.core.outcome import AttemptId, Reading, Verdict
from procsup.core.plan.pacing import Deadlines, Gauge, RunTimes, Shortage
from procsup.core.plan.summary import EarlyEnd, StageStatus, StageTally, Summary
from procsup.core.plan.units import ASIDE, DONE, READY, Done, Unit, Waiting
from procsup.core.records import Closed, End, Record
from procsup.core.replay import History
from procsup.core.selectors import Selection
from procsup.core.slots import Capacity, Needs, Slots, compute_needs
from procsup.core.spec import RunSpec, StageSpec, UnitSpec, list_upstream, list_whole_upstream
from procsup.core.task import Program, Rules, make_rules
from procsup.core.versions import Version

Selector = Callable[[UnitSpec], bool]
_MOST_SETTLED = 500  # units that are forgotten together


class Withdrawal(Enum):
    """How far the withdrawal of a stage's older manifest is, if there is one."""

    NOT_DUE = 0
    ORDERED = 1
    DONE = 2  # units may start


class Stage:
    """One stage of the plan; `tally.status` is its status."""

    def __init__(self, spec: StageSpec, tally: StageTally, rules: Rules) -> None:
        self.spec = spec
        self.rules = rules
        self.tally = tally
        self.upstream = list_upstream(spec)
        self.whole_upstream = list_whole_upstream(spec)
        self.made_before: Dict[str, Version] = {}  # of the whole stages before it
        self.by_id: Dict[str, Unit] = {}  # in the order of the plan
        self.spills = False  # it forgets units that succeeded
        self.settled: List[Unit] = []  # units that it will forget next
        self.ready: Deque[Unit] = deque()
        self.undecided = 0  # units without a verdict, including those left aside
        self.unsettled = 0  # verdicts that are not on disk yet
        self.left_aside = False  # some unit was left without a verdict
        self.withdrawal = Withdrawal.NOT_DUE
        self.outcome: Optional[StageStatus] = None  # from the order to publish it on
        self.halted = False  # nothing more of it is started
        self.program: Optional[str] = None  # the sha256 of its script or module file
        self.newest_made = 0  # number of the newest record that changed outputs
        self.standings: List[Standing] = []  # until it is unblocked
        self.unfit: Dict[str, str] = {}
        self.reasons: Dict[str, int] = {}  # why units run, with their numbers
        self.room_for: Optional[Tuple[object, ...]] = None  # the last needs that can fit
        self.leftovers: Optional[Dict[str, Set[str]]] = None  # see ``leftover_notes.py``
        self.passed_over = False  # skipped before its units were known
        self.was_cut = False  # it was ended before all its units were made
        self.is_asked = False  # more units were requested, and have not come yet
        self.run_times = RunTimes()
        self.limit_s = spec.timeout_s  # the wall time of its units, as far as it is known
        # The monotonic times of its pace: no start before, look again, since when it waits.
        self.not_before = 0.0
        self.look_at: Optional[float] = None
        self.held_since: Optional[float] = None
        self.has_held = False  # `news` has a line about its first wait

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.spec.name

    def run(self, program: Optional[Program]) -> None:
        """Set the file that its units run; each start reads it again."""
        if program is not None:
            self.program = program.sha256
            self.rules = msgspec.structs.replace(self.rules, program=program.path)

    @property
    def units(self) -> ValuesView[Unit]:
        """Its units in the order of the plan, but for those that were forgotten (see `Spill`)."""
        return self.by_id.values()

    @property
    def has_forgotten(self) -> bool:
        """Whether some units were forgotten."""
        return len(self.by_id) < (self.tally.planned or 0)

    @property
    def expanded(self) -> bool:
        """Its units are known."""
        return self.tally.planned is not None

    @property
    def is_open(self) -> bool:
        """Whether its units may start: each waits only for units that it follows, or for room."""
        return self.tally.status >= StageStatus.OPEN

    @property
    def may_move(self) -> bool:
        """Whether some unit of it has run in this sitting, or may run."""
        return self.undecided > 0 or self.tally.kept < (self.tally.planned or 0)

    def has_room(self) -> bool:
        """Whether one more unit may run: older manifests are withdrawn, and its `jobs` allow it."""
        has_slot = self.spec.jobs is None or self.tally.running < self.spec.jobs
        return has_slot and self.withdrawal is Withdrawal.DONE

    def needs(self, unit: Unit, memory_limit: Optional[int]) -> Needs:
        """Return what the next attempt of a unit needs; a retry may need more memory."""
        return compute_needs(self.spec, unit.spec, unit.tried, memory_limit)

    def line_up(self, unit: Unit) -> None:
        """Add a unit that is ready behind all that have at least its priority."""
        at = len(self.ready)
        for other in reversed(self.ready):
            if other.spec.priority >= unit.spec.priority:
                break
            at -= 1
        self.ready.insert(at, unit)

    def reopen(self, unit: Unit) -> None:
        """Take a unit's verdict back, and count its tries from zero."""
        if not isinstance(unit.state, Done):
            raise AssertionError(f"{unit.spec.id} is opened again while it is {unit.state}")
        verdict = unit.state.verdict
        self.undecided += 1
        self.tally.verdicts[verdict] -= 1
        unit.kept = unit.stale = False
        unit.tried = unit.shortages = 0

    def is_complete(self) -> bool:
        """Every unit has its verdict, and all of them are on disk."""
        is_whole = self.expanded and not self.tally.grows
        return self.undecided == 0 and self.unsettled == 0 and is_whole

    def status(self) -> StageStatus:
        """The status of a complete stage."""
        if self.passed_over:
            return StageStatus.SKIPPED
        if self.tally.problem:
            return StageStatus.FAILED
        if self.tally.succeeded == self.tally.planned or self._is_enough():
            return StageStatus.SUCCEEDED
        if self.tally.verdicts.get(Verdict.SKIPPED, 0) == self.tally.planned:
            return StageStatus.SKIPPED
        return StageStatus.FAILED

    def _is_enough(self) -> bool:
        """Whether `enough` ended it as succeeded: of those that are done none may have failed."""
        policy, verdicts = self.spec.enough, self.tally.verdicts
        if policy is None or not self.tally.enough:
            return False
        return policy.of == "succeeded" or not any(
            one.is_failure for one in verdicts if verdicts[one]
        )

    def counts(self) -> StageCounts:
        """The counts for the manifest of a stage."""
        tally, status = self.tally, self.outcome or self.tally.status
        more = {"problem": tally.problem, "enough": tally.enough}
        return count(status.word, tally.verdicts, kept=tally.kept, **more)

    def results(self) -> Iterator[UnitResult]:
        """The units with their ends, in order: the lines of its manifest that were not spilled."""
        for unit in self.units:
            if unit.packed:
                yield make_result(unit)

    def forget_settled(self) -> Spill:
        """Forget the units that succeeded and are on disk; return the order that keeps them."""
        for unit in self.settled:
            del self.by_id[unit.spec.id]
        results = tuple(map(make_result, self.settled))
        self.settled = []
        return Spill(results)

    def outputs(self) -> List[Tuple[str, Tuple[Reading, ...]]]:
        """The outputs of its succeeded units, in order."""
        last_ends = (unit.ends[-1] for unit in self.units if unit.packed)
        return [
            (last.unit, last.outputs) for last in last_ends if last.verdict is Verdict.SUCCEEDED
        ]


class Pacing:
    """What limits starts besides slots: refusals of the system, and the pace of some stages."""

    def __init__(self, stages: List[Stage]) -> None:
        self.shortage: Optional[Shortage] = None
        self.stages = stages
        self.gauge = Gauge()


class Plan:
    """What is known of all units of a run in one sitting.

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
        self.history = history  # of the sittings before
        self.selector = selector  # None: all units
        self.named = named  # the user's selectors; one that selects nothing is an error
        self.summary = Summary([stage.name for stage in spec.stages])
        tallies = self.summary.stages
        self.stages = [Stage(one, tallies[one.name], make_rules(spec, one)) for one in spec.stages]
        self.by_name = {stage.name: stage for stage in self.stages}
        self.later_first = _sort_later_first(self.stages)
        self.pacing = Pacing([stage for stage in self.stages if stage.spec.pace is not None])
        self.awaited = {name for stage in self.stages for name in stage.upstream}
        # Attempts
        self.slots = Slots(capacity)
        self.live: Dict[AttemptId, Tuple[Stage, Unit]] = {}  # includes those being inspected
        self.newborn: List[Started] = []  # in this turn
        self.deadlines = Deadlines()
        self.grace_s: Optional[float] = None  # of `procsup stop --grace`
        # Units
        self.growing: List[Stage] = []  # stages whose units are not all known while they run
        self.in_doubt: Dict[str, List[str]] = {}  # stage -> units to weigh again
        self.looking = 0  # `Weigh` orders without an answer yet
        self.reruns: Optional[Dict[str, Rerun]] = None  # of each unit that runs, in a rehearsal
        # Records
        self.outbox: List[Order] = []
        self.seq = self.base_seq = history.last_seq
        self.kept: Dict[Tuple[str, bool, bool], List[str]] = {}  # to record, see `record_kept`
        self.unsettled: List[Tuple[int, Stage, End]] = []
        self._changed = True  # a stage may now be unblocked, final or withdrawn
        self.run_id = ""
        self.run_status: Optional[str] = None  # from the order to publish the run on
        self.outcome: Optional[str] = None
        self.closing = ""  # why the sitting ended before the run was final
        self.complaint = ""  # a selector selects no unit of any stage
        self.interrupted_by: Optional[int] = None
        self.now = self.wall = 0.0

    @property
    def done(self) -> bool:
        """The sitting is over: no unit is live, and all publications are done."""
        return self.outcome is not None

    @property
    def is_idle(self) -> bool:
        """No attempt is live or being inspected, and every verdict is on disk."""
        return not self.live and not self.unsettled

    def unit(self, unit_id: str) -> Unit:
        """Return a planned unit by its id; KeyError if there is none."""
        return self.by_name[unit_id.partition("/")[0]].by_id[unit_id]

    def list_followed(self, spec: UnitSpec) -> List[Unit]:
        """Return the units that one follows, but for those that succeeded and were forgotten."""
        known = ((name, self.by_name[name.partition("/")[0]]) for name in spec.follows)
        return [stage.by_id[name] for name, stage in known if name in stage.by_id]

    def get_stage(self, unit: Unit) -> Stage:
        """Return the stage of a unit."""
        return self.by_name[unit.spec.stage]

    def results(self, stage: Optional[str] = None) -> Iterator[UnitResult]:
        """The units that have a verdict, with their ends, in order: of a stage or of the run.

        Another thread may read those that a `Publish` names: they do not change any more.
        """
        for candidate in self.stages:
            if stage is None or candidate.name == stage:
                yield from candidate.results()

    # --- records -------------------------------------------------------------------------

    def write(self, record: Record) -> int:
        """Order a record to be appended; return the number that it will have."""
        self.seq += 1
        self.outbox.append(Write(record))
        return self.seq

    def take_orders(self) -> List[Order]:
        """Empty the outbox."""
        orders, self.outbox = self.outbox, []
        return orders

    def await_sync(self, seq: int, stage: Stage, end: End) -> None:
        """Report this end as `Settled` once its record is on disk."""
        stage.unsettled += 1
        self.unsettled.append((seq, stage, end))

    def settle(self, seq: int) -> None:
        """Report the ends whose records, up to this number, are on disk."""
        settled = 0
        for number, stage, end in self.unsettled:
            if number > seq:
                break
            settled += 1
            stage.unsettled -= 1
            self._changed |= not stage.unsettled and not stage.undecided
            self.outbox.append(Settled(end))
            if stage.spills and end.final and end.verdict is Verdict.SUCCEEDED:
                stage.settled.append(stage.by_id[end.unit])
                if len(stage.settled) == _MOST_SETTLED:
                    self.outbox.append(stage.forget_settled())
        del self.unsettled[:settled]

    # --- stages --------------------------------------------------------------------------

    def set_status(self, stage: Stage, status: StageStatus) -> None:
        """Set the status of a stage, and note that stages must be examined again."""
        stage.tally.status = status
        self._changed |= status is StageStatus.OPEN or stage.name in self.awaited

    def take_change(self) -> bool:
        """Whether any stage may have changed since the last call."""
        changed, self._changed = self._changed, False
        return changed

    # --- units ---------------------------------------------------------------------------

    def admit(self, stage: Stage, units: Sequence[Unit]) -> None:
        """Take units of a stage; they are all still without a verdict."""
        stage.by_id.update((unit.spec.id, unit) for unit in units)
        stage.undecided += len(units)
        stage.tally.planned = (stage.tally.planned or 0) + len(units)
        self._changed = True

    def set_growing(self, stage: Stage, *, grows: bool) -> None:
        """Note whether more units of a stage will follow.

        There may be any number of them: from then on it forgets units that succeeded, which nothing
        asks for any more. Selectors may ask for any unit.
        """
        if stage.tally.grows and not grows:
            self.growing.remove(stage)
            self._changed = True
        elif grows and not stage.tally.grows:
            self.growing.append(stage)
            stage.spills = self.selector is None and not self.named
        stage.tally.grows = grows

    def queue(self, stage: Stage, unit: Unit, not_before: float = 0.0) -> None:
        """Put a unit into the queue of its stage, now or at a monotonic time."""
        if not_before <= self.now:
            unit.state = READY
            stage.line_up(unit)
            self._changed |= stage.withdrawal is Withdrawal.NOT_DUE
            return
        unit.state = Waiting(not_before)
        self.deadlines.add(not_before, unit)

    def decide(self, stage: Stage, unit: Unit, verdict: Verdict, made_seq: int) -> None:
        """Give a unit its verdict; the record `made_seq` last changed its outputs."""
        unit.state = DONE[verdict]
        unit.made_seq = made_seq
        stage.newest_made = max(stage.newest_made, made_seq)
        stage.undecided -= 1
        stage.tally.count(verdict, kept=unit.kept, stale=unit.stale)
        self._changed |= not stage.unsettled and not stage.undecided

    def leave_aside(self, stage: Stage, unit: Unit) -> None:
        """Leave a unit without a verdict; an older manifest of its stage is outdated."""
        unit.state = ASIDE
        stage.left_aside = True
        self._changed |= stage.withdrawal is Withdrawal.NOT_DUE

    # --- the end of the sitting ----------------------------------------------------------

    def end_early(self, ending: EarlyEnd, reason: str) -> None:
        """Start nothing more in this sitting; of several reasons the highest, then latest stays.

        So a drain requested after Ctrl-C does not replace the interrupt as the reason, and the next
        Ctrl-C still kills.
        """
        if ending >= self.summary.ending:
            self._changed = True
            self.summary.ending = ending
            self.closing = reason
            for stage in self.pacing.stages:
                stage.tally.held = ""

    def close(self, outcome: str) -> None:
        """The sitting is over."""
        if not outcome:
            self.write(Closed(self.wall, self.closing))
        self.outcome = outcome


def make_result(unit: Unit) -> UnitResult:
    """Return the line of a manifest for a unit."""
    return UnitResult(unit.spec, unit.ends, unit.kept, unit.stale)


def _sort_later_first(stages: List[Stage]) -> List[Stage]:
    """Return the stages, each before those that it waits for, otherwise in the file's order."""
    depths: Dict[str, int] = {}
    for _ in stages:  # as many rounds as the longest chain has stages, at most
        for stage in stages:
            depths[stage.name] = 1 + max(
                [depths.get(name, 0) for name in stage.upstream], default=0
            )
    return sorted(stages, key=lambda stage: -depths[stage.name])

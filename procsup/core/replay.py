"""Replays a journal: what a resume, a report and `status` need to know of a run."""

from typing import Any, Callable, Dict, List, Optional, Set, Tuple

import msgspec
from msgspec import Struct

from procsup.core.ends import NO_ENDS, Packed, add, see, unpack
from procsup.core.outcome import LeftoverFiles, Verdict
from procsup.core.records import (
    Begin,
    Closed,
    ControlReply,
    End,
    Kept,
    Launch,
    Planned,
    Record,
    Refused,
    RunFinal,
    Seen,
    Spawned,
    StageFinal,
    Withdrawn,
)
from procsup.core.relocation import Places, make_places, map_readings
from procsup.core.versions import Version


class LastSuccess(Struct, eq=False, gc=False):
    """A unit as it was at its last success; kept if it has ended or was started since.

    `broke_seq` is the number of the first final end since then (0 without one). `superseded`: an
    attempt has ended since, or a retry was requested. Otherwise the unit was only skipped or not
    started.
    """

    unit: "UnitHistory"
    broke_seq: int = 0
    superseded: bool = False


class UnitHistory(Struct, eq=False, gc=False):
    """The records of one unit in the journal, summarized.

    `ends` are those of the latest run that touched it, one per attempt; `verdict` and `is_final`
    are of the last one (None and false without any). `tried` counts the ones since its last final
    verdict that count against `retries`; `ended_seq` is the number of its last final end,
    `made_seq` of the record that last changed its outputs (an end that did not change them is
    newer); `generation` numbers the run (1 for the first of the directory).
    `before` is kept only while the last end is not a success. `failed` is the number and start of
    the last attempt if it has no good end, over all runs.
    """

    unit: str = ""
    last_number: int = 0
    tried: int = 0
    generation: int = 0
    ended_seq: int = 0
    made_seq: int = 0
    packed: Packed = NO_ENDS
    verdict: Optional[Verdict] = None
    is_final: bool = False
    open_launch: Optional[Launch] = None
    open_spawned: Optional[Spawned] = None
    gaps: Tuple[Tuple[int, int], ...] = ()  # see `Version`
    before: Optional[LastSuccess] = None
    failed: Optional[Tuple[int, float]] = None

    @property
    def success(self) -> Optional["UnitHistory"]:
        """The unit as it was at its last success, None if it never succeeded."""
        if self.verdict is Verdict.SUCCEEDED:
            return self
        return None if self.before is None else self.before.unit

    @property
    def standing_success(self) -> Optional["UnitHistory"]:
        """Its last success, unless an attempt was started or requested since."""
        if self.open_launch is not None or (self.before is not None and self.before.superseded):
            return None
        return self.success

    def find_version_at(self, seq: int) -> Version:
        """Return the version of its outputs if record `seq` restores its success."""
        success = self.success or self
        if self.before is None or not self.before.broke_seq:
            return Version(success.made_seq, success.gaps)
        return Version(success.made_seq, (*success.gaps, (self.before.broke_seq, seq)))

    @property
    def last(self) -> Optional[End]:
        """The latest end, if the unit ever ended."""
        return self.ends[-1] if self.packed else None

    @property
    def ends(self) -> Tuple[End, ...]:
        """Its ends, unpacked at each call: read it once, not in a loop."""
        return unpack(self.packed, self.unit)

    @property
    def is_over(self) -> bool:
        """Whether it has a verdict, and no attempt was started since."""
        return self.is_final and self.open_launch is None

    @property
    def open_attempt(self) -> Optional[int]:
        """The number of an attempt that was started and has no end."""
        return self.open_launch.attempt if self.open_launch is not None else None

    @property
    def open_pid(self) -> Optional[int]:
        """The pid of that attempt's process, if it is on record."""
        return None if self.open_spawned is None else self.open_spawned.pid

    def enter(self, generation: int) -> None:
        """Note that a record of this run concerns the unit: drop the ends of an earlier run."""
        if self.generation != generation:
            self._remember_success()
            self.generation = generation
            self.packed = NO_ENDS
            self.verdict, self.is_final = None, False
            self.tried = 0

    def add_end(self, end: End, seq: int, places: Optional[Places] = None) -> None:
        """Add an end; a second end for an attempt replaces the first.

        `places` maps the recorded paths of an end read from the journal.
        """
        self.open_launch = self.open_spawned = None
        if end.verdict is Verdict.SUCCEEDED:
            self.gaps = self.find_version_at(seq).gaps if end.same_as else ()
            self.before = self.failed = None
        else:
            self._remember_success()
            if end.attempt and end.started is not None:
                self.failed = (end.attempt, end.started)
        self.packed = add(self.packed, end, places)
        self.verdict, self.is_final = end.verdict, end.final
        if end.final:
            self.tried = 0
            self.ended_seq = seq
            self.made_seq = end.same_as or seq
        elif end.counts:
            self.tried += 1
        if self.before is not None:
            self.before.superseded |= end.attempt > 0 or not end.final
            if end.final and not self.before.broke_seq:
                self.before.broke_seq = seq

    def _remember_success(self) -> None:
        if self.verdict is Verdict.SUCCEEDED:
            was = msgspec.structs.replace(self, open_launch=None, open_spawned=None, before=None)
            self.before = LastSuccess(was)

    def restore(self, seq: int) -> None:
        """Restore its last success by record `seq`: it was only skipped since."""
        success = self.standing_success
        if success is None or success is self:
            return
        self.gaps = self.find_version_at(seq).gaps
        self.generation, self.packed = success.generation, success.packed
        self.ended_seq, self.made_seq = success.ended_seq, success.made_seq
        self.verdict, self.is_final, self.tried = Verdict.SUCCEEDED, True, 0
        self.before = None


class History:
    """What all records of a journal say together; `add` takes one record after the other.

    `for_a_sitting`: omit the planned and kept units, which only reports need.
    `folder_now` returns the current folder of a sitting's run file, from which its files are
    found (without it, or if it returns None, paths stay as recorded).
    """

    def __init__(
        self,
        *,
        for_a_sitting: bool = False,
        folder_now: Callable[[Begin], Optional[str]] = lambda _begin: None,
    ) -> None:
        self._for_a_sitting = for_a_sitting
        self._folder_now = folder_now
        self._places: Optional[Places] = None
        self.begin: Optional[Begin] = None
        self.first_begin: Optional[Begin] = None  # of the present run
        self.generation = 0
        self.fresh_generation = 0  # ends of runs before this one are not kept
        self.done_generation = 0  # the latest earlier run that succeeded
        self.last_seq = 0
        self.plan: Dict[str, List[str]] = {}
        self.has_units = False  # the present run has planned some
        self.kept: Set[str] = set()
        self.stale: Set[str] = set()
        self.units: Dict[str, UnitHistory] = {}
        self.finals: Dict[str, StageFinal] = {}
        self.problems: Dict[str, str] = {}
        self.run_final: Optional[RunFinal] = None
        self.closed: Optional[Closed] = None
        self.held: Dict[str, str] = {}  # stage -> what it waits for before it starts more
        self.ending = ""  # the request to start no more units: `drain`, `stop`
        self.run_ids: List[str] = []
        self.leftover_files: Dict[str, LeftoverFiles] = {}  # of units that have some
        self._open_plans: Set[str] = set()

    @property
    def run_id(self) -> Optional[str]:
        """The id of the present run."""
        return self.begin.run_id if self.begin is not None else None

    @property
    def sitting(self) -> int:
        """The number of the last sitting, 0 if there was none."""
        return self.begin.sitting if self.begin is not None else 0

    def unit(self, unit_id: str) -> UnitHistory:
        """Return the unit's history, an empty one if it has none."""
        history = self.units.get(unit_id)
        if history is None:
            history = self.units[unit_id] = UnitHistory(unit_id)
        return history

    def add(self, seq: int, record: Record) -> None:
        """Apply one record."""
        self.last_seq = seq
        handler = _HANDLERS.get(type(record))
        if handler is not None:
            handler(self, seq, record)

    def _on_begin(self, _seq: int, record: Begin) -> None:
        self.begin = record
        self.closed, self.ending, self.held = None, "", {}
        self._places = make_places(record, self._folder_now(record))
        self._open_plans = set()
        if record.resumed:
            return
        self.first_begin = record
        if self.run_final is not None and self.run_final.status == "succeeded":
            self.done_generation = self.generation
        self.generation += 1
        self.run_ids.append(record.run_id)
        self.run_final = None
        self.finals, self.kept, self.stale = {}, set(), set()
        self.has_units = False
        if record.fresh:
            self.fresh_generation = self.generation

    def grows(self, stage: str) -> bool:
        """Whether the plan of a stage is not closed yet: more of its units follow."""
        return stage in self._open_plans

    def _on_planned(self, _seq: int, record: Planned) -> None:
        self.has_units |= bool(record.units)
        if self._for_a_sitting:
            return
        if record.stage not in self._open_plans:
            self._open_plans.add(record.stage)
            self.plan[record.stage] = []
            self.problems.pop(record.stage, None)
        self.plan[record.stage].extend(record.units)
        if record.problem:
            self.problems[record.stage] = record.problem
        if record.last and not record.open:
            self._open_plans.discard(record.stage)  # a different stage begins a new plan

    def _on_kept(self, seq: int, record: Kept) -> None:
        if record.restored:
            for name in record.units:
                self.unit(name).restore(seq)
        if self._for_a_sitting:
            return
        self.kept.update(record.units)
        if record.stale:
            self.stale.update(record.units)

    def _on_seen(self, _seq: int, record: Seen) -> None:
        history = self.units.get(record.unit)
        unit = None if history is None else history.standing_success or history
        if unit is not None and unit.packed:
            places, seen = self._places, record.readings
            seen = seen if places is None else map_readings(seen, places.file)
            unit.packed = see(unit.packed, record.unit, seen, record.leftover_files)
        if record.leftover_files is not None:
            self._note_leftover_files(record.unit, record.leftover_files)

    def _on_withdrawn(self, _seq: int, record: Withdrawn) -> None:
        self.run_final = None
        for stage in record.stages:
            self.finals.pop(stage, None)

    def _on_launch(self, _seq: int, record: Launch) -> None:
        unit = self.unit(record.unit)
        unit.enter(self.generation)
        unit.last_number = max(unit.last_number, record.attempt)
        unit.open_launch = record
        unit.open_spawned = None
        self.kept.discard(record.unit)

    def _on_spawned(self, _seq: int, record: Spawned) -> None:
        unit = self.unit(record.unit)
        if unit.open_attempt == record.attempt:
            unit.open_spawned = record

    def _on_refused(self, _seq: int, record: Refused) -> None:
        unit = self.unit(record.unit)
        if unit.open_attempt == record.attempt:
            unit.open_launch = unit.open_spawned = None
            unit.last_number = record.attempt - 1

    def _on_end(self, seq: int, record: End) -> None:
        unit = self.unit(record.unit)
        unit.enter(self.generation)
        unit.last_number = max(unit.last_number, record.attempt)
        unit.add_end(record, seq, self._places)
        if record.attempt and (record.leftover_files is not None or self.leftover_files):
            self._note_leftover_files(record.unit, record.leftover_files)

    def _note_leftover_files(self, unit: str, found: Optional[LeftoverFiles]) -> None:
        if found is not None and found.count:
            self.leftover_files[unit] = found
        else:
            self.leftover_files.pop(unit, None)

    def _on_stage_final(self, _seq: int, record: StageFinal) -> None:
        self.finals[record.stage] = record

    def _on_run_final(self, _seq: int, record: RunFinal) -> None:
        self.run_final = record

    def _on_closed(self, _seq: int, record: Closed) -> None:
        self.closed = record

    def _on_answer(self, _seq: int, record: ControlReply) -> None:
        if record.ok and record.verb in ("drain", "stop"):
            self.ending = record.verb
        elif record.verb == "hold":
            self.held.update(dict.fromkeys(record.units, record.message))
        elif record.verb == "go-on":
            for stage in record.units:
                self.held.pop(stage, None)

    def find_final_verdict(self, unit_id: str) -> Optional[Verdict]:
        """Return the verdict that a unit has in the present run; None if it has none yet."""
        unit = self.units.get(unit_id)
        if unit is None or unit.open_launch is not None or not unit.is_final:
            return None
        if unit.generation != self.generation and unit_id not in self.kept:
            return None
        return unit.verdict

    def count_verdicts(self, stage: str) -> Dict[Verdict, int]:
        """Count the final verdicts of a stage's planned units."""
        counts: Dict[Verdict, int] = {}
        for unit_id in self.plan.get(stage, ()):
            verdict = self.find_final_verdict(unit_id)
            if verdict is not None:
                counts[verdict] = counts.get(verdict, 0) + 1
        return counts

    def has_succeeded(self, unit_id: str) -> bool:
        """Whether a unit's latest end is a success."""
        unit = self.units.get(unit_id)
        return unit is not None and unit.verdict is Verdict.SUCCEEDED

    def count_succeeded(self) -> int:
        """Count the planned units that have succeeded, those kept included."""
        counts = (self.count_verdicts(stage) for stage in self.plan)
        return sum(count.get(Verdict.SUCCEEDED, 0) for count in counts)


_HANDLERS: Dict[type, Callable[[History, int, Any], None]] = {
    Begin: History._on_begin,
    Planned: History._on_planned,
    Kept: History._on_kept,
    Seen: History._on_seen,
    Withdrawn: History._on_withdrawn,
    Launch: History._on_launch,
    Spawned: History._on_spawned,
    Refused: History._on_refused,
    End: History._on_end,
    StageFinal: History._on_stage_final,
    RunFinal: History._on_run_final,
    Closed: History._on_closed,
    ControlReply: History._on_answer,
}

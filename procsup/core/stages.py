"""The state of a stage: its units, which of them are ready, and when it is final."""

from collections import deque
from typing import Deque, Dict, Iterator, List, Optional, Tuple

import msgspec

from procsup.core.events import Standing, UnitResult
from procsup.core.manifest import StageCounts, count
from procsup.core.outcome import Reading, Verdict
from procsup.core.slots import Needs
from procsup.core.spec import OnFailure, StageSpec, UnitSpec, upstream, whole_upstream
from procsup.core.states import Done, Unit
from procsup.core.tally import StageTally
from procsup.core.task import Program, Rules
from procsup.core.versions import Version


class Stage:
    """One stage of the plan. `tally.status` is its status; see `StageTally`."""

    def __init__(self, spec: StageSpec, tally: StageTally, rules: Rules) -> None:
        self.spec = spec
        self.rules = rules
        self.tally = tally
        self.upstream = upstream(spec)
        self.whole_upstream = whole_upstream(spec)
        self.made_before: Dict[str, Version] = {}  # of the whole stages before it
        self.units: List[Unit] = []
        self.by_id: Dict[str, Unit] = {}
        self.ready: Deque[Unit] = deque()
        self.undecided = 0  # units without a verdict, including those left aside
        self.unsettled = 0  # verdicts that are not on disk yet
        self.expanded = False
        self.withdrawn = False  # the withdrawal of its manifest, if there is one, was ordered
        self.taken_back = False  # that withdrawal is done: units may start
        self.outcome = ""  # its status once it is final, from the order to publish it on
        self.halted = False  # on-failure fired: nothing more is started
        self.program: Optional[str] = None  # the sha256 of its script or module file
        self.newest_made = 0  # number of the newest record that changed outputs
        self.standings: List[Standing] = []  # until it is unblocked
        self.unfit: Dict[str, str] = {}
        self.passed_over = False  # skipped before its units were known

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.spec.name

    def admit(self, units: List[Unit]) -> None:
        """Take the units of its plan; they are all still without a verdict."""
        self.expanded = True
        self.units = units
        self.by_id = {unit.spec.id: unit for unit in units}
        self.undecided = len(units)
        self.tally.planned = len(units)

    def run(self, program: Optional[Program]) -> None:
        """Set the file that its units run; each start reads it again."""
        if program is not None:
            self.program = program.sha256
            self.rules = msgspec.structs.replace(self.rules, program=program.path)

    @property
    def is_open(self) -> bool:
        """Its units are known, and each is in progress or waits for units that it follows."""
        return self.expanded and self.tally.status not in ("blocked", "expanding")

    @property
    def may_move(self) -> bool:
        """Some unit of it has run in this sitting, or may."""
        return self.undecided > 0 or self.tally.kept < len(self.units)

    def has_room(self) -> bool:
        """Whether one more unit may run: older manifests are withdrawn, and its `jobs` allow it."""
        return self.taken_back and (self.spec.jobs is None or self.tally.running < self.spec.jobs)

    def needs(self, unit: Unit, memory_limit: Optional[int]) -> Needs:
        """Return what the next attempt of a unit needs; a retry may need more memory."""
        return needs_of(self.spec, unit.spec, unit.tried, memory_limit)

    def decide(self, unit: Unit, verdict: Verdict) -> None:
        """Count a unit's verdict."""
        self.undecided -= 1
        self.tally.count(verdict)
        if unit.kept:
            self.tally.kept += 1
        if unit.stale:
            self.tally.stale += 1

    def reopen(self, unit: Unit) -> None:
        """Take a unit's verdict back; its tries begin anew."""
        if not isinstance(unit.state, Done):
            raise AssertionError(f"{unit.spec.id} is opened again while it is {unit.state}")
        verdict = unit.state.verdict
        self.undecided += 1
        self.tally.verdicts[verdict] -= 1
        unit.kept = unit.stale = False
        unit.tried = unit.shortages = 0

    def is_complete(self) -> bool:
        """Every unit has its verdict, and all of them are on disk."""
        return self.expanded and self.undecided == 0 and self.unsettled == 0

    def status(self) -> str:
        """The status of a complete stage."""
        if self.passed_over:
            return "skipped"
        if self.tally.problem:
            return "failed"
        if self.tally.succeeded == len(self.units):
            return "succeeded"
        if self.tally.verdicts.get(Verdict.SKIPPED, 0) == len(self.units):
            return "skipped"
        return "failed"

    def counts(self) -> StageCounts:
        """The counts for the manifest of a stage."""
        tally = self.tally
        return count(self.outcome, tally.verdicts, kept=tally.kept, problem=tally.problem)

    def results(self) -> Iterator[UnitResult]:
        """The units with their ends, in order: the lines of its manifest."""
        for unit in self.units:
            if unit.packed:
                yield UnitResult(unit.spec, unit.ends, unit.kept, unit.stale)

    def outputs(self) -> List[Tuple[str, Tuple[Reading, ...]]]:
        """The outputs of its succeeded units, in order."""
        lasts = (unit.ends[-1] for unit in self.units if unit.packed)
        return [(last.unit, last.outputs) for last in lasts if last.verdict is Verdict.SUCCEEDED]


def needs_of(stage: StageSpec, unit: UnitSpec, tried: int, memory_limit: Optional[int]) -> Needs:
    """Return what an attempt of a unit needs after `tried` tries."""
    memory = unit.memory_bytes
    factor = stage.retry.memory_factor
    if memory is not None and factor != 1.0 and tried:
        memory = int(memory * factor**tried)
        if memory_limit is not None:
            memory = max(unit.memory_bytes or 0, min(memory, memory_limit))
    return Needs(unit.cpus, memory, pinned=stage.pin == "cpus")


def later_first(stages: List[Stage]) -> List[Stage]:
    """Return the stages, each before those that it waits for, otherwise in the file's order."""
    depths: Dict[str, int] = {}
    for _ in stages:  # as many rounds as the longest chain has stages, at most
        for stage in stages:
            depths[stage.name] = 1 + max(
                [depths.get(name, 0) for name in stage.upstream], default=0
            )
    return sorted(stages, key=lambda stage: -depths[stage.name])


def fires(policy: OnFailure, unsuccessful: int, planned: int) -> bool:
    """Whether this number of unsuccessful units, of those planned, triggers a policy."""
    if policy.do == "finish" or unsuccessful == 0:
        return False
    if policy.at_fraction is not None:
        return unsuccessful >= policy.at_fraction * max(planned, 1)
    return unsuccessful >= (policy.at_count or 1)

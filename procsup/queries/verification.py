"""Compares a final run with its manifest: record, counts, outputs, inputs, plan."""

import time
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from procsup.core.manifest import Head, OutputRecord, StageCounts, UnitRecord
from procsup.core.outcome import Verdict
from procsup.core.text import count_noun
from procsup.errors import ProcsupError, RecordError, RunUnfinished
from procsup.host.folders import find_refusal
from procsup.host.owners import find_other_user
from procsup.paths.identity import compare
from procsup.queries.retrying import read_rerun, request_for
from procsup.queries.view import RunView
from procsup.store.copies import find_copy_source
from procsup.store.manifest import read_manifest
from procsup.store.mark import mark_problem
from procsup.store.place import Project
from procsup.store.rundir import RunDir
from procsup.supervisor.resolved_request import read

FIRST_WORD_S = 1.0
NEXT_WORD_S = 10.0


class Difference(NamedTuple):
    """Something that is not as recorded; `kind` is ``output``, ``input`` or ``plan``."""

    kind: str
    unit: str
    path: Optional[str]
    what: str


class Verification(NamedTuple):
    """The result of a check; `damage` has a sentence for each error of the record itself.

    `differences` contradict the manifest; `notes` are inputs that have changed since, and what
    could not be compared. `copied_from` is as in `Manifest`.
    """

    head: Head
    path: str
    units: int
    outputs: int
    damage: List[str]
    differences: List[Difference]
    notes: List[Difference]
    copied_from: Optional[str] = None

    @property
    def exit_code(self) -> int:
        """74 for a damaged record, 4 for differences, 0 if there are none."""
        if self.damage:
            return RecordError.exit_code
        return 4 if self.differences else 0


def verify(
    view: RunView,
    *,
    stage: Optional[str] = None,
    checksum: bool = False,
    said: Callable[[str], None] = lambda _text: None,
) -> Verification:
    """Check a final run, or a final stage of it.

    During a long check `said` gets messages about the progress. RunUnfinished if the run is not
    final, RecordError if its manifest cannot be read at all.
    """
    view.require_stage(stage)
    head, rundir = view.require_final(stage), view.rundir
    path = rundir.get_manifest(stage)
    check = _Check(head, rundir, checksum=checksum, said=said)
    now, units = read_manifest(path)
    if (now.run_id, now.journal) != (head.run_id, head.journal):
        raise RunUnfinished(f"{path} is of another run by now: it was begun again")
    with view.reading():
        for unit in units:
            check.take(unit)
    problem = mark_problem(rundir.journal, head.journal)
    damage = [*([problem] if problem else []), *check.compare_counts()]
    differences, notes = check.differences, check.notes
    refusal = find_refusal(rundir.journal)
    if refusal:
        notes.append(Difference("note", "", None, f"the journal was not compared: {refusal}"))
    for one in _compare_plan(view, stage, check):
        (notes if one.kind == "note" else differences).append(one)
    source = find_copy_source(rundir, head)
    counts = check.units, check.outputs
    return Verification(head, str(path), *counts, damage, differences, notes, source)


class _Check:
    """Checks the units one by one; keeps only ids, fingerprints and distinct inputs in memory."""

    def __init__(
        self, head: Head, rundir: RunDir, *, checksum: bool, said: Callable[[str], None]
    ) -> None:
        self.units = self.outputs = 0
        self.differences: List[Difference] = []
        self.notes: List[Difference] = []
        self.prints: Dict[str, str] = {}  # unit id -> fingerprint
        self._head, self._checksum, self._said = head, checksum, said
        self._place = Project(rundir.path, head).make_reading
        self._owner = find_other_user(rundir.path)
        self._planned = sum(counts.planned for counts in head.stages.values())
        self._counts: Dict[Tuple[str, str], int] = {}
        self._twice: List[str] = []
        self._inputs: Dict[OutputRecord, str] = {}
        self._next_word = time.monotonic() + FIRST_WORD_S

    def take(self, unit: UnitRecord) -> None:
        """Compare one unit's files with its record."""
        self._say_how_far()
        self.units += 1
        if unit.id in self.prints:
            self._twice.append(unit.id)
        self.prints[unit.id] = unit.fingerprint
        for key in (unit.verdict, *(["kept"] if unit.kept else [])):
            self._counts[unit.stage, key] = self._counts.get((unit.stage, key), 0) + 1
        for output in unit.outputs:
            self.outputs += 1
            there = self._place(output)
            how = "all" if self._checksum else "auto"
            what = compare(there, checksum=how, owner=self._owner).difference
            if what:
                self.differences.append(Difference("output", unit.id, there.path, what))
        for given in unit.inputs:
            if given not in self._inputs:
                self._inputs[given] = compare(self._place(given), checksum="auto").difference
            if self._inputs[given]:
                path = self._place(given).path
                self.notes.append(Difference("input", unit.id, path, self._inputs[given]))

    def _say_how_far(self) -> None:
        if time.monotonic() >= self._next_word:
            self._next_word = time.monotonic() + NEXT_WORD_S
            self._said(f"verified {self.units} of {count_noun(self._planned, 'unit')} so far")

    def compare_counts(self) -> List[str]:
        """Return a sentence for each contradiction between the manifest's head and its units."""
        problems = [f"unit {name} stands in the manifest twice" for name in self._twice]
        stages = {stage for stage, _ in self._counts}
        problems += [
            f"stage {name} has units, but no counts" for name in sorted(stages - self.stages)
        ]
        for name, counts in self._head.stages.items():
            problems += self._compare_stage(name, counts)
        good = all(counts.status == "succeeded" for counts in self._head.stages.values())
        if self._head.stage is None and good != (self._head.status == "succeeded"):
            problems.append(f"the run is called {self._head.status}, and its stages are not")
        return problems

    @property
    def stages(self) -> Set[str]:
        """The names of the stages that the manifest has counts of."""
        return set(self._head.stages)

    def _compare_stage(self, name: str, counts: StageCounts) -> Iterator[str]:
        total = 0
        for verdict in Verdict:
            claimed = counts.get_count(verdict)
            there = self._counts.get((name, verdict.value), 0)
            total += there
            if claimed != there:
                yield f"stage {name} counts {claimed} {verdict.value}, and has {there}"
        if counts.planned != total:
            units = count_noun(total, "unit")
            yield f"stage {name} counts {counts.planned} planned, and has {units}"
        kept = self._counts.get((name, "kept"), 0)
        if counts.kept != kept:
            yield f"stage {name} counts {counts.kept} kept, and has {kept}"
        well = self._counts.get((name, "succeeded"), 0)
        is_short = well != total and not counts.enough
        if counts.status == "succeeded" and (is_short or counts.problem):
            yield f"stage {name} is called succeeded, and {total - well} of its units are not"


def _compare_plan(view: RunView, stage: Optional[str], check: _Check) -> Iterator[Difference]:
    """Compare the units that the run's own file defines now with those of the manifest."""
    try:
        with view.reading():
            asked = read(request_for(read_rerun(view), ()))
    except (ProcsupError, OSError) as error:
        first = str(error).split("\n", 1)[0]
        yield Difference("note", "", None, f"the plan could not be compared: {first}")
        return
    for name, units in asked.units.items():
        if stage not in (None, name) or name not in check.stages:
            continue
        now = {unit.id: unit.fingerprint for unit in units}
        before = {one: mark for one, mark in check.prints.items() if _is_of(one, name)}
        for one in sorted(now.keys() - before.keys()):
            yield Difference("plan", one, None, "would be planned now, and is not in the manifest")
        for one in sorted(before.keys() - now.keys()):
            yield Difference("plan", one, None, "is in the manifest, and not planned any more")
        for one in sorted(now.keys() & before.keys()):
            if now[one] != before[one]:
                yield Difference("plan", one, None, "its command or environment has changed")


def _is_of(unit: str, stage: str) -> bool:
    return unit == stage or unit.startswith(f"{stage}/")

"""Expands stages into units, checks them and decides which are kept."""

from functools import partial
from typing import Collection, Dict, List, Mapping, Optional, Sequence, Tuple

import msgspec

from procsup.attempt import preflight
from procsup.attempt.declared_outputs import DeclaredOutputs
from procsup.attempt.output_folders import check_run_directory
from procsup.core.events import Expand, Expanded, Rerun, Reuse, Standing, Weigh, Weighed
from procsup.core.keep import (
    CHANGED,
    CHANGES,
    INPUT_NEW,
    INPUT_REMOVED,
    RUNNING,
    STALE,
    Change,
    FileChanges,
    find_standing,
    find_standing_again,
)
from procsup.core.making import describe_change, find_kinds_of_change, read_making
from procsup.core.quantities import show_bytes
from procsup.core.records import End
from procsup.core.replay import History
from procsup.core.rooted import strip_folder
from procsup.core.slots import Capacity, Needs, explain_never
from procsup.core.spec import RunSpec, StageSpec, UnitSpec, list_published_files, list_upstream
from procsup.core.versions import Version
from procsup.errors import ProcsupError, RecordError, RunFileError
from procsup.host import readings
from procsup.host.machine import make_capacity, read_free_memory_bytes, read_load
from procsup.host.nested import read_granted_cpus
from procsup.host.opened import Folder
from procsup.paths.identity import Contents
from procsup.runfile.load import LoadedRun
from procsup.runfile.plan import LoadedPlan
from procsup.store.growing_plan import PlanFile
from procsup.store.history import find_places_before
from procsup.store.rundir import RunDir
from procsup.supervisor.observers import remove_part
from procsup.supervisor.resolved_request import ResolvedRequest

_EXPLAINED_MOST = 1000


class Expander:
    """Expands stages into units: those known at the start at once, the others on request.

    `expand_early` is called before the loop begins, `expand_late` and `weigh_again` on one side
    thread; the history is only read. With `touch` false nothing is written, with `asking` false no
    interpreter is started. `wanted` are ids of units whose changes are always described. `live`:
    another supervisor runs the attempts without an end now. `folder` is the run directory, if a
    sitting has it open.
    """

    def __init__(
        self,
        asked: ResolvedRequest,
        history: History,
        environment: Mapping[str, str],
        *,
        folder: Optional[Folder] = None,
        live: bool = False,
        touch: bool = True,
        asking: bool = True,
        wanted: Collection[str] = (),
    ) -> None:
        self._asked = asked
        self._loaded: LoadedRun = asked.loaded
        self._spec: RunSpec = asked.spec
        self._capacity: Capacity = asked.capacity
        self._history = history
        self._environment = environment
        self._folder = folder
        self._fresh = asked.request.fresh
        self._live = live
        self._touch = touch
        self._asking = asking
        self._wanted = wanted
        self._early: Mapping[str, Sequence[UnitSpec]] = {}
        self._units: Dict[str, List[UnitSpec]] = {}  # of the stages expanded so far
        self._plan_file: Optional[PlanFile] = None  # of a plan that grows
        # Another stage before a stage may make what its interpreter was asked for.
        self._answers: Optional[preflight.Answers] = {} if self._loaded.grows else None
        self._standings: Dict[Standing, Standing] = {}  # few are different
        self._kinds = {kind: Rerun(kind) for kind in CHANGES}
        self._published = list_published_files(self._spec)
        self._intact = partial(
            readings.compare_with_record,
            checksum=self._spec.checksum,
            contents=Contents(),
            folder=self._spec.folder,
            published=self._published,
        )

    def expand_early(self, units: Mapping[str, Sequence[UnitSpec]]) -> Dict[str, Expanded]:
        """Check and weigh the units known at the start; RunFileError with all problems.

        Weighing finds the standing of each unit. A stage with others before it is only weighed now,
        and checked when they are done, since they may make its inputs.
        """
        self._early = units
        self._units.update((name, list(some)) for name, some in units.items())
        found = {name: self._look_early(name) for name in units}
        problems = [fact.problem for fact in found.values() if fact.problem]
        if problems:
            raise RunFileError([line for text in problems for line in text.splitlines()])
        if not self._loaded.grows:
            return found
        return {name: msgspec.structs.replace(fact, last=False) for name, fact in found.items()}

    def _look_early(self, name: str) -> Expanded:
        stage, units = self._spec.stage(name), self._early[name]
        weighed = self._weigh(stage, units)
        due = [pair[0] for pair in zip(units, weighed.standings) if not pair[1].keeps_verdict]
        if not due:
            return weighed
        too_large = self._list_too_large(stage, due)
        if too_large or list_upstream(stage):
            unset = preflight.check_secrets(stage, self._environment)
            problems = [*too_large, *(f"stage {name}: {line}" for line in unset)]
            return _make_refusal(name, problems) if problems else weighed
        return self._check_stage(stage, weighed)

    def _list_too_large(self, stage: StageSpec, units: Sequence[UnitSpec]) -> List[str]:
        never = self._explain_no_pace(stage)
        if never:
            return [f"stage {stage.name}: {never}"]
        pinned = stage.pin == "cpus"
        for unit in units:
            why = explain_never(Needs(unit.cpus, unit.memory_bytes, pinned), self._capacity)
            if why is not None:
                cure = "ask for less, or raise `capacity`"
                if self._capacity.cpus == read_granted_cpus():
                    cure = f"{cure} (the unit that this runs in has {self._capacity.cpus:g})"
                return [f"stage {stage.name}: unit {unit.id} {why}: {cure}"]
        return []

    def _explain_no_pace(self, stage: StageSpec) -> str:
        """Return why the pace of a stage would never let it start; empty if it may."""
        pace = stage.pace
        if pace is None or not self._asking:
            return ""
        if pace.limits_load and read_load() is None:
            return (
                "the load of this machine is not known, so no start can wait for it: leave out"
                " `load` (procsup map: --load)"
            )
        if pace.memory_bytes is None:
            return ""
        whole = make_capacity(cpus=None, memory_bytes=None, jobs=None).memory_bytes
        if read_free_memory_bytes() is None or whole is None:
            return (
                "the free memory of this machine is not known, so no start can wait for it: leave"
                " out `memory` of its pace (procsup map: --memfree)"
            )
        if pace.memory_bytes > whole:
            wanted, there = show_bytes(pace.memory_bytes), show_bytes(whole)
            return f"its pace waits for {wanted} of free memory, and the machine has {there}"
        return ""

    def grow_into(self, plan_file: PlanFile) -> None:
        """Set the file of the plan, which grows by the lines of its further units."""
        self._plan_file = plan_file

    def expand_late(self, order: Expand) -> Expanded:
        """Expand a stage whose upstream is done; an error becomes its `problem`."""
        if isinstance(self._loaded, LoadedPlan) and self._plan_file is not None:
            return self._expand_more(self._loaded, self._plan_file, order.stage)
        stage = self._spec.stage(order.stage)
        units: Optional[Sequence[UnitSpec]] = self._early.get(order.stage)
        notes: Tuple[str, ...] = ()
        try:
            if units is None:
                units = self._loaded.expand(order.stage, self._capacity, order.outputs)
                for selection in self._asked.selections:
                    selection.learn(units, order.stage)
                notes = self._loaded.notes(order.stage)
        except RunFileError as error:
            return Expanded(order.stage, problem=str(error))
        self._units[order.stage] = list(units)
        weighed = msgspec.structs.replace(self._weigh(stage, units), notes=notes)
        pairs = zip(units, weighed.standings)
        stays = all(self._stays(unit, standing, order.made) for unit, standing in pairs)
        if stays and not order.moving:
            return weighed
        return self._check_stage(stage, weighed)

    def _expand_more(self, loaded: LoadedPlan, plan_file: PlanFile, name: str) -> Expanded:
        """Wait for more units of a plan that grows, check and weigh them."""
        stage = self._spec.stage(name)
        try:
            more = loaded.expand_more(self._capacity, plan_file.add)
        except RecordError as error:
            plan_file.problem = plan_file.problem or error  # it is raised at the end
            return Expanded(name, problem=str(error))
        except ProcsupError as error:
            return Expanded(name, problem=str(error))
        if more is None:
            return Expanded(name, problem="the program that makes its units gave up")
        units, is_last, is_sure = more
        weighed = self._weigh(stage, units)
        due = [pair[0] for pair in zip(units, weighed.standings) if not pair[1].keeps_verdict]
        for unit, standing in zip(units, weighed.standings):
            if unit.piped and unit.stdin is not None and standing.keeps_verdict:
                remove_part(unit.stdin)
        too_large = self._list_too_large(stage, due)
        if too_large:
            return _make_refusal(name, too_large)
        if due:
            weighed = self._check_stage(stage, weighed)
        notes = loaded.notes(name)
        return msgspec.structs.replace(weighed, last=is_last, unsure=not is_sure, notes=notes)

    def weigh_again(self, order: Weigh) -> Weighed:
        """Weigh units again after their inputs were made anew."""
        wanted = frozenset(order.units)
        units = [unit for unit in self._units[order.stage] if unit.id in wanted]
        weighed = self._weigh(self._spec.stage(order.stage), units)
        found = zip(weighed.units, weighed.standings)
        return Weighed(order.stage, {unit.id: standing for unit, standing in found})

    def _stays(self, unit: UnitSpec, standing: Standing, made: Version) -> bool:
        history = self._history.units.get(unit.id)
        success = None if history is None else history.standing_success or history
        if success is None or not standing.keeps_verdict:
            return False
        return made.was_used_by(success.ended_seq)

    def _check_stage(self, stage: StageSpec, weighed: Expanded) -> Expanded:
        """Run the preflight of a stage in which something will be started."""
        problems, unfit = self._look_for_problems(stage, weighed.units, touch=self._touch)
        if problems and stage.is_queue:  # its units have only the disk in common
            problems = check_run_directory(self._spec) if self._touch else []
            unfit = {} if problems else self._check_each(stage, weighed)
        if problems:
            return _make_refusal(stage.name, problems)
        return msgspec.structs.replace(weighed, unfit={**unfit, **self._loaded.unfit})

    def _check_each(self, stage: StageSpec, weighed: Expanded) -> Dict[str, str]:
        """Return what is wrong with single units, of those that may be started."""
        found: Dict[str, str] = {}
        for unit, standing in zip(weighed.units, weighed.standings):
            if not standing.keeps_verdict:
                problems, _ = self._look_for_problems(stage, [unit], touch=False)
                if problems:
                    found[unit.id] = "; ".join(problems).replace(f"stage {stage.name}: ", "")
        return found

    def _look_for_problems(
        self, stage: StageSpec, units: Sequence[UnitSpec], *, touch: bool
    ) -> Tuple[List[str], Dict[str, str]]:
        promised = DeclaredOutputs(self._units[name] for name in self._list_unit_wise_before(stage))
        return preflight.preflight(
            self._spec,
            stage,
            units,
            self._environment,
            promised=promised,
            touch=touch,
            asking=self._asking,
            answers=self._answers,
        )

    def _list_unit_wise_before(self, stage: StageSpec) -> List[str]:
        """Return the stages that may still run when this one's first units start."""
        if not stage.unit_wise:
            return []
        found = list(stage.for_each)
        for name in found:  # the list grows during the loop
            found += [one for one in list_upstream(self._spec.stage(name)) if one not in found]
        return [name for name in found if name in self._units]

    def _weigh(self, stage: StageSpec, units: Sequence[UnitSpec]) -> Expanded:
        program = preflight.find_unit_program(
            stage, units, asking=self._asking, answers=self._answers
        )
        sha256 = None if program is None else program.sha256
        seen = (self._find_standing(stage, unit, sha256) for unit in units)
        standings = tuple(
            [
                one if type(one) is Reuse and one.seen else self._standings.setdefault(one, one)
                for one in seen
            ]
        )
        standings = self._explain_changes(stage, units, standings)
        return Expanded(stage.name, tuple(units), standings, program=program)

    def _explain_changes(
        self, stage: StageSpec, units: Sequence[UnitSpec], standings: Tuple[Standing, ...]
    ) -> Tuple[Standing, ...]:
        """Add to changed units the kind of change, and for the first 1,000 what changed.

        Units whose earlier command is not on record keep the general reason.
        """
        plain = self._standings.get(self._kinds[CHANGED])
        if plain is None:
            return standings
        changed = [unit for unit, one in zip(units, standings) if one is plain]
        if not changed:
            return standings
        ended = {unit.id: self._history.units[unit.id].ended_seq for unit in changed}
        places = find_places_before(RunDir(self._spec.directory), ended, self._folder)
        kinds = find_kinds_of_change(places, changed, self._spec.folder)
        told = [self._kinds[kinds.get(unit.id, CHANGED)] for unit in changed]
        for number, unit in enumerate(changed):
            if unit.id not in places:
                continue
            detailed = number < _EXPLAINED_MOST or unit.id in self._wanted
            if detailed or unit.id not in kinds:
                declared = self._find_declared_since(unit)
                kind = kinds.get(unit.id) or next(iter(declared), CHANGED)
                told[number] = self._kinds[kind]
                if detailed:
                    before = read_making(*places[unit.id])
                    made = describe_change(before, unit, stage, self._spec.folder)
                    detail = "; ".join(filter(None, (made, *declared.values())))
                    told[number] = Rerun(kind, detail)
        following = iter(told)
        return tuple([next(following) if one is plain else one for one in standings])

    def _find_declared_since(self, unit: UnitSpec) -> Dict[str, str]:
        """Return the inputs that a unit declares, or no longer does, since its success, by kind."""
        success = self._history.units[unit.id].standing_success
        last = None if success is None else success.last
        if last is None:
            return {}
        try:
            found = readings.find_declared_since(unit, last, self._published)
        except OSError:  # the comparison of its files, or its preflight, reports it
            return {}
        told = {INPUT_NEW: found.new, INPUT_REMOVED: found.removed}
        return {
            kind: f"{kind}: {self._are_several(paths)}" for kind, paths in told.items() if paths
        }

    def _are_several(self, paths: Sequence[str]) -> str:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        return f"{self._make_relative(paths[0])}{more}"

    def _find_standing(self, stage: StageSpec, unit: UnitSpec, program: Optional[str]) -> Standing:
        history = self._history.units.get(unit.id)
        success = None if history is None else history.standing_success
        generation = success.generation if success is not None else 0
        only = self._asked.only
        due = only is None or only(unit)  # of others only the validity counts
        fresh = due and (self._fresh or generation < self._history.fresh_generation)

        if self._live and history is not None and history.open_launch is not None:
            return Rerun(RUNNING)

        if self._asked.request.again is not None or stage.is_queue:
            again = self._asked.again
            asked = None if again is None else again(unit)
            if self._asked.request.again is None:  # a command of a queue keeps its verdict
                asked = history is None or not history.is_over
            return find_standing_again(
                unit,
                history,
                asked=asked,
                intact=self._look_at,
                stage=stage,
                fresh=fresh,
                program=program,
            )
        found = find_standing(
            unit,
            history,
            intact=self._look_at,
            stage=stage,
            run_succeeded=due and generation <= self._history.done_generation,
            earlier=due and generation != self._history.generation,
            goes_on=self._asked.request.goes_on,
            fresh=fresh,
            program=program,
        )
        is_stale = isinstance(found, Reuse) and found.stale
        return STALE if is_stale and due and only is not None else found

    def _look_at(self, unit: UnitSpec, end: End) -> FileChanges:
        look = self._intact(unit, end)
        if look.inputs is None and look.outputs is None:
            return look
        return look._replace(
            inputs=self._shorten_change(look.inputs), outputs=self._shorten_change(look.outputs)
        )

    def _shorten_change(self, change: Optional[Change]) -> Optional[Change]:
        """Return the change with its path relative to the run file's folder."""
        return None if change is None else change._replace(path=self._make_relative(change.path))

    def _make_relative(self, path: str) -> str:
        return strip_folder(self._spec.folder, path) or path


def _make_refusal(stage: str, problems: Sequence[str]) -> Expanded:
    return Expanded(stage, problem="\n".join(problems))

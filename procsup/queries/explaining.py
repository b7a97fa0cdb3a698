"""Explains units: their results, why they wait, and what a run would do with them now."""

import time
from typing import (
    Any,
    Collection,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import msgspec

from procsup.core.events import Reuse, Standing
from procsup.core.facts import list_ends_that_count, make_facts_now
from procsup.core.plan.rehearsal import RehearsedStage
from procsup.core.records import End
from procsup.core.selectors import Named
from procsup.core.slots import Capacity
from procsup.core.spec import UnitSpec, list_upstream
from procsup.core.text import say_when_known
from procsup.core.waits import Waits
from procsup.errors import ProcsupError
from procsup.paths.opening import is_absent
from procsup.queries.logs import list_unit_logs
from procsup.queries.retrying import read_rerun, request_for
from procsup.queries.selection import SelectedUnits
from procsup.queries.status import RunningUnit, Status, read_status
from procsup.queries.view import RunView
from procsup.store.copies import is_copy
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import DryRun
from procsup.supervisor.session import rehearse_run


class Explanation(NamedTuple):
    """A unit of a run: its ends, why it waits, and what a run would do with it now.

    `state` is ``waiting``, ``running``, a verdict, or ``unknown`` (of a stage whose units are not
    known yet). `ends` are the ends of its attempts in this run; the last one decides. `begun` is an
    attempt without an end. `held` says why it has not started. `keep`: whether a run would keep it
    now; `reason` and `detail` say why not; if that is unknown, `keep` is None, and `detail` says
    why. `after` are the units and stages that would run before it; `unless` says why a run would be
    refused now, unless it gets another option. `logs` are the logs of its last attempt, by stream;
    `directory` is the run directory; `log_folders` are the folders in which logs of a copy are read
    (empty: anywhere).
    """

    id: str
    stage: str
    state: str
    ends: Tuple[End, ...] = ()
    begun: Optional[RunningUnit] = None
    kept: bool = False
    stale: bool = False
    held: str = ""
    keep: Optional[bool] = None
    reason: str = ""
    detail: str = ""
    logs: Mapping[str, str] = {}
    directory: str = ""
    after: Tuple[str, ...] = ()
    unless: str = ""
    log_folders: Tuple[str, ...] = ()


class Explainer:
    """The explanations of the units that words select (without words, of all), to be iterated.

    UsageError if a selector selects no unit, RunUnfinished if that run is not the latest of its
    directory, RecordError if its records cannot be read. `status` is the run's status.
    """

    def __init__(self, view: RunView, words: Sequence[str]) -> None:
        self.status: Status = read_status(view)
        self._history = self.status.history
        self._live = self.status.state == "running"
        self._rundir: RunDir = view.rundir
        self._log_folders = self.status.log_places.only
        self._facts = make_facts_now(self._history, live=self._live, at=time.time())
        plan = self._history.plan
        later = [one.name for one in self.status.stages if not plan.get(one.name)]
        known = SelectedUnits(words, view.rundir, self._history, live=self._live, later=later)
        self._foresight = _Foresight(view, {unit.id for unit in known.list_selected()})
        found_now = {} if self._live else self._foresight.list_units(later)
        unknown = {name for name in later if name not in found_now}
        late = [(one, one.partition("/")[0]) for one in words or later]
        late = [pair for pair in late if pair[1] in unknown]
        self._late = [self._explain_unknown_stage(*pair) for pair in late]
        self._units: List[Named] = []
        if len(late) < len(words) or not words:
            early = [one for one in words if one.partition("/")[0] not in unknown]
            known = SelectedUnits(
                early, view.rundir, self._history, live=self._live, more=found_now
            )
            self._units = list(known.list_selected())

    def leave_out_succeeded(self) -> None:
        """Leave out the units that have succeeded, unless all have."""
        others = [one for one in self._units if "succeeded" not in self._facts(one).states]
        if others or self._late:
            self._units = others

    def __len__(self) -> int:
        return len(self._units) + len(self._late)

    def __iter__(self) -> Iterator[Explanation]:
        waits = self._foresight.make_waits(self.status) if self._live else None
        for unit in self._units:
            yield self._explain(unit, waits)
        yield from self._late

    def _explain(self, unit: Named, waits: Optional[Waits]) -> Explanation:
        past = self._history.units.get(unit.id)
        launch = past.open_launch if past is not None else None
        begun = None
        if past is not None and launch is not None:
            begun = RunningUnit(unit.id, launch.attempt, past.open_pid, launch.at)
        state = next(iter(self._facts(unit).states))
        logs = [] if past is None else list_unit_logs(past, self._rundir, unit.stage)
        found = Explanation(
            unit.id,
            unit.stage,
            state,
            tuple(self._list_ends(unit.id)),
            begun,
            unit.id in self._history.kept and self._history.has_succeeded(unit.id),
            unit.id in self._history.stale,
            self._explain_hold(unit.id, waits) if state == "waiting" else "",
            logs={log.stream: log.path for log in logs if not is_absent(log.path)},
            directory=str(self._rundir.path),
            log_folders=self._log_folders,
        )
        if self._live and state in ("waiting", "running"):
            return found
        return found._replace(**self._foresight.of(unit.id, unit.stage))

    def _list_ends(self, unit_id: str) -> Sequence[End]:
        past = self._history.units.get(unit_id)
        if past is None or past.open_launch is None:
            return list_ends_that_count(self._history, unit_id)
        return past.ends if past.generation == self._history.generation else ()

    def _explain_hold(self, unit_id: str, waits: Optional[Waits]) -> str:
        if not self._live:
            return self._how_it_stands
        spec = self._foresight.find_spec(unit_id)
        if waits is None or spec is None:
            return f"what holds it is not known: {self._foresight.problem or 'it is new'}"
        return waits.explain(spec)

    @property
    def _how_it_stands(self) -> str:
        sentence = self.status.sentence
        return f"the run is {sentence}" if sentence.startswith("not finished") else sentence

    def _explain_unknown_stage(self, word: str, stage: str) -> Explanation:
        why = self._foresight.explain_unknown(stage)
        held = f"the units of stage {stage} are {why}"
        return Explanation(word, stage, "unknown", held=held, directory=str(self._rundir.path))


class _Foresight:
    """The dry run's result for single units; `problem` says why there is none."""

    def __init__(self, view: RunView, wanted: Collection[str]) -> None:
        self.problem = ""
        self._working: Dict[str, bool] = {}  # stages with units that would run
        self._dry: Optional[DryRun] = None
        try:
            with view.reading():
                rerun = read_rerun(view)
                request = request_for(rerun, ())
                plain = msgspec.structs.replace(request, again=None)
                # Programs that another user's run file names, or that of a copy, are not executed.
                static = view.other_owner is not None or is_copy(rerun.rundir, rerun.begin)
                self._dry = rehearse_run(plain, wanted=wanted, static=static)
        except ProcsupError as error:
            lines = str(error).splitlines()
            more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
            self.problem = f"{lines[0]}{more}"
        self.stages: Mapping[str, RehearsedStage] = {} if self._dry is None else self._dry.stages
        self._known: Dict[str, Tuple[UnitSpec, Standing]] = {
            unit.id: (unit, standing)
            for seen in self.stages.values()
            for unit, standing in zip(seen.units, seen.standings)
        }

    def list_units(self, stages: Sequence[str]) -> Dict[str, Sequence[UnitSpec]]:
        """Return the units of these stages, as far as they are known now."""
        found = {name: self.stages.get(name, RehearsedStage()).units for name in stages}
        return {name: units for name, units in found.items() if units}

    def find_spec(self, unit_id: str) -> Optional[UnitSpec]:
        """Return a unit by the present run file."""
        pair = self._known.get(unit_id)
        return None if pair is None else pair[0]

    def of(self, unit_id: str, stage: str) -> Dict[str, Any]:
        """Return what a run would do with a unit now, as fields of an `Explanation`."""
        pair = self._known.get(unit_id)
        if pair is not None:
            return {
                **_describe_standing(pair[1]),
                "after": self._list_before(*pair),
                "unless": self._refusal,
            }
        if self._dry is None:
            return {"detail": f"not known: {self.problem}"}
        seen = self.stages.get(stage)
        if seen is None:
            return {"detail": f"not known: the run file has no stage {stage} any more"}
        if seen.units:
            return {"detail": "not known: the run file has no such unit any more"}
        return {"detail": self.explain_unknown(stage)}

    @property
    def _refusal(self) -> str:
        return "" if self._dry is None else self._dry.refusal

    def _list_before(self, unit: UnitSpec, standing: Standing) -> Tuple[str, ...]:
        """Return the units and stages before a unit that would run before it."""
        if standing.keeps_verdict or self._dry is None:
            return ()
        stage = self._dry.spec.stage(unit.stage)
        names = [name for name in list_upstream(stage) if not (stage.unit_wise and unit.follows)]
        units = [one for one in unit.follows if stage.unit_wise and self._would_run(one)]
        return (*units, *(name for name in names if self._has_work(name)))

    def _would_run(self, unit_id: str) -> bool:
        pair = self._known.get(unit_id)
        return pair is not None and not pair[1].keeps_verdict

    def _has_work(self, stage: str) -> bool:
        if stage not in self._working:
            seen = self.stages.get(stage, RehearsedStage())
            is_late = seen.known_after is not None
            self._working[stage] = is_late or not all(one.keeps_verdict for one in seen.standings)
        return self._working[stage]

    def explain_unknown(self, stage: str) -> str:
        """Say when the units of a stage will be known."""
        seen = self.stages.get(stage, RehearsedStage())
        if seen.known_after:
            return say_when_known(seen.known_after)
        why = seen.problem or self.problem or f"the run file makes no units of stage {stage}"
        return f"not known: {why}"

    def make_waits(self, status: Status) -> Optional[Waits]:
        """Return an object that explains why units wait; None without a dry run."""
        if self._dry is None:
            return None
        units = {name: pair[0] for name, pair in self._known.items()}
        capacity = _find_capacity(status, self._dry.capacity)
        return Waits(self._dry.spec, units, status.history, capacity, at=time.time())


def _describe_standing(standing: Standing) -> Dict[str, Any]:
    return {
        "keep": standing.keeps_verdict,
        "stale": isinstance(standing, Reuse) and standing.stale,
        "reason": standing.reason,
        "detail": standing.text,
    }


def _find_capacity(status: Status, now: Capacity) -> Capacity:
    """Return the recorded capacity; if an older procsup recorded none, the present one."""
    begin = status.history.begin
    if begin is None or not begin.capacity:
        return now
    memory = begin.capacity.get("memory")
    return msgspec.structs.replace(
        now,
        cpus=float(begin.capacity["cpus"]),
        memory_bytes=None if memory is None else int(memory),
        jobs=begin.jobs,
    )

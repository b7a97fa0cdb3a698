"""What became of units, what holds them, and what a run would do with them now."""

import os
import time
from typing import Any, Collection, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import msgspec

from procsup.api.finding import find_run
from procsup.api.invocation import selectors
from procsup.api.logs import logs_of_unit
from procsup.api.requests import DryRun
from procsup.api.retrying import request_for, rerun_of
from procsup.api.selection import Known, ends_that_count, facts_now, refuse
from procsup.api.status import Status, status_of
from procsup.core.events import Standing
from procsup.core.records import End
from procsup.core.rehearsal import Foreseen
from procsup.core.selectors import Named, Selection
from procsup.core.slots import Capacity
from procsup.core.spec import UnitSpec, upstream
from procsup.core.text import known_when
from procsup.core.waits import Waits
from procsup.errors import ProcsupError
from procsup.host.files import AnyPath
from procsup.report.explanation import Begun, Explanation
from procsup.store.find import Found
from procsup.store.rundir import RunDir


def explain(run: AnyPath, *, only: Sequence[str] = ()) -> List[Explanation]:
    """Explain the units that the selectors select, or all; nothing is written, started or locked.

    `run` as for `wait_for`; live, dead or final. UsageError if there is no such run, or a selector
    selects no unit, RunUnfinished if that very run is not the latest of its directory, RecordError
    if its records cannot be read.
    """
    explained = Explained(find_run(os.fspath(run), os.curdir), selectors("only", only))
    return list(explained)


class Explained:
    """The explanations of the units that words select (without words, of all), to be iterated.

    Errors as of `explain`. `status` is how the run stands.
    """

    def __init__(self, found: Found, words: Sequence[str]) -> None:
        self.status: Status = status_of(found)
        self._history = self.status.history
        self._live = self.status.state == "running"
        self._rundir: RunDir = found.rundir
        self._facts = facts_now(self._history, live=self._live)
        later = [one.name for one in self.status.stages if not self._history.plan.get(one.name)]
        self._later = [(one, one.partition("/")[0]) for one in words]
        self._later = [pair for pair in self._later if pair[1] in later]
        early = [one for one in words if (one, one.partition("/")[0]) not in self._later]
        self._units: List[Named] = []
        if early or not words:
            known = Known(early, found.rundir, self._history, live=self._live)
            self._units = list(known.meant())
        self._foresight = _Foresight(self._rundir, {unit.id for unit in self._units})
        self._late = [one for pair in self._later for one in self._of_later_stage(*pair)]

    def __len__(self) -> int:
        return len(self._units) + len(self._late)

    def __iter__(self) -> Iterator[Explanation]:
        waits = self._foresight.waits(self.status) if self._live else None
        for unit in self._units:
            yield self._explain(unit, waits)
        yield from self._late

    def _explain(self, unit: Named, waits: Optional[Waits]) -> Explanation:
        past = self._history.units.get(unit.id)
        launch = past.open_launch if past is not None else None
        begun = None
        if past is not None and launch is not None:
            begun = Begun(launch.attempt, past.open_pid, launch.at)
        state = next(iter(self._facts(unit).states))
        logs = [] if past is None else logs_of_unit(past, self._rundir, unit.stage)
        found = Explanation(
            unit.id,
            unit.stage,
            state,
            tuple(self._ends(unit.id)),
            begun,
            unit.id in self._history.kept and self._history.succeeded(unit.id),
            unit.id in self._history.stale,
            self._held(unit.id, waits) if state == "waiting" else "",
            logs={log.stream: log.path for log in logs if os.path.exists(log.path)},
            directory=str(self._rundir.path),
        )
        if self._live and state in ("waiting", "running"):
            return found
        return found._replace(**self._foresight.of(unit.id, unit.stage))

    def _ends(self, unit_id: str) -> Sequence[End]:
        past = self._history.units.get(unit_id)
        if past is None or past.open_launch is None:
            return ends_that_count(self._history, unit_id)
        return past.ends if past.generation == self._history.generation else ()

    def _held(self, unit_id: str, waits: Optional[Waits]) -> str:
        if not self._live:
            return self._how_it_stands
        spec = self._foresight.spec_of(unit_id)
        if waits is None or spec is None:
            return f"what holds it is not known: {self._foresight.problem or 'it is new'}"
        return waits.why(spec)

    @property
    def _how_it_stands(self) -> str:
        sentence = self.status.sentence
        return f"the run is {sentence}" if sentence.startswith("not finished") else sentence

    def _of_later_stage(self, word: str, stage: str) -> List[Explanation]:
        """Explain units of a stage that this sitting has not expanded, if they are known now.

        UsageError if they are, and the word selects none of them.
        """
        seen = self._foresight.stages.get(stage, Foreseen())
        directory = str(self._rundir.path)
        if self._live or not seen.units:
            why = self._foresight.unknown(seen, stage)
            held = f"the units of stage {stage} are {why}"
            return [Explanation(word, stage, "unknown", held=held, directory=directory)]
        selection = Selection([word])
        selection.learn(seen.units, stage)
        refuse(selection)
        return [
            Explanation(
                unit.id,
                stage,
                "waiting",
                held=self._how_it_stands,
                directory=directory,
                **_told(standing),
            )
            for unit, standing in zip(seen.units, seen.standings)
            if selection(unit)
        ]


class _Foresight:
    """The dry run's result for single units; `problem` says why there is none."""

    def __init__(self, rundir: RunDir, wanted: Collection[str]) -> None:
        from procsup.api.sitting import dry_run

        self.problem = ""
        self._working: Dict[str, bool] = {}  # stages with units that would run
        self._dry: Optional[DryRun] = None
        try:
            request = request_for(rerun_of(Found(rundir, None)), ())
            self._dry = dry_run(msgspec.structs.replace(request, again=None), wanted=wanted)
        except ProcsupError as error:
            lines = str(error).splitlines()
            more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
            self.problem = f"{lines[0]}{more}"
        self.stages: Mapping[str, Foreseen] = {} if self._dry is None else self._dry.stages
        self._known: Dict[str, Tuple[UnitSpec, Standing]] = {
            unit.id: (unit, standing)
            for seen in self.stages.values()
            for unit, standing in zip(seen.units, seen.standings)
        }

    def spec_of(self, unit_id: str) -> Optional[UnitSpec]:
        """Return a unit as the run file has it now."""
        pair = self._known.get(unit_id)
        return None if pair is None else pair[0]

    def of(self, unit_id: str, stage: str) -> Dict[str, Any]:
        """Return what a run would do with a unit now, as fields of an `Explanation`."""
        pair = self._known.get(unit_id)
        if pair is not None:
            return {**_told(pair[1]), "after": self._after(*pair), "unless": self._refusal}
        if self._dry is None:
            return {"detail": f"not known: {self.problem}"}
        seen = self.stages.get(stage)
        if seen is None:
            return {"detail": f"not known: the run file has no stage {stage} any more"}
        if seen.units:
            return {"detail": "not known: the run file has no such unit any more"}
        return {"detail": self.unknown(seen, stage)}

    @property
    def _refusal(self) -> str:
        return "" if self._dry is None else self._dry.refusal

    def _after(self, unit: UnitSpec, standing: Standing) -> Tuple[str, ...]:
        """Return the units and stages before a unit that would run before it."""
        if standing.kept or self._dry is None:
            return ()
        stage = self._dry.spec.stage(unit.stage)
        names = [name for name in upstream(stage) if not (stage.unit_wise and unit.follows)]
        units = [one for one in unit.follows if stage.unit_wise and self._would_run(one)]
        return (*units, *(name for name in names if self._has_work(name)))

    def _would_run(self, unit_id: str) -> bool:
        pair = self._known.get(unit_id)
        return pair is not None and not pair[1].kept

    def _has_work(self, stage: str) -> bool:
        if stage not in self._working:
            seen = self.stages.get(stage, Foreseen())
            is_late = seen.known_after is not None
            self._working[stage] = is_late or not all(one.kept for one in seen.standings)
        return self._working[stage]

    def unknown(self, seen: Foreseen, stage: str) -> str:
        """Say when the units of a stage will be known."""
        if seen.known_after:
            return known_when(seen.known_after)
        why = seen.problem or self.problem or f"the run file makes no units of stage {stage}"
        return f"not known: {why}"

    def waits(self, status: Status) -> Optional[Waits]:
        """Return an object that explains why units wait; None without a dry run."""
        if self._dry is None:
            return None
        units = {name: pair[0] for name, pair in self._known.items()}
        capacity = _capacity(status, self._dry.capacity)
        return Waits(self._dry.spec, units, status.history, capacity, at=time.time())


def _told(standing: Standing) -> Dict[str, Any]:
    return {
        "keep": standing.kept and not standing.reason,
        "stale": standing.stale,
        "reason": standing.reason,
        "detail": standing.text,
    }


def _capacity(status: Status, now: Capacity) -> Capacity:
    """Return the sitting's recorded capacity; an older procsup recorded none: then today's."""
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

"""How stages begin and end within a sitting: plan, keep, unblock, withdraw, halt, publish."""

from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Optional, Sequence

import msgspec

from procsup.core.events import Expand, Expanded, Publish, Standing, Withdraw
from procsup.core.news import RUNS_AGAIN, stage_news
from procsup.core.outcome import StopReason, Verdict
from procsup.core.records import End, Kept, Planned, RunFinal, StageFinal, Withdrawn
from procsup.core.replay import History, UnitHistory
from procsup.core.slots import why_never
from procsup.core.spec import UnitSpec
from procsup.core.stages import Stage, fires
from procsup.core.states import ASIDE, Blocked, Done, Prior, Unit, Waiting

if TYPE_CHECKING:
    from procsup.core.planner import Planner

Selector = Callable[[UnitSpec], bool]

_CHUNK = 500  # unit ids in one record
_HARMLESS = (Verdict.SUCCEEDED, Verdict.SKIPPED, Verdict.CANCELLED)


class Admission:
    """The planner's hand for whole stages; it works on the planner's own state."""

    def __init__(self, planner: "Planner", history: History, selector: Optional[Selector]) -> None:
        self._planner = planner
        self._history = history
        self._selector = selector

    # --- a stage's plan ------------------------------------------------------------------

    def take(self, fact: Expanded) -> None:
        """The units of a stage are known, or why there are none.

        With others before it, one known early is told twice: it is checked when they are done.
        """
        stage = self._planner.by_name[fact.stage]
        expanding = stage.tally.status == "expanding"
        if stage.halted or (stage.expanded and not expanding):
            return  # passed over while its units were worked out
        if fact.problem:
            self._refuse(stage, fact.problem)
            return
        stage.program = fact.program
        stage.standings = list(fact.standings)
        stage.unfit = dict(fact.unfit)
        if not stage.expanded:
            self._plan(stage, fact.units)
        if expanding:
            self._decide(stage)

    def _plan(self, stage: Stage, specs: Sequence[UnitSpec]) -> None:
        stage.admit([Unit(spec) for spec in specs])
        ids = [spec.id for spec in specs]
        for start in range(0, max(len(ids), 1), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            self._planner.write(Planned(stage.name, chunk, start + _CHUNK >= len(ids)))

    def _refuse(self, stage: Stage, problem: str) -> None:
        """The stage cannot be run: units that were planned are not started."""
        self._planner.write(Planned(stage.name, list(stage.by_id), True, problem))
        stage.tally.problem = problem
        if not stage.expanded:
            stage.admit([])
        stage.standings = []
        stage.tally.status = "open"
        for unit in stage.units:
            self.give_verdict(stage, unit, self._unstarted(unit, Verdict.NOT_STARTED, problem))
        self._check_policies(stage)

    def _decide(self, stage: Stage) -> None:
        """The stages before it are done: keep what is still good, queue the rest."""
        stage.tally.status = "open"
        newest = self._newest_before(stage)
        kept: Dict[bool, List[str]] = {False: [], True: []}
        reasons: Dict[str, int] = {}
        for unit, standing in zip(stage.units, stage.standings):
            self._seat(stage, unit, standing, newest)
            if unit.kept:
                kept[unit.stale].append(unit.spec.id)
            elif isinstance(unit.state, Waiting):
                reason = standing.reason or RUNS_AGAIN.format(" and ".join(stage.upstream))
                reasons[reason] = reasons.get(reason, 0) + 1
        if stage.upstream:
            stage.tally.news += stage_news(stage.spec, stage.tally, reasons)
        stage.standings = []
        for stale, ids in kept.items():
            for start in range(0, len(ids), _CHUNK):
                self._planner.write(Kept(stage.name, ids[start : start + _CHUNK], stale))

    def _newest_before(self, stage: Stage) -> int:
        before = [self._planner.by_name[name] for name in stage.upstream]
        return max([one.newest_end for one in before if not _only_lists(one, stage)], default=0)

    def _seat(self, stage: Stage, unit: Unit, standing: Standing, newest: int) -> None:
        if not isinstance(unit.state, Blocked):
            return  # the verdict of one before it has halted the stage
        history = self._history.units.get(unit.spec.id)
        if history is not None:
            unit.last_number = history.last_number
            unit.prior = _prior(history)
            if history.generation == self._history.generation:
                unit.ends = list(history.ends)
                unit.tried = history.tried
        if self._selector is not None and not self._selector(unit.spec):
            self._hold(stage, unit, newest)
        elif unit.spec.id in stage.unfit:
            cause = stage.unfit[unit.spec.id]
            self.give_verdict(stage, unit, self._unstarted(unit, Verdict.NOT_STARTED, cause))
        elif standing.kept and history is not None and _is_newer(stage, history, newest):
            unit.stale = standing.stale
            self._keep(stage, unit)
        else:
            self._queue(stage, unit)

    def _queue(self, stage: Stage, unit: Unit) -> None:
        why = why_never(stage.needs(unit, None), self._planner.capacity)
        if why is None:
            self._planner.attempts.wait_until(stage, unit, 0.0)
            return
        cause = f"{why}: ask for less, or raise `capacity`"
        self.give_verdict(stage, unit, self._unstarted(unit, Verdict.NOT_STARTED, cause))

    def _keep(self, stage: Stage, unit: Unit) -> None:
        history = self._history.units[unit.spec.id]
        unit.ends = list(history.ends)
        unit.kept = unit.ends[-1].verdict is Verdict.SUCCEEDED
        unit.state = Done(unit.ends[-1].verdict)
        stage.newest_end = max(stage.newest_end, history.ended_seq)
        stage.decide(unit, unit.ends[-1].verdict)

    def _hold(self, stage: Stage, unit: Unit, newest: int) -> None:
        """Not selected: it keeps its verdict if that still stands, and stays aside otherwise."""
        history = self._history.units.get(unit.spec.id)
        last = history.last if history is not None else None
        unit.state = ASIDE
        if history is None or last is None or not last.final or history.open_launch is not None:
            return
        if _is_newer(stage, history, newest):  # else it would be wrong to call it finished
            self._keep(stage, unit)

    # --- verdicts ------------------------------------------------------------------------

    def give_verdict(self, stage: Stage, unit: Unit, end: End) -> None:
        """This end decides the unit."""
        end = _compared(end, unit)
        seq = self._planner.write(end)
        if unit.ends and unit.ends[-1].attempt == end.attempt:
            unit.ends.pop()
        unit.ends.append(end)
        unit.state = Done(end.verdict)
        unit.tried = 0
        stage.newest_end = max(stage.newest_end, end.same_as or seq)
        stage.decide(unit, end.verdict)
        self._planner.await_sync(seq, stage, end)
        if end.verdict not in _HARMLESS:
            self._check_policies(stage)

    def skip(self, stage: Stage, unit: Unit, cause: str) -> None:
        """It will not be started (again): its last counted attempt decides, else `skipped`."""
        if unit.ends and unit.ends[-1].counts and unit.ends[-1].attempt > 0:
            end = msgspec.structs.replace(unit.ends[-1], final=True)
        else:
            end = self._unstarted(unit, Verdict.SKIPPED, cause)
        self.give_verdict(stage, unit, end)

    def _unstarted(self, unit: Unit, verdict: Verdict, cause: str) -> End:
        return End(
            unit.spec.id,
            0,
            verdict,
            self._planner.wall,
            cause=cause,
            fingerprint=unit.spec.fingerprint,
        )

    def _check_policies(self, stage: Stage) -> None:
        own = stage.spec.on_failure
        if own is not None:
            if fires(own, _failures(stage), stage.tally.planned or 0):
                self._halt([stage], own.do)
            return
        shared = [other for other in self._planner.stages if other.spec.on_failure is None]
        planned = sum(other.tally.planned or 0 for other in shared)
        if fires(self._planner.spec.on_failure, sum(map(_failures, shared)), planned):
            self._halt(self._planner.stages, self._planner.spec.on_failure.do)

    def _halt(self, stages: Iterable[Stage], do: str) -> None:
        fresh = [stage for stage in stages if not stage.halted and not stage.tally.final]
        for stage in fresh:
            stage.halted = True
        for stage in fresh:
            self._pass_over(stage, f'not started, since on-failure = "{do}"')
            if do == "stop":
                self._planner.attempts.stop_all(StopReason.POLICY, stage)

    def _pass_over(self, stage: Stage, cause: str) -> None:
        stage.ready.clear()
        stage.standings = []
        if not stage.expanded:
            stage.admit([])
            stage.passed_over = True
            stage.tally.problem = cause
            self._planner.write(Planned(stage.name, [], True))
            return
        for unit in stage.units:
            if isinstance(unit.state, (Blocked, Waiting)):
                self.skip(stage, unit, cause)

    # --- from stage to stage -------------------------------------------------------------

    def settle_stages(self) -> None:
        """Unblock, finish and publish whatever can be, then withdraw what will run again."""
        changed = True
        while changed:
            changed = False
            for stage in self._planner.stages:
                changed |= self._advance(stage)
        self._withdraw()

    def _advance(self, stage: Stage) -> bool:
        if stage.tally.final:
            return False
        if stage.is_complete() and not stage.standings:
            self._finish(stage)
            return True
        if stage.tally.status == "blocked" and self._is_unblocked(stage):
            self._unblock(stage)
            return True
        return False

    def _is_unblocked(self, stage: Stage) -> bool:
        if not stage.upstream:
            return stage.expanded
        if self._planner.summary.ending:
            return False
        return all(self._planner.by_name[name].tally.final for name in stage.upstream)

    def _unblock(self, stage: Stage) -> None:
        tolerant = {after.stage for after in stage.spec.after if after.when == "finished"}
        for name in stage.upstream:
            if name not in tolerant and self._planner.by_name[name].tally.status != "succeeded":
                stage.tally.status = "open"
                self._pass_over(stage, f"stage {name} did not succeed")
                return
        if not stage.upstream:
            self._decide(stage)
            return
        stage.tally.status = "expanding"
        outputs = {name: self._planner.by_name[name].outputs() for name in stage.upstream}
        self._planner.orders.append(Expand(stage.name, outputs, self._newest_before(stage)))

    def _withdraw(self) -> None:
        if self._planner.summary.ending:
            return  # nothing will be started
        known: Dict[str, bool] = {}
        names = [
            stage.name
            for stage in self._planner.stages
            if not stage.withdrawn and not stage.tally.final and self._will_run(stage, known)
        ]
        if not names:
            return
        for name in names:
            self._planner.by_name[name].withdrawn = True
        self._planner.write(Withdrawn(names))
        self._planner.orders.append(Withdraw(tuple(names)))

    def _will_run(self, stage: Stage, known: Dict[str, bool]) -> bool:
        if stage.name not in known:
            known[stage.name] = (
                bool(stage.ready)
                or any(not standing.kept for standing in stage.standings)
                or any(
                    self._will_run(self._planner.by_name[name], known) for name in stage.upstream
                )
            )
        return known[stage.name]

    def _finish(self, stage: Stage) -> None:
        status = stage.status()
        stage.tally.status = status
        counts = {verdict.value: number for verdict, number in stage.tally.verdicts.items()}
        self._planner.write(StageFinal(stage.name, status, counts))
        self._planner.orders.append(Publish(stage.name, status))

    # --- the end of the sitting ----------------------------------------------------------

    def close_if_over(self) -> None:
        """Publish the run if all of it is final; close the sitting if nothing can go on."""
        planner = self._planner
        if planner.done or not planner.is_idle:
            return
        if all(stage.tally.final for stage in planner.stages):
            good = all(stage.tally.status == "succeeded" for stage in planner.stages)
            status = "succeeded" if good else "failed"
            planner.write(RunFinal(planner.run_id, status, planner.wall))
            planner.orders.append(Publish(None, status))
            planner.close(status)
        elif planner.summary.ending:
            planner.close("")
        elif not self._can_go_on():
            planner.end_early("selection", "only the selected units were asked for")
            planner.close("")

    def _can_go_on(self) -> bool:
        waiting = [stage for stage in self._planner.stages if not stage.tally.final]
        if any(stage.ready or stage.tally.status == "expanding" for stage in waiting):
            return True
        return self._planner.next_deadline() is not None


def _prior(history: UnitHistory) -> Optional[Prior]:
    last = history.last
    if last is None or last.verdict is not Verdict.SUCCEEDED or history.open_launch is not None:
        return None
    return Prior(history.ended_seq, last.outputs)


def _compared(end: End, unit: Unit) -> End:
    """Note an end whose outputs are, untouched, those of the unit's success before."""
    prior = unit.prior
    if prior is None or end.verdict is not Verdict.SUCCEEDED or not end.outputs:
        return end
    untouched = [(r.path, r.size, r.mtime_ns) for r in end.outputs] == [
        (r.path, r.size, r.mtime_ns) for r in prior.outputs
    ]
    return msgspec.structs.replace(end, same_as=prior.seq) if untouched else end


def _only_lists(before: Stage, stage: Stage) -> bool:
    """Tell whether all that it makes is the list of parameters that the other one reads."""
    made = [output.path for unit in before.units for output in unit.spec.outputs]
    return bool(made) and set(made) <= set(stage.spec.list_files)


def _is_newer(stage: Stage, history: UnitHistory, newest: int) -> bool:
    """What hangs on a unit that ran again runs again, unless it is to be kept always."""
    return stage.spec.keep == "always" or history.ended_seq >= newest


def _failures(stage: Stage) -> int:
    verdicts = stage.tally.verdicts
    bad = sum(number for verdict, number in verdicts.items() if verdict not in _HARMLESS)
    return bad + (1 if stage.tally.problem and not stage.passed_over else 0)

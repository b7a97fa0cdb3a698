"""How the units of a stage begin: planned, kept, blocked, queued, skipped or given a verdict."""

from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

import msgspec

from procsup.core.ends import see
from procsup.core.events import Expanded, Standing, Weigh, Weighed
from procsup.core.handed import HandedFolders
from procsup.core.keep import ASKED, CHANGES, INPUTS
from procsup.core.news import after, stage_news
from procsup.core.outcome import HARMLESS, NO_LEFTOVER_FILES, Reading, StopReason, Verdict
from procsup.core.records import End, Kept, Planned, Seen
from procsup.core.replay import History, UnitHistory
from procsup.core.slots import why_never
from procsup.core.spec import StageSpec, UnitSpec
from procsup.core.stages import Stage, fires
from procsup.core.states import ASIDE, DONE, Blocked, Done, Unit, Waiting
from procsup.core.versions import Version, newest

if TYPE_CHECKING:
    from procsup.core.planner import Planner

Selector = Callable[[UnitSpec], bool]

IN_DOUBT = Standing(False, "looked at again")
_CHUNK = 500  # unit ids in one record


class Admission:
    """The planner's part for whole stages; it changes the planner's own state."""

    def __init__(self, planner: "Planner", history: History, selector: Optional[Selector]) -> None:
        self._planner = planner
        self._history = history
        self._selector = selector
        # (stage, stale, restored) -> units that are not recorded yet
        self._kept: Dict[Tuple[str, bool, bool], List[str]] = {}
        self._base_seq = history.last_seq
        self._handed = HandedFolders(planner)
        self._in_doubt: Dict[str, List[str]] = {}  # stage -> units to weigh again
        self.looking = 0  # `Weigh` orders without an answer yet
        self._room_for: Optional[Tuple[object, ...]] = None  # the last needs that fit
        self._reasons: Dict[str, int] = {}  # of the stage being decided

    # --- a stage's plan ------------------------------------------------------------------

    def take(self, fact: Expanded) -> None:
        """The units of a stage are known, or why there are none.

        A stage that is known early and has stages before it comes twice: it is checked when they
        are done.
        """
        stage = self._planner.by_name[fact.stage]
        expanding = stage.tally.status == "expanding"
        if stage.halted or (stage.expanded and not expanding):
            return  # passed over while it was expanded
        if fact.problem:
            self._refuse(stage, fact.problem)
            return
        stage.run(fact.program)
        stage.standings = list(fact.standings)
        stage.unfit = dict(fact.unfit)
        stage.tally.news += fact.notes
        if not stage.expanded:
            self._plan(stage, fact.units)
            self._take_back(fact)
        if expanding:
            self.decide(stage)

    def _plan(self, stage: Stage, specs: Sequence[UnitSpec]) -> None:
        stage.admit([Unit(spec) for spec in specs])
        self._planner.write_plan(stage.name, specs, stage.standings)

    def _take_back(self, fact: Expanded) -> None:
        """Record that requested units run again: a resume must not keep their old success."""
        for spec, standing in zip(fact.units, fact.standings):
            if standing.reason == ASKED:
                cause = "asked to run again"
                end = End(spec.id, 0, Verdict.CANCELLED, self._planner.wall, cause=cause)
                self._planner.write(msgspec.structs.replace(end, final=False, counts=False))

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

    def decide(self, stage: Stage) -> None:
        """The stages before it are done: keep what is still good, queue the rest."""
        stage.tally.status = "open"
        stage.made_before = self.made_before(stage)
        self._handed.look_before(stage)
        self._reasons = {}
        for unit, standing in zip(stage.units, stage.standings):
            self._place(stage, unit, standing)
        if stage.upstream and not stage.spec.unit_wise:
            stage.tally.news += stage_news(stage.spec, stage.tally, self._reasons)
        stage.standings = []

    def record_kept(self) -> None:
        """Record the units that were kept since the last call."""
        for (stage, stale, restored), ids in self._kept.items():
            for start in range(0, len(ids), _CHUNK):
                self._planner.write(Kept(stage, ids[start : start + _CHUNK], stale, restored))
        self._kept.clear()

    def made_before(self, stage: Stage) -> Dict[str, Version]:
        """Return the version of the outputs of each whole stage that this one follows."""
        before = [self._planner.by_name[name] for name in stage.whole_upstream]
        made = [one for one in before if not only_lists([u.spec for u in one.units], stage.spec)]
        return {one.name: self._version_of_all(one) for one in made}

    def _version_of_all(self, stage: Stage) -> Version:
        versions = map(self._version, stage.units)
        return newest([Version(stage.newest_made), *(one for one in versions if one.gaps)])

    def _version(self, unit: Unit) -> Version:
        """Return the version of a unit's outputs."""
        past = unit.past
        success = None if past is None else past.success
        if past is None or success is None or success.made_seq != unit.made_seq:
            return Version(unit.made_seq)
        return past.version_at(self._planner.seq + 1)

    def _place(self, stage: Stage, unit: Unit, standing: Standing) -> None:
        if not isinstance(unit.state, Blocked):
            return  # an earlier unit's verdict has halted the stage
        history = self._history.units.get(unit.spec.id)
        if history is not None:
            unit.last_number = history.last_number
            unit.past = history
            if history.generation == self._history.generation:
                unit.packed = history.packed
                unit.tried = history.tried
        if not unit.spec.follows:
            self._seat(stage, unit, standing)
            return
        bad: Optional[Unit] = None
        open_ones: List[Unit] = []
        for name in unit.spec.follows:
            one = self._planner.unit(name)
            if not isinstance(one.state, Done):
                open_ones.append(one)
            elif bad is None and one.failed:
                bad = one
        if bad is not None:
            self._skip_after(stage, unit, bad, standing)
        elif open_ones:
            unit.state = Blocked(len(open_ones), standing)
            for one in open_ones:
                one.dependents = [*(one.dependents or ()), unit]
        else:
            self._seat(stage, unit, standing)

    def weigh_again(self) -> None:
        """Order a second comparison of the units in doubt."""
        for stage, ids in self._in_doubt.items():
            self.looking += 1
            self._planner.orders.append(Weigh(stage, tuple(ids)))
        self._in_doubt.clear()

    def take_again(self, fact: Weighed) -> None:
        """Apply the results of a second comparison to the units that still wait for them."""
        self.looking -= 1
        stage = self._planner.by_name[fact.stage]
        for name, standing in fact.standings.items():
            unit = stage.by_id[name]
            if isinstance(unit.state, Blocked) and unit.state.standing is IN_DOUBT:
                self._seat(stage, unit, standing, looked=True)

    def _is_in_doubt(self, stage: Stage, unit: Unit, standing: Standing) -> bool:
        """Whether its inputs had changed, and the units it follows ran and made the same.

        Whole stages before it need no second comparison: they were done before the first one.
        """
        if not stage.spec.unit_wise or standing.reason not in INPUTS or unit.past is None:
            return False
        followed = [self._planner.unit(name) for name in unit.spec.follows]
        ran = any(not one.kept for one in followed)
        success = unit.past.standing_success
        return ran and success is not None and self._is_newer(stage, unit, success)

    def _seat(self, stage: Stage, unit: Unit, standing: Standing, *, looked: bool = False) -> None:
        """Everything before it is done: keep it, queue it or leave it aside."""
        kept_as = _kept_as(unit, standing)
        if self._selector is not None and not self._selector(unit.spec):
            self._hold(stage, unit, standing, kept_as)
        elif stage.unfit and unit.spec.id in stage.unfit:
            cause = stage.unfit[unit.spec.id]
            self.give_verdict(stage, unit, self._unstarted(unit, Verdict.NOT_STARTED, cause))
        elif standing.kept and kept_as is not None and self._is_newer(stage, unit, kept_as):
            unit.stale = standing.stale
            self._keep(stage, unit, kept_as, standing)
        elif not looked and self._is_in_doubt(stage, unit, standing):
            unit.state = Blocked(0, IN_DOUBT)
            self._in_doubt.setdefault(stage.name, []).append(unit.spec.id)
        elif standing.aside and self._has_used(stage, unit, self._base_seq):
            unit.state = ASIDE
        else:
            self._queue(stage, unit, self._why(stage, unit, standing))

    def _why(self, stage: Stage, unit: Unit, standing: Standing) -> Standing:
        """Return why it runs: a unit or stage it depends on ran, or else its standing.

        A stage before it that ran also explains why its inputs changed.
        """
        if not (standing.kept or standing.aside or standing.reason in INPUTS):
            return standing
        past = unit.past
        ended = 0 if past is None else (past.standing_success or past).ended_seq
        for name, version in self._used(stage, unit):
            if not version.was_used_by(ended):
                return after(name, now=version.seq > self._base_seq)
        return standing

    def _used(self, stage: Stage, unit: Unit) -> Iterable[Tuple[str, Version]]:
        """Yield the name and version of each unit and whole stage that it depends on."""
        for name in unit.spec.follows:
            yield name, self._version(self._planner.unit(name))
        yield from stage.made_before.items()

    def _is_newer(self, stage: Stage, unit: Unit, history: UnitHistory) -> bool:
        """Whether its end is newer than the outputs it depends on, or `keep` is ``always``."""
        return stage.spec.keep == "always" or self._has_used(stage, unit, history.ended_seq)

    def _has_used(self, stage: Stage, unit: Unit, ended_seq: int) -> bool:
        """Whether an end with this record number used the present versions of its dependencies."""
        return all(version.was_used_by(ended_seq) for _, version in self._used(stage, unit))

    def _queue(self, stage: Stage, unit: Unit, why: Standing) -> None:
        never = self._why_never(stage, unit)
        if never is None:
            self._reasons[why.reason] = self._reasons.get(why.reason, 0) + 1
            if self._handed.may_hold_leftovers(stage, unit.spec):
                self._handed.note(stage, unit.spec)
            self._planner.attempts.admit(stage, unit, why)
            return
        cause = f"{never}: ask for less, or raise `capacity`"
        self.give_verdict(stage, unit, self._unstarted(unit, Verdict.NOT_STARTED, cause))

    def _why_never(self, stage: Stage, unit: Unit) -> Optional[str]:
        """Return why it can never fit, None if it can; cached, since many units need the same."""
        needs = (stage, unit.spec.cpus, unit.spec.memory_bytes, unit.tried)
        if needs != self._room_for:
            why = why_never(stage.needs(unit, None), self._planner.capacity)
            if why is not None:
                return why
            self._room_for = needs
        return None

    def queue_again(self, stage: Stage, unit: Unit) -> None:
        """Queue a unit whose verdict was taken back."""
        self._queue(stage, unit, Standing(False, ASKED))

    def imagine(self, stage: Stage, unit: Unit) -> None:
        """Continue as if it had succeeded with new outputs; nothing is written."""
        self._planner.seq += 1
        unit.state = DONE[Verdict.SUCCEEDED]
        unit.made_seq = stage.newest_made = self._planner.seq
        stage.decide(unit, Verdict.SUCCEEDED)
        self._planner.moved |= not stage.undecided
        self._release(unit)

    def _keep(self, stage: Stage, unit: Unit, history: UnitHistory, standing: Standing) -> None:
        """Keep it as `history` has it: its last verdict, or its last success."""
        verdict = history.verdict
        if verdict is None:
            raise AssertionError(f"{unit.spec.id} is kept, and has no verdict")
        unit.packed = history.packed
        self._see(stage, unit, standing)
        unit.kept = verdict is Verdict.SUCCEEDED
        unit.state = DONE[verdict]
        unit.made_seq = history.made_seq
        stage.newest_made = max(stage.newest_made, unit.made_seq)
        stage.decide(unit, verdict)
        self._planner.moved |= not stage.undecided
        kept = (stage.name, unit.stale, history is not unit.past)
        self._kept.setdefault(kept, []).append(unit.spec.id)
        self._release(unit)

    def _see(self, stage: Stage, unit: Unit, standing: Standing) -> None:
        """Record new readings and leftover files of a kept unit."""
        name = unit.spec.id
        known = self._history.leftover_files.get(name, NO_LEFTOVER_FILES)
        now = known if standing.leftover_files is None else standing.leftover_files
        if standing.seen or now != known:
            news = Seen(name, standing.seen, None if now == known else now)
            self._planner.write(news)
            unit.packed = see(unit.packed, name, news.readings, news.leftover_files)
        if now.count:
            stage.tally.leftover_files[name] = now

    def _hold(
        self, stage: Stage, unit: Unit, standing: Standing, history: Optional[UnitHistory]
    ) -> None:
        """Not selected: it keeps its verdict if that still stands, and stays aside otherwise."""
        unit.state = ASIDE
        if history is None or not history.is_final or history.open_launch is not None:
            return
        last = history.last
        if last is None:
            raise AssertionError(f"{unit.spec.id} has a final verdict, and no end")
        succeeded = history.verdict is Verdict.SUCCEEDED
        changed = last.fingerprint != unit.spec.fingerprint
        changed = changed or (succeeded and standing.reason in CHANGES)
        if changed and stage.spec.keep != "always":
            return  # its outputs can no longer be confirmed
        if self._is_newer(stage, unit, history):  # otherwise its success is out of date
            unit.stale = standing.stale
            self._keep(stage, unit, history, standing)

    # --- verdicts ------------------------------------------------------------------------

    def give_verdict(self, stage: Stage, unit: Unit, end: End) -> None:
        """This end decides the unit."""
        end = _compared(end, unit)
        seq = self._planner.write(end)
        unit.add_end(end)
        unit.state = DONE[end.verdict]
        unit.tried = 0
        unit.made_seq = end.same_as or seq
        stage.newest_made = max(stage.newest_made, unit.made_seq)
        stage.decide(unit, end.verdict)
        self._planner.await_sync(seq, stage, end)
        self._release(unit)
        if end.verdict not in HARMLESS:
            self._check_policies(stage)

    def _release(self, unit: Unit) -> None:
        """It has its verdict: units that follow it continue, or are skipped."""
        dependents, unit.dependents = unit.dependents, None
        for other in dependents or ():
            state, stage = other.state, self._planner.by_name[other.spec.stage]
            if not isinstance(state, Blocked) or state.standing is None:
                continue  # skipped meanwhile
            if unit.failed:
                self._skip_after(stage, other, unit, state.standing)
            elif state.left > 1:
                other.state = Blocked(state.left - 1, state.standing)
            else:
                self._seat(stage, other, state.standing)

    def _skip_after(self, stage: Stage, unit: Unit, bad: Unit, standing: Standing) -> None:
        if self._selector is None or self._selector(unit.spec):
            self.skip(stage, unit, f"unit {bad.spec.id} did not succeed")
        else:
            self._hold(stage, unit, standing, unit.past)

    def skip(self, stage: Stage, unit: Unit, cause: str) -> None:
        """It will not be started (again): its last counted attempt decides, else `skipped`."""
        last = unit.ends[-1] if unit.packed else None
        if last is not None and _may_decide(last):
            end = msgspec.structs.replace(last, final=True)
        else:
            end = self._unstarted(unit, Verdict.SKIPPED, cause)
        self.give_verdict(stage, unit, end)

    def cancel(self, stage: Stage, unit: Unit, cause: str) -> None:
        """Cancel a unit before it starts."""
        self.give_verdict(stage, unit, self._unstarted(unit, Verdict.CANCELLED, cause))

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
        if (own or self._planner.spec.on_failure).do == "finish":
            return
        if own is not None:
            if fires(own, _failures(stage), stage.tally.planned or 0):
                self._halt([stage], own.do)
            return
        shared = [other for other in self._planner.stages if other.spec.on_failure is None]
        planned = sum(other.tally.planned or 0 for other in shared)
        if fires(self._planner.spec.on_failure, sum(map(_failures, shared)), planned):
            self._halt(self._planner.stages, self._planner.spec.on_failure.do)

    def _halt(self, stages: Iterable[Stage], do: str) -> None:
        fresh = [stage for stage in stages if not stage.halted and not stage.tally.closed]
        self._planner.moved = True
        for stage in fresh:
            stage.halted = True
        for stage in fresh:
            self.pass_over(stage, f'not started, since on-failure = "{do}"')
            if do == "stop":
                self._planner.attempts.stop_all(StopReason.POLICY, stage)

    def pass_over(self, stage: Stage, cause: str) -> None:
        """Start no more of its units: waiting ones are skipped."""
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


def _kept_as(unit: Unit, standing: Standing) -> Optional[UnitHistory]:
    """Return the history under which the unit is kept: its last success, or its last verdict.

    A kept standing with a reason means that the verdict was no success, and stays.
    """
    past = unit.past
    if past is None or not standing.kept or standing.reason:
        return past
    return past.standing_success or past


def _compared(end: End, unit: Unit) -> End:
    """Mark an end whose outputs are the same as those of the unit's last success.

    A unit that is skipped again has not changed either.
    """
    past = unit.past
    if past is None or past.open_launch is not None:
        return end
    if end.verdict is Verdict.SKIPPED is past.verdict:
        return msgspec.structs.replace(end, same_as=past.made_seq)
    success = past.success
    if end.verdict is not Verdict.SUCCEEDED or not end.outputs or success is None:
        return end
    prior = success.last
    if prior is None or not are_same(end.outputs, prior.outputs):
        return end
    return msgspec.structs.replace(end, same_as=success.made_seq)


def are_same(now: Sequence[Reading], before: Sequence[Reading]) -> bool:
    """Whether outputs are the same: by content if every sha256 is known.

    Otherwise by path, size and mtime: the files must not have been written.
    """
    both = (*now, *before)
    if any(reading.changed for reading in both):
        return False
    if all(reading.sha256 for reading in both):
        return {(one.path, one.sha256) for one in now} == {(one.path, one.sha256) for one in before}
    return [(one.path, one.size, one.mtime_ns) for one in now] == [
        (one.path, one.size, one.mtime_ns) for one in before
    ]


def only_lists(before: Iterable[UnitSpec], stage: StageSpec) -> bool:
    """Whether these units make only the lists of parameters that the stage reads."""
    made = [output.path for unit in before for output in unit.outputs]
    return bool(made) and set(made) <= set(stage.list_files)


def _may_decide(last: End) -> bool:
    """Whether a unit that is not tried again has the verdict of its last attempt.

    An earlier success does not stand for a unit that was to run again.
    """
    return last.counts and last.attempt > 0 and last.verdict is not Verdict.SUCCEEDED


def _failures(stage: Stage) -> int:
    verdicts = stage.tally.verdicts
    bad = sum(number for verdict, number in verdicts.items() if verdict not in HARMLESS)
    return bad + (1 if stage.tally.problem and not stage.passed_over else 0)

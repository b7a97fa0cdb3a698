"""What a sitting is about to do, in words: the first line of a run, and the dry run."""

from typing import Dict, List, Mapping, NamedTuple, Optional, Set

from procsup.core.admission import Selector, only_lists
from procsup.core.events import Expanded, Standing
from procsup.core.news import RAN_AGAIN, RUNS_AGAIN, said, stale_line
from procsup.core.quantities import show_time
from procsup.core.records import Begin, Closed, RunFinal
from procsup.core.replay import UnitHistory
from procsup.core.spec import RunSpec, StageSpec, UnitSpec, upstream, whole_upstream

Histories = Mapping[str, UnitHistory]


class Before(NamedTuple):
    """How the last sitting left the run."""

    begin: Optional[Begin] = None
    run_final: Optional[RunFinal] = None
    closed: Optional[Closed] = None


class Outlook(NamedTuple):
    """Numbers for the first line; `late` are the stages whose units are not known yet.

    `as_they_are` have no success, and a retry that is not about them leaves it at that; `bare` are
    kept without outputs, from a run that did not succeed.
    """

    kept: int
    reasons: Dict[str, int]
    stale: Dict[str, int]
    left_alone: int
    late: List[str]
    as_they_are: int = 0
    bare: int = 0

    @property
    def to_run(self) -> int:
        """Units that will run, as far as is known."""
        return sum(self.reasons.values())


def foresee(
    spec: RunSpec, expansions: Mapping[str, Expanded], histories: Histories
) -> Dict[str, List[Standing]]:
    """Return each known stage's standings, with those undone that depend on others.

    On units that will run, or that ran again after them and before this sitting.
    """
    foreseen: Dict[str, List[Standing]] = {}
    restless: Set[str] = set()  # stages and units that will run
    for name in in_order(spec):
        stage, expansion = spec.stage(name), expansions.get(name)
        moved = [before for before in whole_upstream(stage) if before in restless]
        newest = _newest_made(stage, expansions, histories)
        seen: List[Standing] = []
        for unit, standing in zip(expansion.units, expansion.standings) if expansion else ():
            why = [*moved, *(before for before in unit.follows if before in restless)]
            if why and (standing.kept or standing.aside) and stage.keep != "always":
                seen.append(Standing(False, RUNS_AGAIN.format(why[0])))
            else:
                newer = _newer(stage, unit, newest, histories) if standing.kept else None
                seen.append(Standing(False, RAN_AGAIN.format(newer)) if newer else standing)
            if not (seen[-1].kept or seen[-1].aside):
                restless.add(unit.id)
        foreseen[name] = seen
        unknown = expansion is None and any(before in restless for before in upstream(stage))
        if moved or unknown or any(not (one.kept or one.aside) for one in seen):
            restless.add(name)
    return foreseen


def _newest_made(
    stage: StageSpec, expansions: Mapping[str, Expanded], histories: Histories
) -> Dict[str, int]:
    """Return, for each whole stage before, the newest record that made its outputs."""
    newest: Dict[str, int] = {}
    for name in whole_upstream(stage):
        units = expansions[name].units if name in expansions else ()
        if not only_lists(units, stage):
            newest[name] = max([_made(unit.id, histories) for unit in units], default=0)
    return newest


def _newer(
    stage: StageSpec, unit: UnitSpec, newest: Mapping[str, int], histories: Histories
) -> Optional[str]:
    """Return what has ended since the unit's own last end, though the unit depends on it."""
    history = histories.get(unit.id)
    if history is None or stage.keep == "always":
        return None
    made = {**newest, **{name: _made(name, histories) for name in unit.follows}}
    return next((name for name, seq in made.items() if seq > history.ended_seq), None)


def _made(unit: str, histories: Histories) -> int:
    history = histories.get(unit)
    return history.made_seq if history is not None else 0


def in_order(spec: RunSpec) -> List[str]:
    """Return the stages' names, each after those that it waits for."""
    placed: List[str] = []
    left = [stage.name for stage in spec.stages]
    while left:
        ready = [name for name in left if set(upstream(spec.stage(name))) <= set(placed)]
        placed.extend(ready)
        left = [name for name in left if name not in ready]
        if not ready:  # a cycle, which the run file's reader refuses
            return placed + left
    return placed


def outlook(
    spec: RunSpec,
    expansions: Mapping[str, Expanded],
    histories: Histories,
    selector: Optional[Selector],
) -> Outlook:
    """Count what will be kept and what will run, by reason."""
    reasons: Dict[str, int] = {}
    stale: Dict[str, int] = {}
    kept = left_alone = as_they_are = bare = 0
    for name, standings in foresee(spec, expansions, histories).items():
        units = expansions[name].units if name in expansions else ()
        for unit, standing in zip(units, standings):
            if selector is not None and not selector(unit):
                left_alone += 1
            elif standing.aside or (standing.kept and standing.reason):
                as_they_are += 1
            elif standing.kept:
                kept += 1
                bare += standing.bare
                if standing.stale:
                    stale[name] = stale.get(name, 0) + 1
            else:
                reasons[standing.reason] = reasons.get(standing.reason, 0) + 1
    late = [stage.name for stage in spec.stages if stage.name not in expansions]
    return Outlook(kept, reasons, stale, left_alone, late, as_they_are, bare)


def first_line(seen: Outlook, before: Before, *, fresh: bool) -> str:
    """Say what is kept and why the rest runs.

    ``kept 212 of 240 (finished 2026-11-21 03:10), 28 to run: 12 failed before, 10 new, 6
    changed; --fresh runs all``
    """
    total = seen.kept + seen.to_run + seen.left_alone + seen.as_they_are
    line = f"kept {seen.kept} of {total}"
    when = _last_time(before)
    if when:
        line += f" ({when})"
    line += f", {seen.to_run} to run"
    if seen.to_run:
        line += ": " + said(seen.reasons)
    if seen.left_alone:
        line += f", {seen.left_alone} left alone by --only"
    if seen.as_they_are:
        line += f", {seen.as_they_are} left as they are"
    if seen.bare:
        line += f"; kept {seen.bare} without outputs from {_unsuccessful(before)}"
    if seen.kept and not fresh:
        line += "; --fresh repeats them" if seen.bare else "; --fresh runs all"
    return line


def notes(seen: Outlook, spec: RunSpec) -> List[str]:
    """Say what the first line has no room for: stale programs, stages to be expanded later."""
    lines = []
    for name, number in seen.stale.items():
        lines.append(stale_line(spec.stage(name), number))
    if seen.late:
        lines.append(f"units known later, when the stages before are done: {', '.join(seen.late)}")
    return lines


def _unsuccessful(before: Before) -> str:
    if before.run_final is None:
        return "an unsuccessful run"
    return f"the unsuccessful run of {show_time(before.run_final.at)}"


def _last_time(before: Before) -> str:
    """Say when the run last finished, or that it did not."""
    if before.run_final is not None:
        return f"finished {show_time(before.run_final.at)}"
    if before.closed is not None:
        return f"{before.closed.reason}, {show_time(before.closed.at)}"
    if before.begin is not None:
        return f"begun {show_time(before.begin.at)}, not finished"
    return ""

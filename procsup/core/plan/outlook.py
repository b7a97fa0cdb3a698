"""Describes what a sitting will do: the first lines of a run and of the dry run."""

from typing import Dict, List, Mapping, Optional

from msgspec import Struct

from procsup.core.events import Hold, Reuse
from procsup.core.plan.news import format_reasons, format_stale_lines
from procsup.core.plan.rehearsal import RehearsedStage
from procsup.core.plan.state import Selector
from procsup.core.quantities import show_time
from procsup.core.records import Begin, Closed, RunFinal
from procsup.core.spec import RunSpec


class LastSitting(Struct, frozen=True):
    """How the last sitting left the run."""

    begin: Optional[Begin] = None
    run_final: Optional[RunFinal] = None
    closed: Optional[Closed] = None
    moved_from: str = ""  # the project's place then, if it has moved


class Outlook(Struct, frozen=True):
    """Numbers for the first line; `late` are the stages whose units are not known yet.

    `as_they_are` are units without success that a retry does not run; `bare` are units kept
    without outputs, from a run that did not succeed. If it `grows`, more units are made later.
    """

    kept: int
    reasons: Dict[str, int]
    stale: Dict[str, int]
    left_alone: int
    late: List[str]
    as_they_are: int = 0
    bare: int = 0
    grows: bool = False

    @property
    def to_run(self) -> int:
        """Units that will run, as far as is known."""
        return sum(self.reasons.values())


def count_outlook(foreseen: Mapping[str, RehearsedStage], selector: Optional[Selector]) -> Outlook:
    """Count the units that are kept, and those that will run, by kind of reason."""
    reasons: Dict[str, int] = {}
    stale: Dict[str, int] = {}
    kept = left_alone = as_they_are = bare = 0
    for name, stage in foreseen.items():
        for unit, standing in zip(stage.units, stage.standings):
            if isinstance(standing, Reuse) and standing.stale:
                stale[name] = stale.get(name, 0) + 1  # also of units left aside: others use them
            if selector is not None and not selector(unit):
                left_alone += 1
            elif isinstance(standing, Hold):
                as_they_are += 1
            elif isinstance(standing, Reuse):
                kept += 1
                bare += standing.bare
            else:
                reasons[standing.reason] = reasons.get(standing.reason, 0) + 1
    late = [name for name, stage in foreseen.items() if stage.known_after is not None]
    return Outlook(kept, reasons, stale, left_alone, late, as_they_are, bare)


def format_first_line(seen: Outlook, before: LastSitting, *, fresh: bool) -> str:
    """Describe what is kept and why the rest runs.

    ``kept 212 of 240 (finished 2026-11-21 03:10), 28 to run: 12 failed before, 10 new, 6
    command changed; --fresh runs all``
    """
    total = seen.kept + seen.to_run + seen.left_alone + seen.as_they_are
    when = [text for text in (before.moved_from, _describe_last_time(before)) if text]
    if seen.grows and not total:
        known = f" ({'; '.join(when)})" if when else ""
        return f"units are compared as they come with what was done before{known}"
    line = f"kept {seen.kept} of {total}{'+' if seen.grows else ''}"
    if when:
        line += f" ({'; '.join(when)})"
    line += f", {seen.to_run} to run"
    if seen.to_run:
        line += ": " + format_reasons(seen.reasons)
    if seen.left_alone:
        line += f", {seen.left_alone} left alone by --only"
    if seen.as_they_are:
        line += f", {seen.as_they_are} left as they are"
    if seen.bare:
        line += f"; kept {seen.bare} without outputs from {_describe_unsuccessful(before)}"
    if seen.kept and not fresh:
        line += "; --fresh repeats them" if seen.bare else "; --fresh runs all"
    return line


def list_notes(seen: Outlook, spec: RunSpec) -> List[str]:
    """Return further lines: stale programs, and stages that are expanded later."""
    lines = format_stale_lines(spec, seen.stale)
    if seen.grows and (seen.kept or seen.to_run):  # with none at first all come later
        lines.append("more units are taken as the program makes them")
    if seen.late:
        lines.append(f"units known later, when the stages before are done: {', '.join(seen.late)}")
    return lines


def _describe_unsuccessful(before: LastSitting) -> str:
    if before.run_final is None:
        return "an unsuccessful run"
    return f"the unsuccessful run of {show_time(before.run_final.at)}"


def _describe_last_time(before: LastSitting) -> str:
    """Say when the run last finished, or that it did not."""
    if before.run_final is not None:
        return f"finished {show_time(before.run_final.at)}"
    if before.closed is not None:
        return f"{before.closed.reason}, {show_time(before.closed.at)}"
    if before.begin is not None:
        return f"begun {show_time(before.begin.at)}, not finished"
    return ""

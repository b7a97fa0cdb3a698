"""The final report of a sitting: counts, failures, the manifest and the next command."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from procsup.core.plan.summary import Summary
from procsup.core.quantities import show_duration
from procsup.core.records import End
from procsup.core.text import plural, visible
from procsup.host.logfiles import LogPlaces
from procsup.queries.rows import row_of_ends
from procsup.report.counts import (
    said_in_short,
    stage_data,
    stage_leftovers,
    stage_problems,
    stage_remarks,
    stage_table,
)
from procsup.report.failures import failed_phrase, failure_lines


class Commands(NamedTuple):
    """Arguments of the command line for this run, quoted for the shell."""

    run: str  # the argument of `procsup run`
    name: str  # the argument of `procsup logs` and `procsup retry`


class Close(NamedTuple):
    """The data of the final report; `status` is None if the run is not final."""

    name: str
    status: Optional[str]
    reason: str
    summary: Summary
    failures: Sequence[End]
    failed_total: int
    directory: str
    manifest_path: Optional[str]
    took_s: float


def ending_lines(close: Close, commands: Commands) -> List[str]:
    """Return the report, line by line."""
    lines = ["", _headline(close)]
    stages = list(close.summary.stages.values())
    if len(stages) > 1:
        lines += [f"  {line}" for line in stage_table(stages)]
    said = (*stage_problems(stages), *stage_remarks(stages), *stage_leftovers(stages))
    lines += [f"  {line}" for line in said]
    if close.failures:
        lines += ["", f"{failed_phrase(close.failed_total)}:"]
        lines += failure_lines(close.failures, close.failed_total, LogPlaces(close.directory))
        lines.append("")
    if close.manifest_path is not None:
        lines.append(f"manifest: {visible(close.manifest_path)}")
    return lines + _next_steps(close, commands)


def _headline(close: Close) -> str:
    said = said_in_short(close.summary.stages.values())
    name, took = visible(close.name), show_duration(close.took_s)
    if close.status is not None:
        return f"{name} {close.status}: {said}, in {took}"
    planned = sum(stage.planned or 0 for stage in close.summary.stages.values())
    done = sum(stage.done for stage in close.summary.stages.values())
    reason = visible(close.reason) or "not finished"
    left = plural(max(planned - done, 0), "unit")
    return f"{name} is not finished: {reason}; {said}, {left} left, after {took}"


def _next_steps(close: Close, commands: Commands) -> List[str]:
    steps = []
    if close.failures:
        steps.append(f"  procsup logs {commands.name} --failed")
    if close.status is None:
        steps.append(f"  procsup run {commands.run}    # goes on where this ended")
    elif close.status != "succeeded":
        steps.append(f"  procsup retry {commands.name}    # tries what did not succeed again")
    return ["next:", *steps] if steps else []


def ending_data(summary: Summary, failures: Sequence[End], failed_total: int) -> Dict[str, Any]:
    """Return the counts and the first failures as plain data."""
    return {
        "stages": {name: stage_data(stage) for name, stage in summary.stages.items()},
        "failed_total": failed_total,
        "failures": [row_of_ends(end.unit, None, None, [end]) for end in failures],
    }

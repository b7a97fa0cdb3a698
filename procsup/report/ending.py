"""The final report of a sitting: counts, failures, the manifest and the next command."""

from typing import Any, Dict, List, NamedTuple

from procsup.core.quantities import show_duration
from procsup.core.text import count_noun, make_visible
from procsup.host.logfiles import LogPlaces
from procsup.queries.rows import row_of_ends
from procsup.report.counts import (
    stage_data,
    stage_leftovers,
    stage_problems,
    stage_remarks,
    stage_table,
    summarise_counts,
)
from procsup.report.failures import failed_phrase, failure_lines
from procsup.supervisor.requests import Ending


class Commands(NamedTuple):
    """Arguments of the command line for this run, quoted for the shell."""

    run: str  # the argument of `procsup run`
    name: str  # the argument of `procsup logs` and `procsup retry`


def ending_lines(name: str, ending: Ending, took_s: float, commands: Commands) -> List[str]:
    """Return the report, line by line."""
    lines = ["", _headline(name, ending, took_s)]
    stages = list(ending.summary.stages.values())
    if len(stages) > 1:
        lines += [f"  {line}" for line in stage_table(stages)]
    said = (*stage_problems(stages), *stage_remarks(stages), *stage_leftovers(stages))
    lines += [f"  {line}" for line in said]
    if ending.failures:
        lines += ["", f"{failed_phrase(ending.failed_total)}:"]
        lines += failure_lines(ending.failures, ending.failed_total, LogPlaces(ending.directory))
        lines.append("")
    if ending.manifest_path is not None:
        lines.append(f"manifest: {make_visible(ending.manifest_path)}")
    return lines + _next_steps(ending, commands)


def _headline(name: str, ending: Ending, took_s: float) -> str:
    said = summarise_counts(ending.summary.stages.values())
    name, took = make_visible(name), show_duration(took_s)
    if ending.status is not None:
        return f"{name} {ending.status}: {said}, in {took}"
    planned = sum(stage.planned or 0 for stage in ending.summary.stages.values())
    done = sum(stage.done for stage in ending.summary.stages.values())
    reason = make_visible(ending.reason) or "not finished"
    left = count_noun(max(planned - done, 0), "unit")
    return f"{name} is not finished: {reason}; {said}, {left} left, after {took}"


def _next_steps(ending: Ending, commands: Commands) -> List[str]:
    steps = []
    if ending.failures:
        steps.append(f"  procsup logs {commands.name} --failed")
    if ending.status is None:
        steps.append(f"  procsup run {commands.run}    # goes on where this ended")
    elif ending.status != "succeeded":
        steps.append(f"  procsup retry {commands.name}    # tries what did not succeed again")
    return ["next:", *steps] if steps else []


def ending_data(ending: Ending) -> Dict[str, Any]:
    """Return the counts and the first failures as plain data."""
    return {
        "stages": {name: stage_data(stage) for name, stage in ending.summary.stages.items()},
        "failed_total": ending.failed_total,
        "failures": [row_of_ends(end.unit, None, None, [end]) for end in ending.failures],
    }

"""The report at the end of a sitting: counts, failures, the manifest and the next command."""

from typing import Any, Dict, List

from msgspec import Struct

from procsup.core.quantities import show_duration
from procsup.core.text import count_noun, make_visible
from procsup.queries.rows import make_ends_row
from procsup.report.counts import (
    format_stage_leftovers,
    format_stage_problems,
    format_stage_remarks,
    make_stage_data,
    make_stage_table,
    summarise_counts,
)
from procsup.report.failures import format_failures, phrase_failed
from procsup.supervisor.requests import Ending


class Commands(Struct, frozen=True):
    """What goes on with this run, and the argument of verbs that names it, quoted for the shell."""

    again: str
    name: str


def format_ending(
    name: str, ending: Ending, took_s: float, commands: Commands, *, list_failures: bool = True
) -> List[str]:
    """Return the report, line by line."""
    lines = ["", _format_headline(name, ending, took_s)]
    stages = list(ending.summary.stages.values())
    if len(stages) > 1:
        lines += [f"  {line}" for line in make_stage_table(stages)]
    said = (
        *format_stage_problems(stages),
        *format_stage_remarks(stages),
        *format_stage_leftovers(stages),
    )
    lines += [f"  {line}" for line in said]
    if ending.failures and list_failures:
        lines += ["", f"{_count_failures(ending, commands)}:"]
        lines += format_failures(ending.failures, ending.failed_total, ending.log_places)
        lines.append("")
    if ending.manifest_path is not None:
        lines.append(f"manifest: {make_visible(ending.manifest_path)}")
    return lines + _next_steps(ending, commands)


def _format_headline(name: str, ending: Ending, took_s: float) -> str:
    said = summarise_counts(ending.summary.stages.values())
    name, took = make_visible(name), show_duration(took_s)
    if ending.status is not None:
        return f"{name} {ending.status}: {said}, in {took}"
    planned = sum(stage.planned or 0 for stage in ending.summary.stages.values())
    done = sum(stage.done for stage in ending.summary.stages.values())
    reason = make_visible(ending.reason) or "not finished"
    left = count_noun(max(planned - done, 0), "unit")
    if _grows(ending):
        left = f"{left} and those that were still to come"
    return f"{name} is not finished: {reason}; {said}, {left} left, after {took}"


def _count_failures(ending: Ending, commands: Commands) -> str:
    """Say how many units failed in this sitting, and in the whole run if those are more."""
    said, total = phrase_failed(ending.failed_total), 0
    for stage in ending.summary.stages.values():
        total += sum(count for verdict, count in stage.verdicts.items() if verdict.is_failure)
    if total <= ending.failed_total:
        return said
    return f"{said} this time, {total} in all (procsup status {commands.name})"


def _grows(ending: Ending) -> bool:
    return any(stage.grows for stage in ending.summary.stages.values())


def _next_steps(ending: Ending, commands: Commands) -> List[str]:
    steps = []
    if ending.failures:
        steps.append(f"  procsup logs {commands.name} --failed")
    if ending.status is None or (ending.status == "failed" and ending.is_plan_open):
        steps.append(f"  {commands.again}    # goes on where this ended")
    elif ending.status != "succeeded":
        steps.append(f"  procsup retry {commands.name}    # tries what did not succeed again")
    return ["next:", *steps] if steps else []


def make_ending_data(ending: Ending) -> Dict[str, Any]:
    """Return the counts and the first failures as plain data."""
    return {
        "stages": {name: make_stage_data(stage) for name, stage in ending.summary.stages.items()},
        "failed_total": ending.failed_total,
        "failures": [make_ends_row(end.unit, None, None, [end]) for end in ending.failures],
    }

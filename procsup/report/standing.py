"""The status of a run, as text."""

import time
from typing import List, Sequence

from procsup.core.quantities import show_duration
from procsup.core.text import make_visible
from procsup.queries.status import RunningUnit, Status
from procsup.report.counts import format_stage_leftovers, format_stage_problems, make_stage_table
from procsup.report.failures import format_failures, phrase_failed
from procsup.report.tables import align

MOST_RUNNING = 20
RUNNING_HEADER = ("running", "attempt", "pid", "for")


def format_standing(status: Status) -> List[str]:
    """Return the state, the table of stages, the running units and the failed ones."""
    run_id, stages, failures = status.history.run_id, status.stages, status.failures
    run = f" (run {run_id})" if run_id else ""
    lines = [make_visible(f"{status.name}{run}: {status.sentence}")]
    if stages:
        lines += [
            "",
            *make_stage_table(stages),
            *format_stage_problems(stages),
            *format_stage_leftovers(stages),
        ]
    if status.running:
        lines += ["", *_format_running(status.running)]
    if failures:
        lines += ["", f"{phrase_failed(len(failures))}:"]
        lines += format_failures(failures, len(failures), status.log_places)
    return lines


def _format_running(running: Sequence[RunningUnit]) -> List[str]:
    lines = align(RUNNING_HEADER, list_running_cells(running))
    beyond = len(running) - MOST_RUNNING
    return [*lines, f"... and {beyond} more"] if beyond > 0 else lines


def list_running_cells(running: Sequence[RunningUnit]) -> List[List[object]]:
    """Return the first running units as rows of a table."""
    now = time.time()
    return [
        [unit.unit, unit.attempt, unit.pid, show_duration(now - unit.since)]
        for unit in running[:MOST_RUNNING]
    ]

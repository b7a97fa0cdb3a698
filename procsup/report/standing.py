"""The status of a run, as text."""

import time
from typing import List, Sequence

from procsup.core.quantities import show_duration
from procsup.core.text import make_visible
from procsup.queries.status import RunningUnit, Status
from procsup.report.counts import stage_leftovers, stage_problems, stage_table
from procsup.report.failures import failed_phrase, failure_lines
from procsup.report.tables import align

MOST_RUNNING = 20


def standing_lines(status: Status) -> List[str]:
    """Return how it stands, the table of stages, the running units and the failed ones."""
    run_id, stages, failures = status.history.run_id, status.stages, status.failures
    run = f" (run {run_id})" if run_id else ""
    lines = [make_visible(f"{status.name}{run}: {status.sentence}")]
    if stages:
        lines += ["", *stage_table(stages), *stage_problems(stages), *stage_leftovers(stages)]
    if status.running:
        lines += ["", *_running_lines(status.running)]
    if failures:
        lines += ["", f"{failed_phrase(len(failures))}:"]
        lines += failure_lines(failures, len(failures), status.log_places)
    return lines


def _running_lines(running: Sequence[RunningUnit]) -> List[str]:
    now = time.time()
    rows = [
        [unit.unit, unit.attempt, unit.pid, show_duration(now - unit.since)]
        for unit in running[:MOST_RUNNING]
    ]
    lines = align(["running", "attempt", "pid", "for"], rows)
    beyond = len(running) - MOST_RUNNING
    return [*lines, f"... and {beyond} more"] if beyond > 0 else lines

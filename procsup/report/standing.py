"""The status of a run, as text."""

from typing import List, NamedTuple, Optional, Sequence

from procsup.core.plan.summary import StageTally
from procsup.core.quantities import show_duration
from procsup.core.records import End
from procsup.core.text import visible
from procsup.host.logfiles import LogPlaces
from procsup.report.counts import stage_leftovers, stage_problems, stage_table
from procsup.report.failures import failed_phrase, failure_lines
from procsup.report.tables import aligned

MOST_RUNNING = 20


class RunningLine(NamedTuple):
    """An attempt that runs, and for how long."""

    unit: str
    attempt: int
    pid: Optional[int]
    elapsed_s: float


def standing_lines(
    title: str,
    stages: Sequence[StageTally],
    running: Sequence[RunningLine],
    failures: Sequence[End],
    places: LogPlaces,
) -> List[str]:
    """Return the title, the table of stages, the running units and the failed ones."""
    lines = [visible(title)]
    if stages:
        lines += ["", *stage_table(stages), *stage_problems(stages), *stage_leftovers(stages)]
    if running:
        lines += ["", *_running_lines(running)]
    if failures:
        lines += ["", f"{failed_phrase(len(failures))}:"]
        lines += failure_lines(failures, len(failures), places)
    return lines


def _running_lines(running: Sequence[RunningLine]) -> List[str]:
    rows = [
        [line.unit, line.attempt, line.pid, show_duration(line.elapsed_s)]
        for line in running[:MOST_RUNNING]
    ]
    lines = aligned(["running", "attempt", "pid", "for"], rows)
    beyond = len(running) - MOST_RUNNING
    return [*lines, f"... and {beyond} more"] if beyond > 0 else lines

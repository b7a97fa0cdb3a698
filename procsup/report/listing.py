"""The runs of a folder, as a table and as data."""

from typing import Any, Dict, List, NamedTuple, Optional

from procsup.core.manifest import rfc3339
from procsup.core.quantities import show_bytes, show_duration, show_time
from procsup.report.tables import aligned

_HEADER = ("name", "state", "units", "when", "age", "size", "run")


class RunLine(NamedTuple):
    """One run for a person or a program; None is unknown, and for `user`: ours."""

    name: str
    run_id: Optional[str]
    state: str
    message: str
    done: Optional[int]
    planned: Optional[int]
    succeeded: Optional[int]
    began: Optional[float]
    ended: Optional[float]
    age_s: Optional[float]
    size_bytes: Optional[int]
    directory: str
    user: Optional[str] = None


def listing_lines(runs: List[RunLine]) -> List[str]:
    """Return the table of runs."""
    rows = [_row(run) for run in runs]
    if not any(run.user for run in runs):
        return aligned(_HEADER, rows)
    users = [run.user or "" for run in runs]
    return aligned((*_HEADER, "of"), [[*row, user] for row, user in zip(rows, users)])


def _row(run: RunLine) -> List[Optional[str]]:
    units = None if run.planned is None else f"{run.done}/{run.planned}"
    at = run.ended or run.began
    when = None if not at else show_time(at)
    age = None if run.age_s is None else show_duration(run.age_s)
    size = None if run.size_bytes is None else show_bytes(run.size_bytes)
    return [run.name, run.state, units, when, age, size, run.run_id]


def listing_data(run: RunLine) -> Dict[str, Any]:
    """Return a run as plain data; times are RFC 3339."""
    return {**run._asdict(), "began": rfc3339(run.began), "ended": rfc3339(run.ended)}

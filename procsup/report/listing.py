"""The runs of a folder, as a table and as data."""

from typing import Any, Dict, List, Optional

from procsup.core.manifest import format_rfc3339
from procsup.core.quantities import show_bytes, show_duration, show_time
from procsup.queries.listing import ListedRun
from procsup.report.tables import align

_HEADER = ("name", "state", "units", "when", "age", "size", "run")
_DATA = (
    *("name", "run_id", "state", "message", "done", "planned", "succeeded", "began", "ended"),
    *("grows", "age_s", "size_bytes", "directory", "user"),
)


def format_listing(runs: List[ListedRun]) -> List[str]:
    """Return the table of runs."""
    rows = [_make_row(run) for run in runs]
    users = [run.user or "" for run in runs]
    if not any(users):
        return align(_HEADER, rows)
    return align((*_HEADER, "of"), [[*row, user] for row, user in zip(rows, users)])


def _make_row(run: ListedRun) -> List[Optional[str]]:
    units = None if run.planned is None else f"{run.done}/{run.planned}{'+' if run.grows else ''}"
    when = show_time(run.when) if run.when else None
    age_s = run.age_s
    age = None if age_s is None else show_duration(age_s)
    size = None if run.size_bytes is None else show_bytes(run.size_bytes)
    return [run.name, run.state, units, when, age, size, run.run_id]


def make_listing_data(run: ListedRun) -> Dict[str, Any]:
    """Return a run as plain data; times are RFC 3339."""
    data = {name: getattr(run, name) for name in _DATA}
    return {**data, "began": format_rfc3339(run.began), "ended": format_rfc3339(run.ended)}

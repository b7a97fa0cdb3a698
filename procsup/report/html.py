"""Runs as tables for notebooks. All text is escaped: names and causes come from other programs."""

from html import escape
from itertools import islice
from typing import Iterable, Iterator, Mapping, NamedTuple, Sequence

from procsup.core.manifest import Head, UnitRecord
from procsup.core.outcome import Verdict
from procsup.core.text import make_visible
from procsup.errors import ProcsupError
from procsup.queries.status import Status
from procsup.report.counts import list_final_cells, list_stage_cells
from procsup.report.failures import MOST_SHOWN, count_failed
from procsup.report.standing import RUNNING_HEADER, list_running_cells
from procsup.report.tables import format_cell


class _Table(NamedTuple):
    """The first rows of a table, and the number of all."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    total: int


def format_status_html(status: Status) -> str:
    """Return the status of a run: its stages, and the first running and failed units."""
    failures = [[one.unit, one.verdict.value, one.cause] for one in status.failures[:MOST_SHOWN]]
    return _format(
        f"{status.name}: {status.sentence}",
        _Table(*list_stage_cells(status.stages), len(status.stages)),
        {one.name: one.problem for one in status.stages},
        _Table(RUNNING_HEADER, list_running_cells(status.running), len(status.running)),
        _Table(("did not succeed", "verdict", "cause"), failures, len(status.failures)),
    )


def format_manifest_html(head: Head, units: Iterable[UnitRecord]) -> str:
    """Return a final run: its stages, and its first units, or the first failed ones."""
    failed = sum(map(count_failed, head.stages.values()))
    if failed:
        units = (unit for unit in units if Verdict(unit.verdict).is_failure)
    total = failed or sum(one.planned for one in head.stages.values())
    problems = {name: counts.problem for name, counts in head.stages.items()}
    try:
        cells = [
            [unit.id, unit.verdict, unit.wall_s, unit.cause]
            for unit in islice(units, min(total, MOST_SHOWN))
        ]
    except ProcsupError as error:
        cells, total = [], 0
        problems["units"] = str(error)
    header = ("did not succeed" if failed else "unit", "verdict", "wall_s", "cause")
    return _format(
        f"{head.name} {head.status}, run {head.run_id}",
        _Table(*list_final_cells(head.stages), len(head.stages)),
        problems,
        _Table(header, cells, total),
    )


def _format(heading: str, stages: _Table, problems: Mapping[str, str], *tables: _Table) -> str:
    lines = [f"<p><b>{_escape(heading)}</b></p>", *_format_table(stages)]
    for name, problem in problems.items():
        lines += [f"<p>{_escape(f'{name}: {problem}')}</p>"] if problem else []
    for table in tables:
        lines += _format_table(table)
    return "\n".join(["<div>", *lines, "</div>"])


def _format_table(table: _Table) -> Iterator[str]:
    if not table.rows:
        return
    yield "<table>"
    yield _format_row("th", table.header)
    for row in table.rows:
        yield _format_row("td", map(format_cell, row))
    yield "</table>"
    if table.total > len(table.rows):
        yield f"<p>... and {table.total - len(table.rows)} more</p>"


def _format_row(tag: str, texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(text)}</{tag}>' for text in texts)}</tr>"


def _escape(text: str) -> str:
    return escape(make_visible(text))

"""Rows as text: aligned for people, CSV and JSON lines for programs."""

import csv
import io
import json
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence

from procsup.core.text import escape_bytes, make_visible

Row = Mapping[str, Any]


def align(header: Sequence[str], rows: Iterable[Sequence[object]]) -> List[str]:
    """Return lines with aligned columns, numbers to the right; unknown is ``-``."""
    cells = [list(header), *([format_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(header))]
    right = [_is_numeric(line[at] for line in cells[1:]) for at in range(len(header))]
    lines = []
    for line in cells:
        padded = [
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, right)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def format_cell(value: object) -> str:
    """Return a value as visible text; unknown is ``-``."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return make_visible(str(value)) or "-"


def _is_numeric(texts: Iterable[str]) -> bool:
    return all(text == "-" or text.replace(".", "", 1).lstrip("-").isdigit() for text in texts)


def format_csv(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Yield CSV (RFC 4180), the header first; unknown is empty, tables and lists are JSON."""
    yield _format_csv_line(columns)
    for row in rows:
        yield _format_csv_line([_format_csv_field(row.get(column)) for column in columns])


def _format_csv_line(fields: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(fields)
    return buffer.getvalue()


def _format_csv_field(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(escape_bytes(value)[0])
    return format_json(value) if isinstance(value, (dict, list, tuple)) else str(value)


def format_json_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield one JSON object a row; unknown is null."""
    return (format_json(row) for row in rows)


def format_json(value: object) -> str:
    """Return JSON in ASCII, on one line; text that is not UTF-8 is escaped."""
    return json.dumps(escape_bytes(value)[0], ensure_ascii=True, allow_nan=False)


def list_columns(rows: Sequence[Row]) -> List[str]:
    """Return all keys of the rows, in the order in which they first appear."""
    seen: Dict[str, None] = {}
    for row in rows:
        seen.update(dict.fromkeys(row))
    return list(seen)

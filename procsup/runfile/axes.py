"""Where the parameters of a stage's units come from: lists, ranges, globs, lines, tables.

Each axis yields rows; the units of a stage are the cross product of its axes, the last one
running fastest.
"""

import os
import re
from typing import Any, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Tuple, Union

from procsup.runfile import ambiguity
from procsup.runfile.keys import check_new_name
from procsup.runfile.patterns import Glob, is_capture, read_glob
from procsup.runfile.problems import (
    Faults,
    KeyPath,
    Problems,
    Wrong,
    below,
    did_you_mean,
    each,
    each_of,
    expected,
    listing,
)
from procsup.runfile.scope import PATH, TEXT, Kind, Many, Scope
from procsup.runfile.template import Field, Template
from procsup.runfile.values import Scalar, a_list, scalar, text
from procsup.runfile.walk import find, why_nothing

MAX_UNITS = 1_000_000

_RANGE = re.compile(r"\s*(-?\d+)\s*\.\.\s*(-?\d+)\s*(?::\s*(-?\d+)\s*)?")
_SOURCES = ("range", "glob", "lines")
_LATER_SOURCES = ("csv", "jsonl")

Row = Dict[str, Any]  # parameter -> scalar as written, or a list of them


class Axis(NamedTuple):
    """Parameters that vary together; `source` says what they are, or where to find it."""

    at: KeyPath
    kinds: Dict[str, Kind]  # the parameters it gives
    in_id: Tuple[str, ...]  # those of them that tell units apart
    source: Union[List[Row], Glob, str]  # a text: the path of a file with one value a line

    @property
    def looks_at_files(self) -> bool:
        """Only the file system knows the rows."""
        return not isinstance(self.source, list)


class AxisReader:
    """Reads `matrix` and `units` of one stage; `scope` and `values` are the run's variables."""

    def __init__(self, scope: Scope, values: Mapping[str, Any], problems: Problems) -> None:
        self._scope = scope
        self._values = values
        self._problems = problems
        self._taken: FrozenSet[str] = frozenset(scope.known)
        self._names: Dict[str, KeyPath] = {}

    def read(self, table: Mapping[str, Any], places: Mapping[str, KeyPath]) -> Tuple[Axis, ...]:
        """Return the axes of a stage's table; `places` says where its keys stand."""
        axes: List[Axis] = []
        if "units" in table:
            axes += self._try(places["units"], self._rows, table["units"])
        matrix = table.get("matrix", {})
        if not isinstance(matrix, dict):
            wrong = expected("a table (`matrix.x = [1, 2]`)", matrix)
            self._problems.add_wrong(places["matrix"], wrong)
            return tuple(axes)
        for name, value in matrix.items():
            axes += self._try((*places["matrix"], name), self._values_of, value)
        return tuple(axes)

    def _try(self, at: KeyPath, read: Any, value: Any) -> List[Axis]:
        try:
            axis: Axis = read(at, value)
            for name in axis.kinds:
                self._claim(name, at)
            return [axis]
        except Wrong as wrong:
            self._problems.add_wrong(at, wrong)
            return []

    def _claim(self, name: str, at: KeyPath) -> None:
        check_new_name(name, "parameter", self._taken)
        if name in self._names:
            raise Wrong(f"the parameter `{name}` is given twice")
        self._names[name] = at

    def _rows(self, at: KeyPath, value: Any) -> Axis:
        if isinstance(value, dict):
            later = [key for key in value if key in _LATER_SOURCES]
            if later:
                message = "is not there yet in this version of procsup (tables are: [{...}, ...])"
                raise Wrong(faults=[((later[0],), message)])
        rows = each(a_list(value, "tables"), _row)
        if not rows:
            raise Wrong("expected at least one table")
        faults = Faults()
        for index, row in enumerate(rows):
            for difference in _differences(row, rows[0]):
                faults.add((index,), difference)
        faults.raise_if_any()
        kinds = {name: _kind(cell) for name, cell in rows[0].items()}
        return Axis(at, kinds, tuple(name for name in kinds if kinds[name] == TEXT), rows)

    def _values_of(self, at: KeyPath, value: Any) -> Axis:
        name = str(at[-1])
        if isinstance(value, dict):
            return self._source(at, name, value)
        values = each(a_list(value, "values, or a table with `glob`, `range` or `lines`"), scalar)
        if not values:
            raise Wrong("expected at least one value")
        return _listed(at, name, values)

    def _source(self, at: KeyPath, name: str, value: Dict[str, Any]) -> Axis:
        if len(value) != 1 or next(iter(value)) not in _SOURCES:
            wrong = next((key for key in value if key not in _SOURCES), "")
            hint = did_you_mean(wrong, _SOURCES) if wrong else ""
            given = listing(value) if value else "nothing"
            raise Wrong(f"expected a list or one of {listing(_SOURCES)}, not {given}{hint}")
        ((kind, content),) = value.items()
        with below(kind):
            if kind == "range":
                return _listed(at, name, _range(text(content)))
            read = self._glob if kind == "glob" else self._lines
            return read(at, name, Template(text(content)))

    def _glob(self, at: KeyPath, name: str, template: Template) -> Axis:
        for field in template.fields:
            if not is_capture(field):
                self._check_known(field)
        glob = read_glob(template, self._values)
        if name in glob.captures:
            raise Wrong(f"`{name}` is the path itself: choose another name for the capture")
        two = ambiguity.find_two_readings(glob)
        if two is not None:
            raise Wrong(_two_ways(glob, two))
        kinds: Dict[str, Kind] = {name: PATH}
        kinds.update((capture, TEXT) for capture in glob.captures)
        return Axis(at, kinds, glob.captures or (name,), glob)

    def _check_known(self, field: Field) -> None:
        name = field.name
        if name not in self._scope.known:
            hint = did_you_mean(name, self._scope.known)
            cure = f"{{{name}:*}} captures what stands there"
            raise Wrong(f"{{{name}}}: there is no variable of this name{hint}; {cure}")
        self._scope.check(Template(str(field)))

    def _lines(self, at: KeyPath, name: str, template: Template) -> Axis:
        path = self._scope.check(template).render(self._values)
        if not path.strip():
            raise expected("the path of a file with one value a line", path)
        return Axis(at, {name: TEXT}, (name,), path)


def _two_ways(glob: Glob, two: ambiguity.Reading) -> str:
    one_way, other_way = (
        ", ".join(f'{name}="{value}"' for name, value in zip(glob.captures, values))
        for values in (two.one, two.two)
    )
    ways = f": {one_way} or {other_way}" if one_way != other_way else ""
    return (
        f"`{glob.source}` can read the path `{glob.below_base(two.path)}` in two ways{ways};"
        " a wildcard also matches what divides it from the next one, unless that is a /"
        " ({x:?} is just one character)"
    )


def _row(value: Any) -> Row:
    if not isinstance(value, dict) or not value:
        raise expected("a table of parameters", value)
    cells = each_of(value, lambda _, cell: _cell(cell))
    return dict(zip(value, cells))


def _cell(value: Any) -> Any:
    return tuple(each(value, scalar)) if isinstance(value, list) else scalar(value)


def _kind(cell: Any) -> Kind:
    return Many(TEXT) if isinstance(cell, tuple) else TEXT


def _differences(row: Row, first: Row) -> Iterable[str]:
    missing = [name for name in first if name not in row]
    if missing:
        yield f"{listing(missing)} missing: the first row has it, and all rows have the same names"
    more = [name for name in row if name not in first]
    if more:
        yield f"the first row has no {listing(more)}, and all rows have the same names"
    for name in row:
        if name in first and isinstance(row[name], tuple) != isinstance(first[name], tuple):
            yield f"`{name}` is a list in one row and a single value in another"


def _listed(at: KeyPath, name: str, values: Iterable[Scalar]) -> Axis:
    return Axis(at, {name: TEXT}, (name,), [{name: value} for value in values])


def _range(value: str) -> List[Scalar]:
    match = _RANGE.fullmatch(value)
    if match is None:
        raise expected('a range such as "1..9" or "1..9:2" (both ends included)', value)
    first, last, step = match.groups()
    start, end = int(first), int(last)
    stride = int(step) if step else (1 if start <= end else -1)
    if stride == 0 or (end - start) * stride < 0:
        raise Wrong(f"the range {value} is empty: a step of {stride} never leads there")
    numbers = range(start, end + (1 if stride > 0 else -1), stride)
    if len(numbers) > MAX_UNITS:
        raise Wrong(f"the range {value} has {len(numbers):,} values, more than {MAX_UNITS:,}")
    width = max(len(first), len(last)) if _is_padded(first) or _is_padded(last) else 0
    return [f"{number:0{width}d}" for number in numbers] if width else list(numbers)


def _is_padded(number: str) -> bool:
    return len(number.lstrip("-")) > 1 and number.lstrip("-").startswith("0")


def rows_of(axis: Axis, folder: str, *, empty_ok: bool) -> List[Row]:
    """Return an axis' rows, looking at the file system where that is needed.

    `Wrong` if it yields nothing, unless that is allowed.
    """
    if isinstance(axis.source, list):
        return axis.source
    rows = (
        _found(axis, axis.source, folder)
        if isinstance(axis.source, Glob)
        else _read_lines(axis, folder)
    )
    if not rows and not empty_ok:
        cure = "(`empty-ok = true` allows that)"
        if isinstance(axis.source, Glob):
            raise Wrong(f"{why_nothing(axis.source, folder)} {cure}")
        raise Wrong(f"`{axis.source}` has no lines {cure}")
    return rows


def _found(axis: Axis, glob: Glob, folder: str) -> List[Row]:
    name = next(iter(axis.kinds))
    rows: List[Row] = []
    for match in find(glob, folder):
        row: Row = {name: match.path}
        row.update(zip(glob.captures, match.captures))
        rows.append(row)
    return rows


def _read_lines(axis: Axis, folder: str) -> List[Row]:
    name = next(iter(axis.kinds))
    path = str(axis.source)
    try:
        with open(os.path.join(folder, path), encoding="utf-8-sig") as file:
            lines = [line.rstrip("\n") for line in file]
    except UnicodeDecodeError as error:
        raise Wrong(f"`{path}` is not UTF-8: {error.reason} at byte {error.start}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Wrong(f"`{path}` cannot be read: {reason}") from None
    bad = next((number for number, line in enumerate(lines, 1) if "\0" in line), 0)
    if bad:
        raise Wrong(f"`{path}` line {bad} holds a NUL character, which no argument can hold")
    return [{name: line} for line in lines if line.strip()]

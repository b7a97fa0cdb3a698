"""The sources of a stage's parameters: lists, ranges, globs, lines, tables.

Each axis yields rows; the units of a stage are the cross product of its axes, the last one
running fastest: `units`, then `matrix`, then all of `zip` as one.
"""

import json
from contextlib import contextmanager
from typing import (
    Any,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    List,
    Mapping,
    Sequence,
    Tuple,
    Union,
)

from msgspec import Struct
from msgspec.structs import replace

from procsup.core.automata import TwoReadings
from procsup.core.globs import Glob
from procsup.core.regexes import compile_at_use
from procsup.runfile.parameters.columns import Column
from procsup.runfile.parameters.tables import (
    ListFile,
    Row,
    describe_cure_of_delimiter,
    read_names,
)
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import (
    Faults,
    Noted,
    Problems,
    Wrong,
    below,
    convert_each,
    convert_entries,
    list_words,
    make_wrong,
    show,
    suggest,
)
from procsup.runfile.syntax.values import (
    SOURCES,
    TABLES,
    Fields,
    Scalar,
    a_list,
    read_text,
    scalar,
    text,
    texts,
)
from procsup.runfile.templates.patterns import check_input, join_globs, read_glob
from procsup.runfile.templates.scope import PATH, TEXT, Kind, Many, Scope
from procsup.runfile.templates.template import Field, Template
from procsup.runfile.vocabulary.names import check_new_name

MAX_UNITS = 1_000_000

_CAPTURE = compile_at_use(r"{(\w+):")
_RANGE = compile_at_use(r"\s*(-?\d{1,15})\s*\.\.\s*(-?\d{1,15})\s*(?::\s*(-?\d{1,15})\s*)?")
_NO_COLUMNS: Tuple[str, ...] = ()


class Axis(Struct, frozen=True):
    """Parameters that vary together; `source` has their values, or where to read them."""

    at: KeyPath
    kinds: Dict[str, Kind]  # the parameters it gives
    in_id: Tuple[str, ...]  # those that are part of a unit's id
    source: Union[List[Row], Column, Glob, ListFile, Tuple["Axis", ...]]  # several: side by side

    @property
    def looks_at_files(self) -> bool:
        """Whether the rows depend on the file system."""
        if isinstance(self.source, tuple):
            return any(part.looks_at_files for part in self.source)
        return not isinstance(self.source, (list, Column))


def split_zips(axes: Iterable[Axis]) -> Iterator[Axis]:
    """Yield the axes, in place of a zip its parts."""
    for axis in axes:
        if isinstance(axis.source, tuple):
            yield from split_zips(axis.source)
        else:
            yield axis


def list_files(axes: Iterable[Axis]) -> List[str]:
    """Return the files, as written, that hold the parameters of these axes."""
    sources = [axis.source for axis in split_zips(axes)]
    return [source.path for source in sources if isinstance(source, ListFile)]


def check_lengths(lengths: Mapping[str, int]) -> None:
    """Refuse axes of a zip with different lengths."""
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"`{name}` has {count:,}" for name, count in lengths.items())
        raise Wrong(f"{counts}: lists side by side need equally many values")


class AxisReader:
    """Reads `units`, `matrix` and `zip` of one stage.

    `scope` and `values` are the run's variables, `folder` is that of the run file.
    """

    def __init__(
        self, scope: Scope, values: Mapping[str, Any], folder: str, problems: Problems
    ) -> None:
        self._scope = scope
        self._values = values
        self._folder = folder
        self._problems = problems
        self._taken: FrozenSet[str] = frozenset(scope.known)
        self._names: Dict[str, KeyPath] = {}
        self.partial = False  # some names of parameters could not be read

    def read(self, table: Mapping[str, Any], places: Mapping[str, KeyPath]) -> Tuple[Axis, ...]:
        """Return the axes of a stage's table; `places` has the places of its keys."""
        axes: List[Axis] = []
        if "units" in table:
            axes += self._try(places["units"], self._read_rows, table["units"])
            self.partial = not axes
        for key in ("matrix", "zip"):
            if key in table:
                found = self._read_named(places[key], key, table[key])
                axes += found if key == "matrix" else self._read_zip(places[key], found)
        return tuple(axes)

    def _read_named(self, at: KeyPath, key: str, table: Any) -> List[Axis]:
        if not isinstance(table, dict):
            self._problems.add_wrong(at, make_wrong(f"a table (`{key}.x = [1, 2]`)", table))
            self.partial = True
            return []
        axes: List[Axis] = []
        for name, value in table.items():
            read = self._try(
                (*at, name), self._read_values, value, shared=axes if key == "zip" else []
            )
            axes += read or [_make_unread((*at, name), name, value)]
        return axes

    def _read_zip(self, at: KeyPath, parts: List[Axis]) -> List[Axis]:
        lists = {
            str(part.at[-1]): part.source
            for part in parts
            if isinstance(part.source, (list, Column)) and part.source
        }
        with self._problems.below(at):
            check_lengths({name: len(rows) for name, rows in lists.items()})
        kinds = {name: kind for part in parts for name, kind in part.kinds.items()}
        in_id = tuple(dict.fromkeys(name for part in parts for name in part.in_id))
        return [Axis(at, kinds, in_id, tuple(parts))] if parts else []

    def _try(self, at: KeyPath, read: Any, value: Any, shared: Sequence[Axis] = ()) -> List[Axis]:
        """Read an axis; its globs may capture the names that those of `shared` capture."""
        again = {
            name for one in shared if isinstance(one.source, Glob) for name in one.source.captures
        }
        try:
            axis: Axis = read(at, value)
            captures = axis.source.captures if isinstance(axis.source, Glob) else ()
            for name in axis.kinds:
                if name not in again or name not in captures:
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

    def _read_rows(self, at: KeyPath, value: Any) -> Axis:
        if isinstance(value, dict):
            return self._read_table(at, value)
        rows = convert_each(a_list(value, "tables"), _read_row)
        if not rows:
            raise Wrong("expected at least one table")
        faults = Faults()
        for index, row in enumerate(rows):
            for difference in _describe_differences(row, rows[0]):
                faults.add((index,), difference)
        faults.raise_if_any()
        kinds = {name: _find_kind(cell) for name, cell in rows[0].items()}
        return Axis(at, kinds, tuple(name for name in kinds if kinds[name] == TEXT), rows)

    def _read_table(self, at: KeyPath, value: Dict[str, Any]) -> Axis:
        kind = next((key for key in TABLES if key in value), "")
        if not kind or ("csv" in value and "jsonl" in value):
            cure = '{ csv = "samples.csv" } or { jsonl = "samples.jsonl" }'
            raise Wrong(f"expected a list of tables, {cure}, not {list_words(value) or 'nothing'}")
        fields = Fields(value, (kind, *TABLES[kind]), kind)
        columns = fields.take("columns", texts, _NO_COLUMNS)
        file = ListFile(
            kind,
            fields.take(kind, self._list_path, ""),
            all_names=not columns,
            required=fields.take("required", texts, _NO_COLUMNS),
            delimiter=fields.take("delimiter", _read_delimiter, ""),
            comment=fields.take("comment", read_text, ""),
        )
        fields.raise_if_any()
        first = self._read_names(file, columns)
        with below("required"):
            for name in file.required:
                if name not in first:
                    hint = suggest(name, first)
                    raise Wrong(f"there is no column `{name}`{hint}; there are {list_words(first)}")
        kinds = {name: _find_kind(cell) for name, cell in first.items()}
        in_id = tuple(name for name in kinds if kinds[name] == TEXT)
        return Axis(at, kinds, in_id, replace(file, columns=tuple(kinds)))

    def _read_names(self, file: ListFile, columns: Tuple[str, ...]) -> Row:
        """Return the names of a file's columns, each with a cell that shows its kind."""
        with below("columns" if columns else file.kind):
            first = dict.fromkeys(columns, "") if columns else read_names(file, self._folder)
            for place, name in enumerate(first, 1):
                with _explain_column(file, place, name, [] if columns else list(first)):
                    check_new_name(name, "parameter", self._taken)
        return first

    def _list_path(self, value: Any) -> str:
        path = self._fill_in(value)
        if not path.strip():
            raise make_wrong("the path of a file", path)
        return path

    def _fill_in(self, value: Any) -> str:
        return self._scope.render(Template(text(value)), self._values)

    def _read_values(self, at: KeyPath, value: Any) -> Axis:
        name = str(at[-1])
        if isinstance(value, dict):
            return self._read_source(at, name, value)
        values = convert_each(
            a_list(value, "values, or a table with `glob`, `range` or `lines`"), scalar
        )
        if not values:
            raise Wrong("expected at least one value")
        return _make_axis(at, name, values)

    def _read_source(self, at: KeyPath, name: str, value: Dict[str, Any]) -> Axis:
        if len(value) != 1 or next(iter(value)) not in SOURCES:
            wrong = next((key for key in value if key not in SOURCES), "")
            hint = suggest(wrong, SOURCES) if wrong else ""
            given = list_words(value) if value else "nothing"
            raise Wrong(f"expected a list or one of {list_words(SOURCES)}, not {given}{hint}")
        ((kind, content),) = value.items()
        with below(kind):
            if kind == "range":
                return _make_axis(at, name, _read_range(self._fill_in(content)))
            if kind == "glob":
                return self._read_glob(at, name, content)
            path = self._list_path(content)
            return Axis(at, {name: TEXT}, (name,), ListFile("lines", path, (name,)))

    def _read_glob(self, at: KeyPath, name: str, content: Any) -> Axis:
        if isinstance(content, list):
            patterns = convert_each(list(enumerate(content)), self._read_pattern_of_list)
            glob = join_globs(patterns)
        else:
            glob = self._read_pattern(content)
        if name in glob.captures:
            raise Wrong(f"`{name}` is the path itself: choose another name for the capture")
        two = glob.find_two_readings()
        if two is not None:
            raise Wrong(_describe_two_ways(glob, two))
        kinds: Dict[str, Kind] = {name: PATH}
        kinds.update((capture, TEXT) for capture in glob.captures)
        return Axis(at, kinds, glob.captures or (name,), glob)

    def _read_pattern_of_list(self, item: Tuple[int, Any]) -> Tuple[KeyPath, bool, Glob]:
        index, content = item
        leaves_out = read_text(content).startswith("!")
        return (index,), leaves_out, self._read_pattern(content[1:] if leaves_out else content)

    def _read_pattern(self, content: Any) -> Glob:
        template = Template(text(content), glob=True)
        for field in template.fields:
            if not field.is_capture:
                self._check_known(field)
        check_input(template)
        return read_glob(template, self._values)

    def _check_known(self, field: Field) -> None:
        name = field.name
        if self._scope.is_unread(field):
            raise Noted
        if name not in self._scope.known:
            hint = suggest(name, self._scope.known)
            cure = f"{{{name}:*}} captures what stands there"
            raise Wrong(f"{{{name}}}: there is no variable of this name{hint}; {cure}")
        self._scope.check(Template(str(field)))


def _make_unread(at: KeyPath, name: str, value: Any) -> Axis:
    """Return a substitute for an invalid axis: its name is known, so uses of it are not errors."""
    kinds: Dict[str, Kind] = {name: TEXT}
    if isinstance(value, dict) and "glob" in value:
        kinds = {name: PATH, **dict.fromkeys(_CAPTURE.findall(str(value["glob"])), TEXT)}
    return Axis(at, kinds, (), [])


def _describe_two_ways(glob: Glob, two: TwoReadings) -> str:
    one_way, other_way = (
        ", ".join(f'{name}="{value}"' for name, value in zip(glob.captures, values))
        for values in (two.one, two.two)
    )
    ways = f": {one_way} or {other_way}" if one_way != other_way else ""
    return (
        f"`{glob.source}` can read the path `{two.path}` in two ways{ways};"
        " a wildcard also matches what divides it from the next one, unless that is a /"
        " ({x:?} is just one character, {x:[^_]+} none that is a _)"
    )


@contextmanager
def _explain_column(file: ListFile, place: int, name: str, found: List[str]) -> Iterator[None]:
    """Add to a `Wrong` its column in the file, and how to leave that column out."""
    try:
        yield
    except Wrong as wrong:
        cure = describe_cure_of_delimiter(file, name)
        if cure:
            raise Wrong(f"{file.path}: the header is not divided, {show(name)}: {cure}") from None
        if not found:
            raise
        good = json.dumps([one for one in found if one != name], ensure_ascii=False)
        which = f"column {place}" if file.kind == "csv" else "the name"
        raise Wrong(
            f"{file.path}: {which}, {show(name)}: {wrong}; or say which columns are used:"
            f" columns = {good}"
        ) from None


def _read_delimiter(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 1 or value in '"\r\n':
        raise make_wrong('one character such as ";" or "\\t"', value)
    return value


def _read_row(value: Any) -> Row:
    if not isinstance(value, dict) or not value:
        raise make_wrong("a table of parameters", value)
    cells = convert_entries(value, lambda _, cell: _read_cell(cell))
    return dict(zip(value, cells))


def _read_cell(value: Any) -> Any:
    return tuple(convert_each(value, scalar)) if isinstance(value, list) else scalar(value)


def _find_kind(cell: Any) -> Kind:
    return Many(TEXT) if isinstance(cell, tuple) else TEXT


def _describe_differences(row: Row, first: Row) -> Iterable[str]:
    missing = [name for name in first if name not in row]
    if missing:
        words = list_words(missing)
        yield f"{words} missing: the first row has it, and all rows have the same names"
    more = [name for name in row if name not in first]
    if more:
        yield f"the first row has no {list_words(more)}, and all rows have the same names"
    for name in row:
        if name in first and isinstance(row[name], tuple) != isinstance(first[name], tuple):
            yield f"`{name}` is a list in one row and a single value in another"


def _make_axis(at: KeyPath, name: str, values: Sequence[Scalar]) -> Axis:
    return Axis(at, {name: TEXT}, (name,), Column(name, values))


def _read_range(value: str) -> Sequence[Scalar]:
    match = _RANGE.fullmatch(value)
    if match is None:
        raise make_wrong('a range such as "1..9" or "1..9:2" (both ends included)', value)
    first, last, step = match.groups()
    start, end = int(first), int(last)
    stride = int(step) if step else (1 if start <= end else -1)
    if stride == 0 or (end - start) * stride < 0:
        raise Wrong(f"the range {value} is empty: a step of {stride} never leads there")
    numbers = range(start, end + (1 if stride > 0 else -1), stride)
    if len(numbers) > MAX_UNITS:
        raise Wrong(f"the range {value} has {len(numbers):,} values, more than {MAX_UNITS:,}")
    width = max(len(first), len(last)) if _is_padded(first) or _is_padded(last) else 0
    return [f"{number:0{width}d}" for number in numbers] if width else numbers


def _is_padded(number: str) -> bool:
    return len(number.lstrip("-")) > 1 and number.lstrip("-").startswith("0")

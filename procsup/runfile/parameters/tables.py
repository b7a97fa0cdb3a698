"""Reads files with parameters: one value a line, a CSV with a header row, a JSON object a line.

Every message about a row is ``file:line: what is wrong``; many are raised together.
"""

import csv
import io
import json
import os
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    TextIO,
    Tuple,
)

from msgspec import Struct

from procsup.core.regexes import compile_at_use
from procsup.core.text import count_noun
from procsup.host.files import open_reading
from procsup.paths.opening import is_absent
from procsup.runfile.syntax.problems import (
    Faults,
    Wrong,
    convert_each,
    list_words,
    make_wrong,
    suggest,
)
from procsup.runfile.syntax.reading import WrittenFloat, read_whole
from procsup.runfile.syntax.values import Scalar, format_value, scalar

Row = Dict[str, Any]  # parameter -> scalar as written, or a tuple of them

_ENOUGH_PROBLEMS = 20
_LONGEST_LINE = 1 << 24  # characters
_DELIMITERS = (";", "\t", "|", ",")
_COMMENTS = ("#", "//", "%")
_LONE_SURROGATE = compile_at_use("[\ud800-\udfff]")


class ListFile(Struct, frozen=True):
    """A file of parameters: `kind` is ``lines``, ``csv`` or ``jsonl``, `path` as written.

    `columns` are the parameters that it gives; ``lines`` gives one. With `all_names` an object may
    have no other names. Cells of `required` columns must not be empty. `delimiter` divides the
    cells of a CSV; the default is a comma, in a TSV a tab. Lines of a CSV that begin with
    `comment` are left out.
    """

    kind: str
    path: str
    columns: Tuple[str, ...] = ()
    all_names: bool = False
    required: Tuple[str, ...] = ()
    delimiter: str = ""
    comment: str = ""


class _Placed(NamedTuple):
    line: int
    cells: List[str]  # of lines and JSON lines: the one text


def read_rows(file: ListFile, folder: str) -> List[Row]:
    """Return the rows of a file, whose relative path starts at `folder`; `Wrong` has all faults."""
    with _open_table(file.path, folder) as opened:
        return _READERS[file.kind](file, opened)


def read_names(file: ListFile, folder: str) -> Row:
    """Return the first row of a file, of a CSV its header: the names and the kinds of the columns.

    `Wrong` if it cannot be read; its message says how to name the columns of a file that does not
    exist yet.
    """
    path = file.path
    if is_absent(os.path.join(folder, path)):
        raise Wrong(
            f"`{path}` does not exist, so that its columns are not known: make it, or, if an"
            ' earlier stage makes it, name them: columns = ["a", "b"]'
        )
    with _open_table(path, folder) as opened:
        if file.kind == "csv":
            return dict.fromkeys(_read_header(path, _read_csv_rows(file, opened)), "")
        rows = _read_texts(path, opened)
        first = next(rows, None)
        if first is None:
            raise Wrong(f"`{path}` is empty, expected a JSON object a line")
        try:
            return _read_object(path, first)
        except Wrong:
            _convert_all(chain([first], rows), lambda placed: _read_object(path, placed))
            raise


@contextmanager
def _open_table(path: str, folder: str) -> Iterator[TextIO]:
    try:
        with open_reading(os.path.join(folder, path)) as raw:
            yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
    except UnicodeDecodeError as error:
        line = _find_first_undecodable(os.path.join(folder, path))
        raise Wrong(f"`{path}` is not UTF-8: {error.reason} in line {line}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Wrong(f"`{path}` cannot be read: {reason}") from None


def _find_first_undecodable(path: str) -> int:
    """Return the line of the error; the decoder counts from the start of its last piece."""
    with open_reading(path) as file:
        lines = enumerate(iter(partial(file.readline, _LONGEST_LINE), b""), 1)
        return next((number for number, line in lines if not _is_utf_8(line)), 1)


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _convert_all(rows: Iterable[_Placed], make: Callable[[_Placed], Row]) -> List[Row]:
    """Return the converted rows; their first faults are raised together."""
    faults = Faults()
    found: List[Row] = []
    with faults.below():  # a file may be undecodable behind invalid rows
        for number, placed in enumerate(rows):
            with faults.below():
                found.append(make(placed))
            if number - len(found) >= _ENOUGH_PROBLEMS:
                break
    faults.raise_if_any()
    return found


def _read_texts(path: str, opened: TextIO) -> Iterator[_Placed]:
    """Yield the lines that are not blank."""
    for number, line in enumerate(_read_lines_in(path, opened), 1):
        if line.strip():
            yield _Placed(number, [line.rstrip("\r\n")])


def _read_lines_in(path: str, opened: TextIO) -> Iterator[str]:
    """Yield the lines; `Wrong` for one that may have no end, as in a file with a hole in it."""
    for number, line in enumerate(iter(partial(opened.readline, _LONGEST_LINE + 1), ""), 1):
        if len(line) > _LONGEST_LINE:
            raise _make_endless("lines", path, number)
        yield line


def _make_endless(what: str, path: str, line: int) -> Wrong:
    return Wrong(
        f"{path}:{line}: expected {what} of at most {_LONGEST_LINE:,} characters: if this is the"
        " right file, write longer values into files, and their paths here"
    )


# --- one value a line --------------------------------------------------------------------


def _read_lines(file: ListFile, opened: TextIO) -> List[Row]:
    def make_row(placed: _Placed) -> Row:
        if "\0" in placed.cells[0]:
            message = "holds a NUL character, which no argument can hold"
            raise Wrong(f"`{file.path}` line {placed.line} {message}")
        return {name: placed.cells[0]}

    (name,) = file.columns
    return _convert_all(_read_texts(file.path, opened), make_row)


# --- CSV ---------------------------------------------------------------------------------


def _read_csv(file: ListFile, opened: TextIO) -> List[Row]:
    rows = _read_csv_rows(file, opened)
    header = _read_header(file.path, rows)
    missing = [name for name in file.columns if name not in header]
    if missing:
        hint = suggest(missing[0], header)
        raise Wrong(
            f"{file.path}:1: no column {list_words(missing)}{hint}; it has {list_words(header)}"
        )
    places = [(name, header.index(name)) for name in file.columns]

    def make_row(placed: _Placed) -> Row:
        cells = placed.cells
        if len(cells) != len(header):
            wanted = f"{count_noun(len(header), 'cell')}, as the header has"
            hint = _describe_comment_hint(cells[0]) if not file.comment else ""
            raise Wrong(f"{file.path}:{placed.line}: expected {wanted}, not {len(cells)}{hint}")
        if any("\0" in cell for cell in cells):
            raise Wrong(f"{file.path}:{placed.line}: holds a NUL character")
        return _complete(file, placed.line, {name: cells[place] for name, place in places})

    return _convert_all(rows, make_row)


def describe_cure_of_delimiter(file: ListFile, name: str) -> str:
    """Return the cure if a name in the header of a CSV contains another delimiter."""
    found = max((one for one in _DELIMITERS if one != _find_delimiter(file)), key=name.count)
    if file.kind != "csv" or found not in name:
        return ""
    return f"if that is what divides its cells, write delimiter = {json.dumps(found)}"


def _describe_comment_hint(cell: str) -> str:
    mark = next((one for one in _COMMENTS if cell.startswith(one)), "")
    return f' (if that is a comment, write comment = "{mark}")' if mark else ""


def _complete(file: ListFile, line: int, row: Row) -> Row:
    """Return the row; `Wrong` if a cell that is required is empty."""
    empty = [name for name in file.required if not format_value(row[name]).strip()]
    if empty:
        raise Wrong(f"{file.path}:{line}: {list_words(empty)} is empty, and required")
    return row


class _CsvLines:
    """The lines of a CSV for its reader, without the comments between rows."""

    def __init__(self, path: str, opened: TextIO, comment: str) -> None:
        self.number = 0
        self.row_length = 0  # not 0 within a cell of several lines
        self._path = path
        self._opened = opened
        self._comment = comment

    def __iter__(self) -> Iterator[str]:
        for line in _read_lines_in(self._path, self._opened):
            self.number += 1
            if self._comment and not self.row_length and line.startswith(self._comment):
                continue
            self.row_length += len(line)
            if self.row_length > _LONGEST_LINE:
                raise _make_endless("rows", self._path, self.number)
            yield line


def _find_delimiter(file: ListFile) -> str:
    by_suffix = "\t" if file.path.lower().endswith((".tsv", ".tab")) else ","
    return file.delimiter or by_suffix


def _read_csv_rows(file: ListFile, opened: TextIO) -> Iterator[_Placed]:
    """Yield the rows that are not empty, each with the number of its (last) line."""
    lines = _CsvLines(file.path, opened, file.comment)
    try:
        for cells in csv.reader(lines, delimiter=_find_delimiter(file), strict=True):
            lines.row_length = 0
            if any(cell.strip() for cell in cells):
                yield _Placed(lines.number, cells)
    except csv.Error as error:
        reason = _describe_too_long() if "field limit" in str(error) else f"not CSV: {error}"
        raise Wrong(f"{file.path}:{lines.number}: {reason}") from None


def _describe_too_long() -> str:
    # The limit is of the whole process, and a program may rely on it; Linux takes
    # no argument that is longer.
    return (
        f"expected cells of at most {csv.field_size_limit():,} characters: close the quote,"
        " or write longer values into files, and their paths here"
    )


def _read_header(path: str, rows: Iterator[_Placed]) -> List[str]:
    line, names = next(rows, _Placed(1, []))
    if not names:
        raise Wrong(f"`{path}` is empty, expected a row with the names of its columns")
    names = [name.strip() for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Wrong(f"{path}:{line}: {list_words(twice)} stands in the header twice")
    return names


# --- JSON lines --------------------------------------------------------------------------


def _read_jsonl(file: ListFile, opened: TextIO) -> List[Row]:
    first: Optional[Row] = None

    def make_row(placed: _Placed) -> Row:
        nonlocal first
        found = _read_object(file.path, placed)
        difference = _describe_difference(found, file, first)
        if difference:
            raise Wrong(f"{file.path}:{placed.line}: {difference}")
        first = first or found
        own = {name: found[name] for name in found if name in file.columns}
        return _complete(file, placed.line, own)

    return _convert_all(_read_texts(file.path, opened), make_row)


def _describe_difference(row: Row, file: ListFile, first: Optional[Row]) -> str:
    missing = [name for name in file.columns if name not in row]
    if missing:
        return f"{list_words(missing)} missing: all objects have the same names"
    more = [name for name in row if name not in file.columns] if file.all_names else []
    if more:
        known = json.dumps(list(file.columns), ensure_ascii=False)
        cure = f"name those that you use: columns = {known}"
        return f"the first object has no {list_words(more)}, and all have the same names, or {cure}"
    for name in file.columns if first else ():
        if first and isinstance(row[name], tuple) != isinstance(first[name], tuple):
            return f"`{name}` is a list in one object and a single value in another"
    return ""


def _read_object(path: str, placed: _Placed) -> Row:
    try:
        return _parse_object(placed.cells[0])
    except (Wrong, ValueError, RecursionError) as error:
        raise Wrong(f"{path}:{placed.line}: {_describe_reason(error)}") from None


def _describe_reason(error: Exception) -> str:
    if isinstance(error, Wrong):
        at, message = error.faults[0]
        return f"`{at[0]}`: {message}" if at else message
    return f"expected a JSON object: {error}"


def _parse_object(line: str) -> Row:
    value = json.loads(
        line, parse_float=WrittenFloat, parse_int=read_whole, object_pairs_hook=_make_table
    )
    if value is None:
        raise Wrong("expected a JSON object with parameters, not null")
    if not isinstance(value, dict) or not value:
        raise make_wrong("a JSON object with parameters", value)
    faults = Faults()
    row: Row = {}
    for name, cell in value.items():
        with faults.below(name):
            row[name] = (
                tuple(convert_each(cell, _format_cell))
                if isinstance(cell, list)
                else _format_cell(cell)
            )
    faults.raise_if_any()
    return row


def _format_cell(value: Any) -> Scalar:
    if value is None:
        raise Wrong("expected text, a number, true or false, not null: leave the row out, or say it"
                    " in another way")  # fmt: skip
    cell = scalar(value)
    if isinstance(cell, str) and _LONE_SURROGATE.search(cell):
        raise Wrong("holds half of a character (a lone surrogate), which no argument can hold")
    return cell


def _make_table(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise Wrong("a name stands here twice")
    return table


_READERS: Dict[str, Callable[[ListFile, TextIO], List[Row]]] = {
    "lines": _read_lines,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
}

"""The rows of an axis, read from the file system if they depend on it."""

from typing import Any, Callable, Dict, List, Sequence, Tuple

from procsup.core.globs import Glob
from procsup.core.text import list_some
from procsup.runfile.parameters.axes import Axis, check_lengths
from procsup.runfile.parameters.columns import Column
from procsup.runfile.parameters.tables import ListFile, Row, read_rows
from procsup.runfile.parameters.walk import Finder
from procsup.runfile.syntax.problems import Faults, Wrong
from procsup.runfile.syntax.values import format_value


def make_rows(axis: Axis, folder: str, finder: Finder, *, empty_ok: bool) -> Sequence[Row]:
    """Return an axis' rows; reads the file system if they depend on it.

    `Wrong` if it yields nothing, unless that is allowed.
    """
    source = axis.source
    if isinstance(source, (list, Column)):
        return source
    if isinstance(source, Glob):
        rows = _find_rows(axis, source, finder)
        nothing: Callable[[], str] = lambda: finder.explain_nothing(source)  # noqa: E731
    elif isinstance(source, ListFile):
        rows = read_rows(source, folder)
        what = "lines" if source.kind == "lines" else "rows"
        nothing = lambda: f"`{source.path}` has no {what}"  # noqa: E731
    else:
        return _join_rows(source, folder, finder, empty_ok=empty_ok)
    if not rows and not empty_ok:
        raise Wrong(f"{nothing()} (`empty-ok = true` allows that)")
    return rows


def _find_rows(axis: Axis, glob: Glob, finder: Finder) -> List[Row]:
    name = next(iter(axis.kinds))
    rows: List[Row] = []
    for path, captures in finder.find(glob).items():
        row: Row = {name: path}
        row.update(zip(glob.captures, captures))
        rows.append(row)
    return rows


# --- side by side ------------------------------------------------------------------------


def _join_rows(parts: Sequence[Axis], folder: str, finder: Finder, *, empty_ok: bool) -> List[Row]:
    """Join the rows of several axes, the first with the first and so on.

    Globs that capture the same names are joined by the captured texts: pairs.
    """
    faults = Faults()
    columns: List[Sequence[Row]] = []
    for part in parts:
        with faults.below(part.at[-1]):
            columns.append(make_rows(part, folder, finder, empty_ok=empty_ok))
    faults.raise_if_any()
    for index, part in enumerate(parts):
        for before, other in enumerate(parts[:index]):
            shared = tuple(name for name in _make_captures(part) if name in _make_captures(other))
            if shared:
                pair = ((other, columns[before]), (part, columns[index]))
                columns[index] = _pair_rows(shared, *pair)
    check_lengths({str(part.at[-1]): len(rows) for part, rows in zip(parts, columns)})
    return [{k: v for row in rows for k, v in row.items()} for rows in zip(*columns)]


def _make_captures(axis: Axis) -> Tuple[str, ...]:
    return axis.source.captures if isinstance(axis.source, Glob) else ()


_SHOWN = 8
_Part = Tuple[Axis, Sequence[Row]]


def _pair_rows(names: Tuple[str, ...], one: _Part, two: _Part) -> List[Row]:
    """Return the rows of `two` in the order of their partners in `one`."""
    keyed = [_key_rows(names, *part) for part in (one, two)]
    faults = Faults()
    for (axis, _), own, others in ((one, keyed[1], keyed[0]), (two, keyed[0], keyed[1])):
        missing = [f"`{key[0]}`" for key in own if key not in others]
        if missing:
            glob, which = axis.source, f"{names[0]} = {list_some(missing, _SHOWN)}"
            source = glob.source if isinstance(glob, Glob) else ""
            faults.add((axis.at[-1],), f"`{source}` matches no partner for {which}")
    faults.raise_if_any()
    return [keyed[1][key] for key in keyed[0]]


def _key_rows(
    names: Tuple[str, ...], axis: Axis, rows: Sequence[Row]
) -> Dict[Tuple[Any, ...], Row]:
    keyed: Dict[Tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(format_value(row[name]) for name in names)
        if key in keyed:
            path = next(iter(axis.kinds))
            both = f"`{keyed[key][path]}` and `{row[path]}` capture the same"
            raise Wrong(faults=[((axis.at[-1],), f"{both}, {names[0]} = `{key[0]}`: no pair")])
        keyed[key] = row
    return keyed

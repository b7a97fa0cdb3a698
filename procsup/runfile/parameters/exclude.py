"""Combinations of parameters that are left out.

Values are compared as they are written: `1` and `"1"` are the same, since the cells of a CSV are
text; `0.1` and `0.10` are not.
"""

from typing import (
    Any,
    Dict,
    FrozenSet,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Tuple,
    TypeVar,
)

from msgspec import Struct

from procsup.runfile.parameters.axes import Axis
from procsup.runfile.parameters.tables import Row
from procsup.runfile.syntax.problems import (
    Faults,
    Wrong,
    convert_each,
    convert_entries,
    list_words,
    make_wrong,
    suggest,
)
from procsup.runfile.syntax.values import a_list, format_value, scalar
from procsup.runfile.templates.scope import TEXT, Kind, Many

_T = TypeVar("_T")


class Exclude(Struct, frozen=True):
    """A combination that is left out: for each parameter, any of these values."""

    values: Dict[str, FrozenSet[str]]

    def hits(self, row: Row) -> bool:
        """Whether a unit with these parameters is left out."""
        return all(format_value(row[name]) in wanted for name, wanted in self.values.items())


def read_excludes(
    value: Any, kinds: Mapping[str, Kind], *, partial: bool = False
) -> Tuple[Exclude, ...]:
    """Read a list of tables, each of parameters of the stage with a value or a list of them.

    `partial`: there may be more parameters than are known.
    """
    tables = a_list(value, "tables such as { x = 1 }")
    return tuple(convert_each(tables, lambda one: _exclude(one, kinds, partial)))


def _exclude(value: Any, kinds: Mapping[str, Kind], partial: bool) -> Exclude:
    if not isinstance(value, dict) or not value:
        raise make_wrong("a table of parameters such as { x = 1 }", value)
    known = {**dict.fromkeys(value, TEXT), **kinds} if partial else kinds
    chosen = convert_entries(value, lambda name, wanted: _read_values(name, wanted, known))
    return Exclude(dict(zip(value, chosen)))


def _read_values(name: str, value: Any, kinds: Mapping[str, Kind]) -> FrozenSet[str]:
    if name not in kinds:
        known = f"it has {list_words(kinds)}" if kinds else "it has none"
        raise Wrong(f"the stage has no parameter `{name}`{suggest(name, kinds)}: {known}")
    if isinstance(kinds[name], Many):
        raise Wrong(f"`{name}` is a list in every unit: leave units out by another parameter")
    values = convert_each(value, scalar) if isinstance(value, list) else [scalar(value)]
    if not values:
        raise Wrong("expected at least one value")
    return frozenset(format_value(one) for one in values)


class ExcludeFilter:
    """Leaves combinations out, and counts how many each exclude left out."""

    def __init__(self, excludes: Sequence[Exclude]) -> None:
        self._excludes = excludes
        self._counts = [0] * len(excludes)
        self._all = 0
        self._left = 0
        self._whole = False

    def select(self, combinations: Iterable[Tuple[_T, Row]]) -> Iterator[Tuple[_T, Row]]:
        """Yield the rows that no exclude matches, each with its companion."""
        if not self._excludes:
            yield from combinations
            return
        for one in combinations:
            self._all += 1
            hits = [index for index, exclude in enumerate(self._excludes) if exclude.hits(one[1])]
            for index in hits:
                self._counts[index] += 1
            if not hits:
                self._left += 1
                yield one
        self._whole = True

    def check(self, axes: Sequence[Axis], *, empty_ok: bool) -> None:
        """Refuse excludes that left nothing out, unless the rows depend on files."""
        if not self._whole or not self._all:
            return
        if not self._left and not empty_ok:
            raise Wrong("every combination is left out (`empty-ok = true` allows that)")
        fixed = {name for axis in axes if not axis.looks_at_files for name in axis.kinds}
        faults = Faults()
        for index, (exclude, count) in enumerate(zip(self._excludes, self._counts)):
            if not count and fixed.issuperset(exclude.values):
                faults.add((index,), "no combination is like this: it leaves nothing out")
        faults.raise_if_any()

"""A compact record of each planned unit's folder, arguments and parameters; shows what changed.

Units of one stage differ in few words. So a plan stores the words of many units by column, and
a column in which all units agree only once.
"""

from functools import partial
from hashlib import sha256
from itertools import zip_longest
from math import isfinite
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from msgspec import Struct

from procsup.core.rooted import strip_folder
from procsup.core.spec import StageSpec, UnitSpec, find_head
from procsup.core.text import count_noun, format_value

_DIGITS = 8  # of the digest of an `env` value; the value itself is not recorded
_SHOWN = 100  # characters of a command that is shown whole
_JSON_LIMIT = 1 << 63  # of integers

CWD, COMMAND = "cwd changed", "command changed"
PARAMETER, ENV = "parameter changed", "env changed"

Column = List[Any]  # one value for all units, or one for each


class MadeColumns(Struct, frozen=True, omit_defaults=True):
    """The columns of the units of one `Planned`, in their order; see `Making`.

    `argv` is None if the units have different numbers of words. A parameter or variable that a
    unit does not have is None in its column. Parameters that JSON cannot hold are text. `cwd` is
    relative to the run file's folder (``.``) if it is below it; None if it was not recorded.
    """

    argv: Optional[List[Column]] = None
    parameters: Dict[str, Column] = {}
    env: Dict[str, Column] = {}
    cwd: Optional[Column] = None


class Making(Struct, frozen=True):
    """One unit's arguments, its parameters, digests of its variables, and its folder."""

    argv: Optional[Tuple[str, ...]]
    parameters: Dict[str, Any]
    env: Dict[str, Any]
    cwd: Optional[str]


def collect_made(units: Sequence[UnitSpec], folder: str) -> Optional[MadeColumns]:
    """Return the columns of these units, None if there are none; `folder` is the run file's."""
    if not units:
        return None
    lengths = {len(unit.argv) for unit in units}
    same = len(lengths) == 1
    argv = [_make_column(words) for words in zip(*(unit.argv for unit in units))] if same else None
    parameters = _make_columns([unit.parameters for unit in units], _make_plain)
    env = _make_columns([unit.env for unit in units], _Digests())
    return MadeColumns(argv, parameters, env, _make_column(_list_folders(units, folder)))


def _list_folders(units: Sequence[UnitSpec], folder: str) -> List[str]:
    shown = {cwd: strip_folder(folder, cwd) or cwd for cwd in {unit.cwd for unit in units}}
    shown[folder] = "."
    return [shown[unit.cwd] for unit in units]


class _Digests:
    """Digests of values, each made once."""

    def __init__(self) -> None:
        self._known: Dict[str, str] = {}

    def __call__(self, value: str) -> str:
        found = self._known.get(value)
        if found is None:
            found = sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
            self._known[value] = found
        return found


def read_making(made: MadeColumns, place: int) -> Making:
    """Return the arguments, parameters and folder of the unit at this position of the plan."""
    argv = None if made.argv is None else tuple([_get_value(one, place) for one in made.argv])
    cwd = None if made.cwd is None else _get_value(made.cwd, place)
    return Making(argv, parse_parameters(made, place), _make_row(made.env, place), cwd)


def parse_parameters(made: MadeColumns, place: int) -> Dict[str, Any]:
    """Return the parameters of the unit at this position of the plan."""
    return _make_row(made.parameters, place)


Place = Tuple[MadeColumns, int]  # of a unit: the plan that it is in, and its position there


def find_kinds_of_change(
    before: Mapping[str, Place], units: Iterable[UnitSpec], folder: str
) -> Dict[str, str]:
    """Return the kind of change of each unit: the first of `CWD`, `COMMAND`, `PARAMETER`, `ENV`.

    If the folder changed, the command may differ for that reason alone: so `CWD` comes first. Units
    without a change are left out, and so are units that have no such record. Whole columns are
    compared, since there may be very many units.
    """
    groups: Dict[int, Tuple[MadeColumns, List[int], List[UnitSpec]]] = {}
    for unit in units:
        place = before.get(unit.id)
        if place is not None:
            made, at = place
            try:
                group = groups[id(made)]
            except KeyError:
                group = groups[id(made)] = (made, [], [])
            group[1].append(at)
            group[2].append(unit)
    kinds: Dict[str, str] = {}
    looks = (
        (CWD, partial(_find_moved, folder)),
        (COMMAND, _compare_commands),
        (PARAMETER, _compare_parameters),
        (ENV, _compare_variables),
    )
    for made, places, some in groups.values():
        for kind, differing in looks:
            changed = differing(made, places, some)
            if len(changed) == len(some):
                kinds.update(dict.fromkeys([unit.id for unit in some], kind))
                break
            if changed:
                kinds.update((some[number].id, kind) for number in changed)
                places = [at for number, at in enumerate(places) if number not in changed]
                some = [unit for number, unit in enumerate(some) if number not in changed]
    return kinds


def _find_moved(
    folder: str, made: MadeColumns, places: Sequence[int], units: Sequence[UnitSpec]
) -> Set[int]:
    if made.cwd is None:
        return set()
    return _find_differing(made.cwd, places, _list_folders(units, folder))


def _compare_commands(
    made: MadeColumns, places: Sequence[int], units: Sequence[UnitSpec]
) -> Set[int]:
    """Return the numbers of the units whose argv has changed."""
    if made.argv is None:
        return set()
    length = len(made.argv)
    changed = {number for number, unit in enumerate(units) if len(unit.argv) != length}
    if changed:
        alike = [number for number in range(len(units)) if number not in changed]
        found = _compare_commands(
            made, [places[one] for one in alike], [units[one] for one in alike]
        )
        return changed.union(alike[one] for one in found)
    for column, words in zip(made.argv, zip(*[unit.argv for unit in units])):
        changed |= _find_differing(column, places, list(words))
    return changed


def _compare_parameters(
    made: MadeColumns, places: Sequence[int], units: Sequence[UnitSpec]
) -> Set[int]:
    rows = [unit.parameters for unit in units]
    return _find_differing_rows(made.parameters, places, rows, _make_plain)


def _compare_variables(
    made: MadeColumns, places: Sequence[int], units: Sequence[UnitSpec]
) -> Set[int]:
    return _find_differing_rows(made.env, places, [unit.env for unit in units], _Digests())


def _find_differing_rows(
    columns: Mapping[str, Column],
    places: Sequence[int],
    rows: Sequence[Mapping[str, Any]],
    shown: Callable[[Any], Any],
) -> Set[int]:
    changed: Set[int] = set()
    for name in {*columns, *(name for row in rows for name in row)}:
        now = [shown(row[name]) if name in row else None for row in rows]
        column = columns.get(name, [None])
        found = _find_differing(column, places, now)
        changed.update(one for one in found if _differ(_get_value(column, places[one]), now[one]))
    return changed


def _find_differing(column: Column, places: Sequence[int], now: Sequence[Any]) -> Set[int]:
    """Return the numbers of the values that are not the same as before."""
    before = column * len(now) if len(column) == 1 else [column[at] for at in places]
    if before == now and [*map(type, before)] == [*map(type, now)]:  # 1 == True
        return set()
    pairs = enumerate(zip(before, now))
    return {
        number for number, (was, value) in pairs if was != value or type(was) is not type(value)
    }


def _differ(was: Any, value: Any) -> bool:
    """Whether values differ as they are written; a missing one is None."""
    if was is None or value is None:
        return was is not value
    return format_value(was) != format_value(value)


def describe_change(before: Making, unit: UnitSpec, stage: StageSpec, folder: str) -> str:
    """Describe how a unit differs from before, in one of these forms; empty if it does not:

    ``cwd changed: . → work``, ``argument 3 changed: 0.1 → 0.2``, ``shell changed: ls a → ls b``,
    ``parameter rate changed: 0.1 → 0.2``, ``env LANG changed``

    Arguments are counted as the program does: those behind a script, a module or a shell's text.
    """
    made = collect_made([unit], folder)
    assert made is not None
    now = read_making(made, 0)
    if before.cwd not in (None, now.cwd):
        parts = [f"{CWD}: {before.cwd} → {now.cwd}"]
    else:
        parts = [*_compare_arguments(before.argv, now.argv, find_head(stage), bool(stage.shell))]
    parts = parts or [
        f"parameter {name} changed: {was} → {value}"
        for name, was, value in _pair_values(before.parameters, now.parameters)
    ]
    parts += [f"env {name} changed" for name, _, _ in _pair_values(before.env, now.env)]
    return "; ".join(parts)


def _compare_arguments(
    before: Optional[Tuple[str, ...]],
    now: Optional[Tuple[str, ...]],
    head: Tuple[str, ...],
    is_shell: bool,
) -> Iterator[str]:
    if before is None or now is None or before == now:
        return
    start = _find_place(head, now)
    old_start = _find_place(head, before, start)
    end, old_end = start + len(head), old_start + len(head)
    if before[old_start:old_end] != head:
        if before[end:] == now[end:]:
            yield f"the program changed: {' '.join(before[start:end])} → {' '.join(head)}"
        else:
            yield _show_whole(before, now)
        return
    prefixes = [" ".join(one) or "nothing" for one in (before[:old_start], now[:start])]
    if prefixes[0] != prefixes[1]:
        yield f"prefix changed: {' → '.join(prefixes)}"
    was, words = before[old_end:], now[end:]
    if is_shell:
        if was[:1] != words[:1]:
            yield f"shell changed: {_show_first_difference(*map(''.join, (was[:1], words[:1])))}"
        was, words = was[2:], words[2:]  # without the text, and the shell's own name
    first = 1 if head else 0
    if len(was) != len(words) and was[:1] != words[:1] and not head:
        yield _show_whole(before, now)
        return
    if len(was) != len(words):
        many, more = (len(some) + first - 1 for some in (was, words))
        yield f"the command changed: {count_noun(many, 'argument')} → {more}"
        return
    for place, (one, other) in enumerate(zip(was, words), first):
        if one != other:
            what = f"argument {place}" if place else "the program"
            yield f"{what} changed: {one} → {other}"


def _show_whole(before: Sequence[str], now: Sequence[str]) -> str:
    """Show two whole commands, since their forms differ and their words cannot be compared."""
    was, line = (" ".join(map(_quote_word, argv)) for argv in (before, now))
    return f"the command changed: {_cut(was)} → {_cut(line)}"


def _quote_word(word: str) -> str:
    """Return a word, in quotes if it has spaces."""
    return word if word.split() == [word] else f"'{word}'"


def _cut(line: str) -> str:
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _find_place(head: Tuple[str, ...], argv: Tuple[str, ...], default: int = 0) -> int:
    """Return where the head begins, behind a prefix; `default` if it is not there."""
    places = range(len(argv) - len(head) + 1)
    return next((at for at in places if argv[at : at + len(head)] == head), default)


def _show_first_difference(was: str, now: str) -> str:
    """Show the first line that differs; if lines were only added, the first new one."""
    for one, other in zip_longest(was.split("\n"), now.split("\n")):
        if one != other:
            shown = ("nothing" if line is None else line.strip() for line in (one, other))
            return " → ".join(shown)
    raise AssertionError("the texts are the same")


def _pair_values(before: Dict[str, Any], now: Dict[str, Any]) -> Iterable[Tuple[str, str, str]]:
    for name in sorted({*before, *now}):
        was, value = (format_value(one.get(name, "nothing")) for one in (before, now))
        if was != value:
            yield name, was, value


def _make_columns(rows: Sequence[Dict[str, Any]], shown: Any) -> Dict[str, Column]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: _make_column([shown(row[name]) if name in row else None for row in rows])
        for name in names
    }


def _make_column(values: Sequence[Any]) -> Column:
    first = values[0]
    if values.count(first) < len(values) or len({*map(type, values)}) > 1:  # 1 == True
        return list(values)
    return [first]


def _get_value(column: Column, place: int) -> Any:
    return column[0] if len(column) == 1 else column[place]


def _make_row(columns: Dict[str, Column], place: int) -> Dict[str, Any]:
    row = {name: _get_value(column, place) for name, column in columns.items()}
    return {name: value for name, value in row.items() if value is not None}


def _make_plain(value: Any) -> Any:
    """Return a parameter as a JSON value, or as text if JSON has no such value."""
    kind = type(value)
    if kind is str or kind is bool:
        return value
    if kind is int and abs(value) < _JSON_LIMIT:
        return value
    if isinstance(value, float) and isfinite(value):
        return float(value)  # drops the spelling of the number, which the value also carries
    return [_make_plain(one) for one in value] if kind in (list, tuple) else str(value)

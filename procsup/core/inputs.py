"""From sources of inputs to the values of each unit: lines, columns, combinations, groups.

All of it works on iterators: only what must be known to go on is read. Of several sources that
are combined the first one is read as it comes, the others are held.
"""

import csv
import re
from itertools import cycle, islice, product
from typing import Callable, Iterable, Iterator, List, Pattern, Sequence, Tuple

from msgspec import Struct

from procsup.core.text import count_noun

Record = Tuple[str, ...]  # the columns of one input; most have one
Group = Tuple[Record, ...]  # the inputs of one unit

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))", re.DOTALL)
_LETTERS = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}


class InputError(ValueError):
    """Inputs cannot be read; the text says which and why."""


class Source(Struct, frozen=True):
    """Inputs of one origin; `is_linked`: they go side by side with those of the source before."""

    records: Iterable[Record]
    is_linked: bool = False


# --- records -----------------------------------------------------------------------------


def parse_delimiter(text: str) -> bytes:
    r"""Return the bytes of a delimiter, written as it is or as ``\t``, ``\0``, ``\x1f``, ``\037``.

    InputError if it is empty or has another escape.
    """
    if not text:
        raise InputError("a delimiter has at least one character")

    def read_escape(match: "re.Match[str]") -> str:
        hexadecimal, octal, letter = match.groups()
        if hexadecimal or octal:
            return chr(int(hexadecimal, 16) if hexadecimal else int(octal, 8) & 0xFF)
        if letter not in _LETTERS:
            raise InputError(f"\\{letter} is no escape that a delimiter may have")
        return chr(_LETTERS[letter])

    return _ESCAPE.sub(read_escape, text).encode("utf-8", "surrogateescape")


def split_records(chunks: Iterable[bytes], delimiter: bytes) -> Iterator[bytes]:
    """Yield the parts of a stream; the last one counts without its delimiter, too."""
    rest = bytearray()
    for chunk in chunks:
        searched = max(0, len(rest) - len(delimiter) + 1)
        rest += chunk
        if rest.find(delimiter, searched) >= 0:
            *whole, last = bytes(rest).split(delimiter)
            rest = bytearray(last)
            yield from whole
    if rest:
        yield bytes(rest)


def split_columns(texts: Iterable[str], separator: "Pattern[str]") -> Iterator[Record]:
    """Yield each text as its columns."""
    return (tuple(separator.split(text)) for text in texts)


def split_csv(lines: Iterable[str], delimiter: str) -> Iterator[Record]:
    """Yield the rows of a CSV that are not empty; a quoted cell may hold line ends.

    InputError names the line that is wrong.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if cells:
                yield tuple(cells)
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} is no CSV: {error}") from None


def take_header(records: Iterable[Record], shown: str) -> Tuple[Record, Iterator[Record]]:
    """Take the names from the first record; InputError if there is none, or a name is missing."""
    rows = iter(records)
    names = next(rows, ())
    if not all(names) or not names:
        raise InputError(f"{shown}: the first input is the header, expected names of columns there")
    return names, _check_widths(rows, len(names), shown)


def _check_widths(rows: Iterator[Record], width: int, shown: str) -> Iterator[Record]:
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise InputError(
                f"{shown}: number {number} behind the header has {count_noun(len(row), 'column')},"
                f" the header names {width}"
            )
        yield row


# --- combinations ------------------------------------------------------------------------


def combine(sources: Sequence[Source]) -> Iterator[Record]:
    """Yield every combination of the sources, the last one running fastest.

    Linked sources go side by side with the one before them, until the shortest ends.
    """
    bundles: List[List[Iterable[Record]]] = []
    for source in sources:
        if source.is_linked and bundles:
            bundles[-1].append(source.records)
        else:
            bundles.append([source.records])
    first, *others = (map(_join, zip(*bundle)) for bundle in bundles)
    held = [list(other) for other in others]
    return (_join((one, *rest)) for one in first for rest in product(*held))


def link(sources: Sequence[Source]) -> Iterator[Record]:
    """Yield the sources side by side; those that are shorter begin again."""
    held = [list(source.records) for source in sources]
    longest = max(map(len, held))
    if not all(held):
        return iter(())
    return map(_join, islice(zip(*map(cycle, held)), longest))


def _join(records: Iterable[Record]) -> Record:
    return tuple([text for record in records for text in record])


# --- groups ------------------------------------------------------------------------------


def group_records(records: Iterable[Record], most: int) -> Iterator[Group]:
    """Yield groups of `most` records; the last one may have fewer."""
    rows = iter(records)
    while True:
        group = tuple(islice(rows, most))
        if not group:
            return
        yield group


class Room(Struct, frozen=True):
    """The room that a command has for inputs: in bytes, each costing `cost_of`; and in number."""

    size: int
    cost_of: Callable[[Record], int]
    most: int


def fill_commands(records: Iterable[Record], room: Room) -> Iterator[Group]:
    """Yield groups of as many records as a command has room for; of at least one."""
    group: List[Record] = []
    left = room.size
    for record in records:
        cost = room.cost_of(record)
        if group and (cost > left or len(group) == room.most):
            yield tuple(group)
            group, left = [], room.size
        group.append(record)
        left -= cost
    if group:
        yield tuple(group)


def spread(groups: Iterable[Group], slots: int) -> Iterator[Group]:
    """Yield the groups, the last one divided evenly among the slots."""
    rows = iter(groups)
    last = next(rows, ())
    for group in rows:
        yield last
        last = group
    if last:
        yield from group_records(last, -(-len(last) // slots))


def flatten(group: Group) -> Record:
    """Return the values of a group, in order."""
    return group[0] if len(group) == 1 else _join(group)

"""The result of `procsup verify`, as text."""

from typing import List, Sequence

from procsup.core.text import count_noun, make_visible
from procsup.queries.verification import Difference, Verification

_MOST_SHOWN = 50


def format_verification(seen: Verification) -> List[str]:
    """Return the result first, then the differences."""
    stage = "" if seen.head.stage is None else f", stage {seen.head.stage}"
    shown = make_visible(f"{seen.head.name}{stage}")
    looked = f"{count_noun(seen.units, 'unit')}, {count_noun(seen.outputs, 'output')}"
    if seen.damage:
        lines = [f"{shown}: the record is damaged ({looked})"]
    elif seen.differences:
        lines = [f"{shown}: {count_noun(len(seen.differences), 'difference')} ({looked})"]
    else:
        lines = [f"{shown}: as recorded ({looked})"]
    lines += [f"  {make_visible(sentence)}" for sentence in seen.damage]
    lines += _list_some(seen.differences)
    if seen.notes:
        lines += [f"{shown}: also", *_list_some(seen.notes)]
    return lines


def _list_some(found: Sequence[Difference]) -> List[str]:
    lines = []
    for kind, unit, path, what in found[:_MOST_SHOWN]:
        where = [word for word in (path, unit) if word]
        named = f"{kind} {' of '.join(map(make_visible, where))}: " if where else ""
        lines.append(f"  {named}{make_visible(what)}")
    beyond = len(found) - _MOST_SHOWN
    return [*lines, f"  ... and {beyond} more (--json has all)"] if beyond > 0 else lines

"""The result of `procsup verify`, as text."""

from typing import List, Optional, Sequence, Tuple

from procsup.core.text import plural, visible

_MOST_SHOWN = 50

Line = Tuple[str, str, Optional[str], str]  # kind, unit, path, what


def verification_lines(
    name: str,
    units: int,
    outputs: int,
    damage: Sequence[str],
    differences: Sequence[Line],
    notes: Sequence[Line],
) -> List[str]:
    """Return the result first, then the differences."""
    shown = visible(name)
    looked = f"{plural(units, 'unit')}, {plural(outputs, 'output')}"
    if damage:
        lines = [f"{shown}: the record is damaged ({looked})"]
    elif differences:
        lines = [f"{shown}: {plural(len(differences), 'difference')} ({looked})"]
    else:
        lines = [f"{shown}: as recorded ({looked})"]
    lines += [f"  {visible(sentence)}" for sentence in damage]
    lines += _listed(differences)
    if notes:
        lines += [f"{shown}: also", *_listed(notes)]
    return lines


def _listed(found: Sequence[Line]) -> List[str]:
    lines = []
    for kind, unit, path, what in found[:_MOST_SHOWN]:
        where = [word for word in (path, unit) if word]
        named = f"{kind} {' of '.join(map(visible, where))}: " if where else ""
        lines.append(f"  {named}{visible(what)}")
    beyond = len(found) - _MOST_SHOWN
    return [*lines, f"  ... and {beyond} more (--json has all)"] if beyond > 0 else lines

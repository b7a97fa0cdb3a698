"""Marks in unit specs for values that are known only when an attempt starts.

The start replaces them. So a unit's fingerprint does not depend on its CPUs, memory, slot or
attempt number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Sequence, Tuple

from procsup.core.regexes import compile_at_use

if TYPE_CHECKING:
    from procsup.core.slots import Placement

# No argument or environment value can contain NUL, so it can delimit marks.
SCRATCH, PID = "\0scratch\0", "\0pid\0"
GIVEN = ("cpus", "memory", "attempt", "slot")  # values that every attempt gets
MARKS: Mapping[str, str] = {name: f"\0{name}\0" for name in ("scratch", "pid", *GIVEN)}

_MARK = compile_at_use("\0({})\0".format("|".join(MARKS)))


def list_values(number: int, placement: Placement) -> Mapping[str, str]:
    """Return the values of an attempt as text for its program."""
    memory = placement.memory_bytes
    return {
        "cpus": f"{placement.cpus:g}",
        "memory": "" if memory is None else str(memory),
        "attempt": str(number),
        "slot": str(placement.slot),
    }


def has_marks(texts: Sequence[str]) -> bool:
    """Whether any text contains a mark."""
    return "\0" in "".join(texts)


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Replace the marks whose values are given; the others stay."""
    if "\0" not in text:
        return text
    return _MARK.sub(lambda match: values.get(match.group(1), match.group()), text)


def restore_placeholders(texts: Any) -> Tuple[str, ...]:
    """Replace marks with placeholders as in the run file, for display and export."""
    if not has_marks(texts):
        return tuple(texts)
    return tuple(_MARK.sub(r"{\1}", text) for text in texts)

"""What only an attempt knows: its specs hold marks in the place of it, which the attempt fills in.

So a unit stays the same unit, whatever CPUs, memory or slot it is given, and in whatever attempt.
"""

import re
from typing import Any, Mapping, Sequence, Tuple

from procsup.core.slots import Placement

# No argument and no value of the environment can hold a NUL, so that it is free to mark them.
SCRATCH, PID = "\0scratch\0", "\0pid\0"
GIVEN = ("cpus", "memory", "attempt", "slot")  # what every attempt is given
MARKS: Mapping[str, str] = {name: f"\0{name}\0" for name in ("scratch", "pid", *GIVEN)}

_MARK = re.compile("\0({})\0".format("|".join(MARKS)))


def given(number: int, placement: Placement) -> Mapping[str, str]:
    """Return what an attempt of this number is given, as its program reads it."""
    memory = placement.memory_bytes
    return {
        "cpus": f"{placement.cpus:g}",
        "memory": "" if memory is None else str(memory),
        "attempt": str(number),
        "slot": str(placement.slot),
    }


def has_marks(texts: Sequence[str]) -> bool:
    """Tell whether something is to be filled in."""
    return "\0" in "".join(texts)


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Return the text with the values that are known; the others stay marked."""
    if "\0" not in text:
        return text
    return _MARK.sub(lambda match: values.get(match.group(1), match.group()), text)


def as_placeholders(texts: Any) -> Tuple[str, ...]:
    """Return texts for people and programs elsewhere: marks as the run file has them."""
    if not has_marks(texts):
        return tuple(texts)
    return tuple(_MARK.sub(r"{\1}", text) for text in texts)

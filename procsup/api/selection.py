"""``--only``: which units a sitting is about."""

from fnmatch import fnmatchcase
from typing import Optional, Sequence

from procsup.core.admission import Selector
from procsup.core.spec import UnitSpec


def selector_of(only: Sequence[str]) -> Optional[Selector]:
    """Return what tells whether a unit is selected; None if all are.

    A word selects by a stage's name, a unit's id, a pattern over ids (``*``, ``?``, ``[..]``), or
    a parameter (``mod=abc``, the value may be a pattern).
    """
    words = tuple(only)
    if not words:
        return None
    return lambda unit: any(_selects(word, unit) for word in words)


def _selects(word: str, unit: UnitSpec) -> bool:
    if word in (unit.stage, unit.id) or fnmatchcase(unit.id, word):
        return True
    name, equals, pattern = word.partition("=")
    if not equals or name not in unit.parameters:
        return False
    return fnmatchcase(str(unit.parameters[name]), pattern)

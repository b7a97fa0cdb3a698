"""``--only``: which units a sitting is about."""

from fnmatch import fnmatchcase
from typing import Iterable, Optional, Sequence

from procsup.core.admission import Selector
from procsup.core.spec import UnitSpec
from procsup.errors import UsageError


def selector_of(only: Sequence[str]) -> Optional[Selector]:
    """Return what tells whether a unit is selected; None if all are.

    A word selects by a stage's name, a unit's id, a pattern over ids (``*``, ``?``, ``[..]``), or
    a parameter (``mod=abc``, the value may be a pattern).
    """
    words = tuple(only)
    if not words:
        return None
    return lambda unit: any(_selects(word, unit) for word in words)


class Again:
    """What a retry is about: units that were named, or (no words) all that did not succeed."""

    def __init__(self, words: Sequence[str]) -> None:
        self._selector = selector_of(words)

    def asks_for(self, unit: UnitSpec) -> Optional[bool]:
        """Tell whether this unit was named; None if none was."""
        return None if self._selector is None else self._selector(unit)


def require_hits(
    only: Sequence[str],
    stages: Sequence[str],
    late: Sequence[str],
    units: Iterable[UnitSpec],
    *,
    option: str = "--only ",
) -> None:
    """Raise UsageError for a word that selects nothing, as far as that can be known by now."""
    known = list(units)
    for word in only:
        if word in stages or any(_selects(word, unit) for unit in known):
            continue
        if late and _may_select_later(word, late):
            continue
        names = [*stages, *(unit.id for unit in known)]
        from difflib import get_close_matches  # for this message only

        close = get_close_matches(word, names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UsageError(
            f"{option}{word!r} selects no unit{hint}: give a stage ({', '.join(stages)}), a unit's"
            " id, a pattern over ids, or parameter=value"
        )


def _may_select_later(word: str, late: Sequence[str]) -> bool:
    """Tell whether units that are not known yet may be meant."""
    stage, slash, _ = word.partition("/")
    if slash:
        return any(fnmatchcase(name, stage) for name in late)
    return "=" in word or any(mark in word for mark in "*?[")


def _selects(word: str, unit: UnitSpec) -> bool:
    if word in (unit.stage, unit.id) or fnmatchcase(unit.id, word):
        return True
    name, equals, pattern = word.partition("=")
    if not equals or name not in unit.parameters:
        return False
    return fnmatchcase(str(unit.parameters[name]), pattern)

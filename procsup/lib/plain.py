"""Converts a program's arguments to plain data: texts, numbers, lists and tables.

Other scalars are replaced by their values: a member of an Enum by its value, a NumPy scalar by its
Python value, a `timedelta` by seconds, a date or time by ISO 8601, a `Decimal` by a number.
"""

import os
from datetime import date, time, timedelta
from enum import Enum
from numbers import Integral, Number, Real
from typing import Any, List, Mapping, Sequence, Tuple

from procsup.errors import UsageError


def make_plain(value: Any, where: str, *, paths: bool = False) -> Any:
    """Return plain data; UsageError, with the place, for any other value.

    `paths`: the texts are paths, which have ``/`` in records on every system.
    """
    value = _unwrap(value)
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (bytes, os.PathLike)):
        path = os.fsdecode(value)
        return path.replace(os.sep, "/") if paths else path
    if isinstance(value, Mapping):
        return {
            _name(key, where): make_plain(item, f"{where}.{key}", paths=paths)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [make_plain(item, f"{where}[{at}]", paths=paths) for at, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        raise UsageError(f"{where}: a set has no order: expected a list")
    return _make_number(value, where)


def _unwrap(value: Any) -> Any:
    """Return the text, number or truth that a scalar holds; any other value as it is."""
    if isinstance(value, Enum):
        return _unwrap(value.value)
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return int(seconds) if seconds.is_integer() else seconds
    if isinstance(value, (date, time)):
        return value.isoformat()
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _unwrap(value.item())  # a scalar of NumPy or a similar library
    return value


def _make_number(value: Any, where: str) -> Any:
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    if _is_decimal(value):
        return int(value) if value == value.to_integral_value() else float(value)
    raise UsageError(
        f"{where}: expected text, a path, a number, a list or a table, not {_shorten_value(value)}"
    )


def _is_decimal(value: Any) -> bool:
    """Whether it is a finite `decimal.Decimal`, whose module need not be loaded here."""
    is_finite = getattr(value, "is_finite", None)
    return isinstance(value, Number) and is_finite is not None and bool(is_finite())


def _name(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise UsageError(f"{where}: expected texts as names, not {_shorten_value(key)}")
    return key


def convert_arguments(values: Any, where: str) -> List[str]:
    """Return a command line as texts; UsageError if the value is not one."""
    if isinstance(values, (str, bytes, os.PathLike)):
        words = values.split() if isinstance(values, str) else [values]
        shown = ", ".join(map(_shorten_value, words))
        raise UsageError(f"{where}: expected a list of arguments, such as [{shown}]")
    try:
        items = list(values)
    except TypeError:
        raise UsageError(
            f"{where}: expected a list of arguments, not {_shorten_value(values)}"
        ) from None
    return [convert_argument(item, f"{where}[{at}]") for at, item in enumerate(items)]


def convert_argument(value: Any, where: str) -> str:
    """Return an argument as text: numbers as in Python, truth values as ``true`` and ``false``."""
    value = _unwrap(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, os.PathLike)):
        return os.fsdecode(value)
    if isinstance(value, Real) or _is_decimal(value):
        return str(value)
    raise UsageError(f"{where}: expected text, a path or a number, not {_shorten_value(value)}")


def read_jobs(jobs: Any) -> int:
    """Return a number of jobs; UsageError for any other value."""
    try:
        return int(str(jobs))
    except ValueError:
        raise UsageError(f"jobs={jobs!r}: expected a whole number of at least 1") from None


def read_selectors(name: str, words: Sequence[str]) -> Tuple[str, ...]:
    """Return an argument of selectors as a tuple; UsageError if it is a string, not a list."""
    if isinstance(words, str):
        raise UsageError(f"{name}={words!r}: expected a list of selectors, such as [{words!r}]")
    return tuple(words)


def _shorten_value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."

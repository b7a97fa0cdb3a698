"""Converts single values of a run file; `Wrong` says what was expected."""

import datetime
import math
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from procsup.core import quantities
from procsup.core.outcome import NOT_REACHED_YET, RETRY_ON, Verdict
from procsup.core.regexes import compile_at_use
from procsup.core.spec import Enough, OnFailure, Pace, Retry
from procsup.core.text import format_value as format_value
from procsup.host.signals import NAMES, NO_REQUESTS, can_be_sent
from procsup.runfile.syntax.problems import (
    Faults,
    Wrong,
    convert_each,
    list_words,
    make_wrong,
    show,
    suggest,
)
from procsup.runfile.syntax.reading import WrittenFloat

Scalar = Union[str, int, float, bool]

_T = TypeVar("_T")
_Threshold = Tuple[Optional[int], Optional[float]]

_NUMBER = r"\d+(?:\.\d+)?"
_PLAIN_NUMBER = compile_at_use(_NUMBER)
_PERCENT = compile_at_use(rf"({_NUMBER}) ?%")
_FACTOR = compile_at_use(rf"x({_NUMBER})")

ON_FAILURE = ("finish", "drain", "stop")
ENOUGH_DO, ENOUGH_OF = ("drain", "stop"), ("succeeded", "done")
PACE = ("delay", "memory", "load")
_PLAIN = frozenset((str, int, bool, float))
_LARGEST = (1 << 52) - 1
SOURCES = ("range", "glob", "lines")  # of values that the run file does not list
# Files with one unit per row, and their further keys.
TABLES: Mapping[str, Tuple[str, ...]] = {
    "csv": ("columns", "required", "delimiter", "comment"),
    "jsonl": ("columns", "required"),
}
RETRIED = tuple([one.value for one in RETRY_ON if one not in NOT_REACHED_YET])
AS_LONG_AS_THE_UNIT = "timeout"
A_LINGER = 'seconds, a duration such as "10s", 0, or "timeout"'
A_SIGNAL = 'the name of a signal such as "TERM", "INT" or "USR1"'
SOME_CPUS = 'a number of CPUs above 0 (such as 2 or 0.5) or "all"'


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_plain_number(value: Any) -> bool:
    return isinstance(value, str) and bool(_PLAIN_NUMBER.fullmatch(value.strip()))


def text(value: Any) -> str:
    """Accept text."""
    if not isinstance(value, str):
        raise make_wrong("text", value)
    if "\0" in value:
        raise Wrong("holds a NUL character, which no argument or path can hold")
    return value


def read_text(value: Any) -> str:
    """Accept text that is not empty."""
    if not text(value).strip():
        raise make_wrong("text that is not empty", value)
    return str(value)


def truth(value: Any) -> bool:
    """Accept true or false."""
    if not isinstance(value, bool):
        raise make_wrong("true or false", value)
    return value


class Word:
    """Accepts one of these words."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = tuple(choices)

    def __call__(self, value: Any) -> str:
        """Return the word."""
        if value not in self.choices or not isinstance(value, str):
            hint = suggest(value, self.choices) if isinstance(value, str) else ""
            raise Wrong(f"expected one of {list_words(self.choices)}, not {show(value)}{hint}")
        return value


def word(*choices: str) -> Word:
    """Make a converter that accepts one of these words."""
    return Word(choices)


class Whole:
    """Accepts whole numbers from `least` on; digits in quotes, too."""

    def __init__(self, least: int) -> None:
        self.least = least

    def __call__(self, value: Any) -> int:
        """Return the number."""
        number = int(value) if isinstance(value, str) and _digits(value) else value
        if not isinstance(number, int) or isinstance(number, bool) or number < self.least:
            raise make_wrong(f"a whole number of at least {self.least}", value)
        if number > _LARGEST:
            raise make_wrong("a smaller number", value)
        return number


def whole(least: int) -> Whole:
    """Make a converter that accepts whole numbers from `least` on; digits in quotes, too."""
    return Whole(least)


def _digits(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 19


def texts(value: Any) -> Tuple[str, ...]:
    """Accept a list of texts."""
    return tuple(convert_each(a_list(value, "texts"), read_text))


def a_list(value: Any, of: str) -> List[Any]:
    """Accept a list; the message for a single value shows how to write it."""
    if isinstance(value, list):
        return value
    cure = f" (write [{show(value)}])" if isinstance(value, (str, int, float)) else ""
    raise Wrong(f"expected a list of {of}, not {show(value)}{cure}")


def duration_s(value: Any) -> float:
    """Accept seconds, or text such as ``1h30m``."""
    return _quantity(quantities.parse_duration_s, value)


def limit_s(value: Any) -> float:
    """Accept a duration longer than zero."""
    return _quantity(quantities.parse_limit_s, value)


def timeout(value: Any) -> Tuple[Optional[float], Optional[float]]:
    """Accept a limit of time: seconds, or a share of the median, of which the other is None."""
    share = _read_percent(value)
    if share is None:
        return limit_s(value), None
    if share <= 1:
        raise make_wrong("a share of the median of more than 100%", value)
    return None, share


def _read_percent(value: Any) -> Optional[float]:
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return None if match is None else float(match.group(1)) / 100


def linger_s(value: Any) -> Optional[float]:
    """Accept a duration; return None for ``timeout``, which means as long as the unit may take."""
    if value == AS_LONG_AS_THE_UNIT:
        return None
    try:
        return duration_s(value)
    except Wrong:
        if is_number(value) and value > 0:
            raise  # it is too long
        raise make_wrong(A_LINGER, value) from None


def stop_signal(value: Any) -> str:
    """Accept the name of a signal, with or without ``SIG``; return it without."""
    if is_number(value):
        cure = "the numbers differ from system to system"
        raise Wrong(f"expected {A_SIGNAL}, not {show(value)}: {cure}")
    name = read_text(value)
    short = name[3:] if name.upper().startswith("SIG") else name
    if short.upper() in NO_REQUESTS:
        cure = "; `grace = 0` kills at once" if short.upper() == "KILL" else ""
        raise Wrong(f"no program can listen to {short.upper()}: expected {A_SIGNAL}{cure}")
    if name not in (short, f"SIG{short}") or short not in NAMES:
        raise Wrong(f"expected {A_SIGNAL}, not {show(name)}{suggest(short, NAMES)}")
    if not can_be_sent(short):
        raise Wrong(f"this system has no signal {short}: expected {A_SIGNAL}")
    return short


def size_bytes(value: Any) -> int:
    """Accept bytes, or text such as ``2G``."""
    return _quantity(quantities.parse_size_bytes, value)


def _quantity(convert: Callable[[Any], _T], value: Any) -> _T:
    try:
        return convert(value)
    except quantities.NoQuantity as error:
        raise make_wrong(error.wanted, value) from None


def require_whole_cpus(number: float) -> None:
    """Refuse a fraction of a CPU: units are pinned to whole CPUs."""
    if number != int(number):
        raise make_wrong('whole CPUs, because of `pin = "cpus"`', number)


def cpus(value: Any) -> Optional[float]:
    """Accept a number of CPUs; None stands for ``all``."""
    if value == "all":
        return None
    number = float(value) if is_number(value) or _is_plain_number(value) else 0.0
    if not math.isfinite(number) or number <= 0:
        raise make_wrong(SOME_CPUS, value)
    return number


def memory_bytes(value: Any) -> Optional[int]:
    """Accept a size; None stands for ``all``."""
    return None if value == "all" else size_bytes(value)


def codes(value: Any) -> Tuple[int, ...]:
    """Accept exit codes that mean success."""
    values = [value] if isinstance(value, int) else a_list(value, "exit codes")
    if not values:
        raise Wrong("expected at least one exit code, such as [0]: the list is empty")
    return tuple(convert_each(values, _code))


def _code(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
        raise make_wrong("an exit code, a whole number from 0", value)
    return value


def scalar(value: Any) -> Scalar:
    """Accept what a parameter or a variable can be: text, a number, true or false."""
    if isinstance(value, int):
        if abs(value) >= 1 << 63:
            raise Wrong(f'expected a number of at most 64 bits, not {value} (as text: "{value}")')
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Wrong(f'expected a finite number, not {value} (as text: "{value}")')
        return value
    if isinstance(value, (datetime.date, datetime.time)):
        raise Wrong(f'a date needs quotes here: "{value.isoformat()}"')
    if isinstance(value, str):
        return text(value)
    raise make_wrong("text, a number, true or false", value)


def plain(value: Any) -> Any:
    """Return the value for records: numbers as plain numbers, without their written form."""
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return float(value) if isinstance(value, WrittenFloat) else value


def plain_row(row: Dict[str, Any]) -> Dict[str, Any]:
    """Return parameters for records: the row itself if nothing differs."""
    for value in row.values():
        if type(value) not in _PLAIN:
            return {name: plain(value) for name, value in row.items()}
    return row


class Fields:
    """A table of few keys, one of which may be required; its faults are raised together."""

    def __init__(self, value: Any, known: Sequence[str], required: str = "") -> None:
        if not isinstance(value, dict):
            raise make_wrong(f"a table with {list_words(known)}", value)
        self._table: Dict[str, Any] = value
        self._faults = Faults()
        for key in value:
            if key not in known:
                hint = suggest(key, known)
                self._faults.add((key,), f"unknown key{hint}, expected {list_words(known)}")
        if required and required not in value:
            self._faults.add((), f"`{required}` is missing")

    def take(self, key: str, convert: Callable[[Any], _T], default: _T) -> _T:
        """Convert one entry, if it exists."""
        if key in self._table:
            with self._faults.below(key):
                return convert(self._table[key])
        return default

    def raise_if_any(self) -> None:
        """Raise the faults of the table and its entries."""
        self._faults.raise_if_any()


def retries(value: Any) -> Retry:
    """Accept a number of retries, or a table with further settings."""
    if not isinstance(value, dict):
        if not isinstance(value, (int, str)):
            raise make_wrong("a number of retries or a table with `times`", value)
        return Retry(times=whole(0)(value))
    table = Fields(value, ("times", "on", "delay", "memory"), "times")
    retry = Retry(
        times=table.take("times", whole(0), 0),
        on=table.take("on", _verdicts, RETRY_ON),
        delay_s=table.take("delay", duration_s, 0.0),
        memory_factor=table.take("memory", _factor, 1.0),
    )
    table.raise_if_any()
    return retry


def _verdicts(value: Any) -> Tuple[Verdict, ...]:
    return tuple(Verdict(name) for name in convert_each(a_list(value, "verdicts"), _verdict))


def _verdict(value: Any) -> str:
    if value in [one.value for one in NOT_REACHED_YET]:
        raise Wrong(f"`{value}` is not there yet in this version of procsup")
    return word(*RETRIED)(value)


def _factor(value: Any) -> float:
    match = _FACTOR.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match.group(1)) < 1:
        raise make_wrong('a factor of at least 1 such as "x2" or "x1.5"', value)
    return float(match.group(1))


def on_failure(value: Any) -> OnFailure:
    """Accept a value of `on-failure`: what the first failures do to the other units."""
    choose = word(*ON_FAILURE)
    if not isinstance(value, dict):
        return OnFailure(do=choose(value))
    table = Fields(value, ("do", "at"), "do")
    first: _Threshold = (1, None)
    count, fraction = table.take("at", _threshold, first)
    policy = OnFailure(table.take("do", choose, "finish"), count, fraction)
    table.raise_if_any()
    return policy


def enough(value: Any) -> Enough:
    """Accept a value of `enough`: from how many units on the others are not needed."""
    if not isinstance(value, dict):
        return Enough("stop", *_threshold(value))
    table = Fields(value, ("at", "do", "of"), "at")
    first: _Threshold = (1, None)
    count, fraction = table.take("at", _threshold, first)
    do = table.take("do", word(*ENOUGH_DO), "stop")
    of = table.take("of", word(*ENOUGH_OF), "succeeded")
    table.raise_if_any()
    return Enough(do, count, fraction, of)


def pace(value: Any) -> Pace:
    """Accept a value of `pace`: what must hold before one more unit is started."""
    table = Fields(value, PACE)
    if not value:
        raise make_wrong(f"a table with one or more of {list_words(PACE)}", value)
    nothing: Tuple[Optional[float], Optional[float]] = (None, None)
    load, share = table.take("load", _load, nothing)
    delay_s = table.take("delay", duration_s, 0.0)
    read: Pace = Pace(delay_s, table.take("memory", size_bytes, None), load, share)
    table.raise_if_any()
    return read


def _load(value: Any) -> Tuple[Optional[float], Optional[float]]:
    share = _read_percent(value)
    number = float(value) if is_number(value) or _is_plain_number(value) else share
    if number is None or not 0 < number < _LARGEST:
        raise make_wrong('a number above 0 such as 4, or a share of the CPUs such as "100%"', value)
    return (number, None) if share is None else (None, share)


def _threshold(value: Any) -> _Threshold:
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value, None
    elif 0 < float(match.group(1)) <= 100:
        return None, float(match.group(1)) / 100
    raise make_wrong('a number of units from 1 on or a share such as "10%"', value)

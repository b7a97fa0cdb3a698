"""Durations and sizes as text, for the run file, the command line and the library."""

import math
import re
from datetime import datetime
from typing import Any, Dict, Mapping

from procsup.core.regexes import compile_at_use

UNITS_S: Mapping[str, float] = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
UNITS_BYTES: Mapping[str, int] = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
LONGEST_S = 30 * 366 * 86400.0  # longer ones overflow timers

_LARGEST_BYTES = (1 << 52) - 1
_PLAIN = compile_at_use(NUMBER)
_JOBS = compile_at_use(r"([+-]?)([0-9]{1,9})(%?)")
_PART = compile_at_use(
    rf"({NUMBER})\s*({'|'.join(sorted(UNITS_S, key=len, reverse=True))})(?![a-z])\s*"
)
_SIZE = compile_at_use(rf"({NUMBER}) ?([{''.join(UNITS_BYTES)}])", re.IGNORECASE)
A_DURATION = 'seconds or a duration such as "90s", "10m" or "1h 30m" (ms, s, m, h, d, w)'
A_SIZE = 'bytes or a size such as "2G" (K, M, G, T are powers of 1024)'


class NoQuantity(ValueError):
    """A value is not a valid amount; `wanted` describes what is."""

    def __init__(self, wanted: str, value: object) -> None:
        super().__init__(f"expected {wanted}, not {value!r}")
        self.wanted = wanted


def parse_duration_s(value: Any) -> float:
    """Return a duration in seconds: a number of seconds, ``"90"``, ``"10min"``, ``"30m 1h"``.

    Each unit once, in any order and case. NoQuantity for anything else: negative, not finite, an
    unknown unit, longer than 30 years.
    """
    seconds = _parse_number(value)
    if math.isnan(seconds) and isinstance(value, str):
        seconds = _sum_of_parts(value.strip().lower())
    if not math.isfinite(seconds) or seconds < 0:
        raise NoQuantity(A_DURATION, value)
    if seconds > LONGEST_S:
        raise NoQuantity("a duration of at most 30 years", value)
    return seconds


def parse_limit_s(value: Any) -> float:
    """Return a duration in seconds, longer than zero; NoQuantity as `parse_duration_s`."""
    seconds = parse_duration_s(value)
    if seconds <= 0:
        raise NoQuantity(f"{A_DURATION}, more than 0", value)
    return seconds


def parse_size_bytes(value: Any) -> int:
    """Return a size in bytes: a whole number of them, ``"2G"``, ``"1.5 m"``.

    NoQuantity for anything else: zero, a fraction of a byte, an unknown unit, 4096 T or more.
    """
    size = _parse_number(value)
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        size = float(match.group(1)) * UNITS_BYTES[match.group(2).upper()]
    elif not math.isfinite(size) or size != int(size):
        raise NoQuantity(A_SIZE, value)
    if not 1 <= size <= _LARGEST_BYTES:
        raise NoQuantity(f"{A_SIZE}, more than 0 and less than 4096T", value)
    return int(size)


def count_jobs(text: str, cpus: int) -> int:
    """Return a number of jobs: ``4``, ``+2`` or ``-1`` (beside the CPUs), ``200%`` (of them).

    At least 1, but for ``0``: all at once. NoQuantity for anything else.
    """
    match = _JOBS.fullmatch(text.strip())
    if match is None or (match[1] and match[3]):
        raise NoQuantity("a number such as 4, 200%, +2 or -1, or 0 for all", text)
    count = int(match[2])
    if match[3]:
        return max(1, cpus * count // 100)
    if match[1]:
        return max(1, cpus + (count if match[1] == "+" else -count))
    return count


def _parse_number(value: Any) -> float:
    """Return a number, also from a string; NaN if it is not a number."""
    if isinstance(value, str):
        return float(value) if _PLAIN.fullmatch(value.strip()) else math.nan
    if isinstance(value, (bool, bytes, bytearray)):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _sum_of_parts(text: str) -> float:
    """Return the sum of numbers with units, each unit at most once; NaN for any other text."""
    parts: Dict[str, float] = {}
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or part.group(2) in parts:
            return math.nan
        parts[part.group(2)] = float(part.group(1)) * UNITS_S[part.group(2)]
        at = part.end()
    return math.fsum(parts.values()) if parts else math.nan


def show_duration(seconds: float) -> str:
    """Return a duration as short text: ``4 ms``, ``0.3 s``, ``4m 05s``, ``2h 03m``, ``3d 04h``."""
    if seconds < 0.0995:
        return f"{max(seconds, 0.0) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def show_bytes(count: int) -> str:
    """Return a size as short text, in powers of 1024: ``512 B``, ``1.5 KB``, ``20 GB``."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.0f} TB" if value >= 10 else f"{value:.1f} TB"


def show_time(at: float, pattern: str = "%Y-%m-%d %H:%M") -> str:
    """Return seconds since 1970 as local time; as a number if beyond the calendar."""
    try:
        return datetime.fromtimestamp(at).strftime(pattern)
    except (OverflowError, ValueError, OSError):
        return f"{at:g} s after 1970"

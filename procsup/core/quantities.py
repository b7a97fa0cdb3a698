"""Durations as people write and read them."""

import math
import re
from typing import Union

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|min|m|h|d|)(?![a-z])", re.ASCII)


def duration_s(value: Union[str, float]) -> float:
    """Return a duration in seconds: a number of seconds, ``"90"``, ``"10m"``, ``"1h 30m"``.

    Raises ValueError, with what was expected, for anything else: negative, not finite, no unit
    of time.
    """
    if isinstance(value, bool):
        raise ValueError(_expected(value))
    seconds = _sum_of_parts(value) if isinstance(value, str) else float(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(_expected(value))
    return seconds


def _sum_of_parts(text: str) -> float:
    total, at, bare = 0.0, 0, False
    stripped = text.strip()
    while at < len(stripped):
        part = _PART.match(stripped, at)
        if part is None or bare:
            raise ValueError(_expected(text))
        total += float(part.group(1)) * _UNITS[part.group(2)]
        bare, at = not part.group(2), part.end()
    if not stripped or (bare and len(_PART.findall(stripped)) > 1):  # "1h 30": 30 of what?
        raise ValueError(_expected(text))
    return total


def _expected(value: object) -> str:
    return f'{value!r} is not a duration: expected seconds or a text such as "90s", "10m", "1h 30m"'


def show_duration(seconds: float) -> str:
    """Say a duration in few characters: ``0.3 s``, ``12 s``, ``4m 05s``, ``2h 03m``, ``3d 04h``."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def show_bytes(count: int) -> str:
    """Say a size in few characters, in powers of 1024: ``512 B``, ``1.5 KB``, ``20 GB``."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.0f} TB" if value >= 10 else f"{value:.1f} TB"


def show_time(at: float, pattern: str = "%Y-%m-%d %H:%M") -> str:
    """Write seconds since 1970 in local time; what is beyond the calendar as it is."""
    from datetime import datetime  # for a person only, who is seldom told a time

    try:
        return datetime.fromtimestamp(at).strftime(pattern)
    except (OverflowError, ValueError, OSError):
        return f"{at:g} s after 1970"

"""Durations as arguments: seconds, texts such as ``"10m"``, or a `timedelta`."""

from datetime import timedelta
from typing import Optional, Union

from procsup.core.quantities import parse_duration_s
from procsup.errors import UsageError

Duration = Union[str, float, timedelta]


def convert_seconds(name: str, value: Optional[Duration]) -> Optional[float]:
    """Return an argument in seconds; UsageError, with its name, if it is not a duration."""
    if value is None:
        return None
    try:
        return parse_duration_s(value.total_seconds() if isinstance(value, timedelta) else value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error

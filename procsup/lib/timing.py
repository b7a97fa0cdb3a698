"""Durations as arguments: seconds, or texts such as ``"10m"``."""

from typing import Optional, Union

from procsup.core.quantities import duration_s
from procsup.errors import UsageError

Duration = Union[str, float]


def seconds(name: str, value: Optional[Duration]) -> Optional[float]:
    """Return an argument in seconds; UsageError, with its name, if it is no duration."""
    if value is None:
        return None
    try:
        return duration_s(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error

"""Whether this process is part of a unit of another run, and the CPUs of that unit."""

import math
import os
from typing import Optional


def is_nested() -> bool:
    """Whether this process is part of a unit of a run."""
    return bool(os.environ.get("PROCSUP_RUN"))


def read_granted_cpus() -> Optional[float]:
    """Return the CPUs that a run granted to the unit that this process is part of.

    At least 1: otherwise no unit of one CPU could run here. None if it is not part of a unit.
    """
    try:
        cpus = float(os.environ.get("PROCSUP_CPUS", "")) if is_nested() else 0.0
    except ValueError:
        return None  # it was not set by procsup
    return max(1.0, cpus) if 0.0 < cpus < math.inf else None

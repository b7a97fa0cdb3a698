"""Computes what a unit is granted: CPUs, memory, and a number of threads for its libraries."""

from typing import Any, Mapping, Optional

from procsup.core.slots import Capacity, compute_thread_share
from procsup.runfile.stages.recipe import Recipe
from procsup.runfile.syntax import values as v


class Grants:
    """Reads the amounts of one stage's units; ``all`` is the run's capacity."""

    def __init__(self, recipe: Recipe, capacity: Capacity) -> None:
        self._recipe = recipe
        self._capacity = capacity
        self._is_pinned = recipe.spec.pin == "cpus"
        # None: as many threads as CPUs are granted.
        self.threads = None if recipe.cpus else compute_thread_share(capacity)

    def cpus(self, value: Any) -> float:
        """Accept a number of CPUs or ``all``."""
        number = v.cpus(value)
        if number is None:
            return self._capacity.cpus
        if self._is_pinned:
            v.require_whole_cpus(number)
        return number

    def memory_bytes(self, value: Any) -> Optional[int]:
        """Accept a size or ``all``."""
        size = v.memory_bytes(value)
        return self._capacity.memory_bytes if size is None else size

    def compute_cpus(self, values: Mapping[str, Any]) -> float:
        """Return the CPUs that the stage grants a unit of these values; 1 by default."""
        template = self._recipe.cpus
        return self.cpus(template.render(values)) if template else 1.0

    def compute_memory(self, values: Mapping[str, Any]) -> Optional[int]:
        """Return the memory that the stage grants a unit of these values; None by default."""
        template = self._recipe.memory
        return self.memory_bytes(template.render(values)) if template else None

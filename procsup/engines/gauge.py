"""Readings of this machine's memory and load, for stages whose pace depends on them."""

from typing import Callable, List

from procsup.core.events import Fact, Measured
from procsup.host.machine import count_cpus, read_free_memory_bytes, read_load


class MachineGauge:
    """Reads at once; `wake` has the loop take the reading as a fact."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._facts: List[Fact] = []

    def measure(self) -> None:
        """Take a reading."""
        self._facts.append(Measured(read_free_memory_bytes(), read_load(), count_cpus()))
        self._wake()

    def drain(self) -> List[Fact]:
        """Return the readings since the last call."""
        facts, self._facts = self._facts, []
        return facts

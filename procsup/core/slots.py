"""Allocates CPUs and memory to attempts, and takes them back."""

from heapq import heappop, heappush
from typing import Dict, List, Optional, Set, Tuple, Union

from msgspec import Struct

from procsup.core.quantities import show_bytes
from procsup.core.spec import StageSpec, UnitSpec
from procsup.core.text import count_noun

_ROUNDING = 1e-9  # ten units of 0.1 CPU must fit into one CPU


class Capacity(Struct, frozen=True):
    """The limits of a run: CPUs (a number, and the ids that it may pin to), memory, live units."""

    cpus: float
    memory_bytes: Optional[int] = None  # None: not limited and not counted
    cpu_ids: Tuple[int, ...] = ()
    jobs: Optional[int] = None
    host: str = ""

    @property
    def amounts(self) -> Dict[str, Union[int, float]]:
        """The amount of each resource, by name, as in `Placement`."""
        return make_amounts(self.cpus, self.memory_bytes)


class Placement(Struct, frozen=True, gc=False):
    """Where one attempt runs, and what it got of each resource, by name.

    `amounts` has ``cpus``, and ``memory`` (bytes) if that is counted; `indices` the individual
    ones that it got (``cpus`` if its stage pins). `agent` is the engine's agent, empty on this
    machine. `slot` is the lowest free number from 1 on; no two live attempts share one.
    """

    host: str
    amounts: Dict[str, Union[int, float]]
    indices: Dict[str, Tuple[int, ...]] = {}
    agent: str = ""
    slot: int = 1

    @property
    def cpus(self) -> float:
        """The number of CPUs."""
        return self.amounts["cpus"]

    @property
    def memory_bytes(self) -> Optional[int]:
        """The memory in bytes; None if it is not counted."""
        memory = self.amounts.get("memory")
        return None if memory is None else int(memory)

    @property
    def cpu_ids(self) -> Tuple[int, ...]:
        """The numbers of its CPUs; empty if it is not pinned."""
        return self.indices.get("cpus", ())


def make_amounts(cpus: float, memory_bytes: Optional[int]) -> Dict[str, Union[int, float]]:
    """Return CPUs, and memory if that is counted, by name."""
    return {"cpus": cpus} if memory_bytes is None else {"cpus": cpus, "memory": memory_bytes}


def make_placement(
    host: str,
    cpus: float,
    memory_bytes: Optional[int] = None,
    cpu_ids: Tuple[int, ...] = (),
    slot: int = 1,
) -> Placement:
    """Return the placement of an attempt that got these CPUs and this memory on a host."""
    amounts = make_amounts(cpus, memory_bytes)
    return Placement(host, amounts, {"cpus": cpu_ids} if cpu_ids else {}, slot=slot)


class Needs(Struct, frozen=True):
    """What one attempt asks for; `pinned`: whole CPUs of its own."""

    cpus: float
    memory_bytes: Optional[int] = None
    pinned: bool = False


def compute_needs(
    stage: StageSpec, unit: UnitSpec, tried: int, memory_limit: Optional[int]
) -> Needs:
    """Return what an attempt of a unit needs after `tried` tries."""
    memory = unit.memory_bytes
    factor = stage.retry.memory_factor
    if memory is not None and factor != 1.0 and tried:
        memory = int(memory * factor**tried)
        if memory_limit is not None:
            memory = max(unit.memory_bytes or 0, min(memory, memory_limit))
    return Needs(unit.cpus, memory, pinned=stage.pin == "cpus")


class Slots:
    """The share of a capacity that is still free."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._cpus = capacity.cpus
        self._memory_bytes = capacity.memory_bytes
        self._jobs = capacity.jobs
        self._free_ids: Set[int] = set(capacity.cpu_ids)
        self._free_slots: List[int] = []  # a heap of the returned ones
        self._slots = 0  # the highest number given so far

    @property
    def are_taken(self) -> bool:
        """Nothing can be placed before an attempt gives its share back."""
        return self._jobs == 0 or self._cpus <= 0.0

    def place(self, needs: Needs) -> Optional[Placement]:
        """Take a share and return it, or None if it does not fit now."""
        if self._jobs == 0 or needs.cpus > self._cpus + _ROUNDING:
            return None
        memory = needs.memory_bytes
        if memory is not None and self._memory_bytes is not None and memory > self._memory_bytes:
            return None
        ids = self._take_ids(needs)
        if ids is None:
            return None
        self._cpus -= needs.cpus
        if memory is not None and self._memory_bytes is not None:
            self._memory_bytes -= memory
        if self._jobs is not None:
            self._jobs -= 1
        return make_placement(self.capacity.host, needs.cpus, memory, ids, slot=self._take_slot())

    def _take_slot(self) -> int:
        if self._free_slots:
            return heappop(self._free_slots)
        self._slots += 1
        return self._slots

    def _take_ids(self, needs: Needs) -> Optional[Tuple[int, ...]]:
        if not needs.pinned:
            return ()
        wanted = max(1, round(needs.cpus))
        if wanted > len(self._free_ids):
            # More CPUs were declared than the machine has: the surplus is shared, not pinned.
            return None if self.can_pin(wanted) and self._list_pinnable() else ()
        ids = tuple(sorted(self._free_ids)[:wanted])
        self._free_ids.difference_update(ids)
        return ids

    def can_pin(self, wanted: int) -> bool:
        """Whether that many CPUs can ever be pinned at once."""
        return wanted <= len(self.capacity.cpu_ids)

    def _list_pinnable(self) -> bool:
        return self.capacity.cpus <= len(self.capacity.cpu_ids) + _ROUNDING

    def take(self, placement: Placement) -> None:
        """Mark the share of an attempt that was placed elsewhere as taken."""
        self._cpus -= placement.cpus
        if placement.memory_bytes is not None and self._memory_bytes is not None:
            self._memory_bytes -= placement.memory_bytes
        if self._jobs is not None:
            self._jobs -= 1
        self._free_ids.difference_update(placement.cpu_ids)

    def describe_lack(self, needs: Needs) -> str:
        """Describe what a unit lacks to be placed now; empty if it fits."""
        placement = self.place(needs)
        if placement is not None:
            self.give_back(placement)
            return ""
        whole, found = self.capacity, []
        if whole.jobs is not None and self._jobs is not None and self._jobs <= 0:
            return f"a unit to end: {count_noun(whole.jobs, 'unit')} may run at once"
        if needs.cpus > self._cpus + _ROUNDING:
            free = max(round(self._cpus, 6), 0.0)
            found.append(f"CPUs (it needs {needs.cpus:g}; {free:g} of {whole.cpus:g} are free)")
        memory, left = needs.memory_bytes, self._memory_bytes
        if memory is not None and left is not None and memory > left:
            sizes = map(show_bytes, (memory, max(left, 0), whole.memory_bytes or 0))
            found.append("memory (it needs {}; {} of {} are free)".format(*sizes))
        return " and ".join(found) or f"{count_noun(max(1, round(needs.cpus)), 'CPU')} of its own"

    def give_back(self, placement: Placement) -> None:
        """Return a share that `place` gave."""
        self._cpus += placement.cpus
        if placement.memory_bytes is not None and self._memory_bytes is not None:
            self._memory_bytes += placement.memory_bytes
        if self._jobs is not None:
            self._jobs += 1
        self._free_ids.update(placement.cpu_ids)
        heappush(self._free_slots, placement.slot)


def compute_thread_share(capacity: Capacity) -> int:
    """Return how many threads a unit without `cpus` may start: at least 1.

    That is its share of the CPUs if `jobs` units run, or without `jobs` one unit per CPU.
    """
    return max(1, int(capacity.cpus) // capacity.jobs) if capacity.jobs else 1


def explain_never(needs: Needs, capacity: Capacity) -> Optional[str]:
    """Return why a unit can never be placed; None if it can."""
    problems: List[str] = []
    if needs.cpus > capacity.cpus + _ROUNDING:
        problems.append(f"{needs.cpus:g} cpus of {capacity.cpus:g}")
    memory = needs.memory_bytes
    if memory is not None and capacity.memory_bytes is not None and memory > capacity.memory_bytes:
        problems.append(f"{memory} bytes of memory of {capacity.memory_bytes}")
    return "needs " + " and ".join(problems) if problems else None

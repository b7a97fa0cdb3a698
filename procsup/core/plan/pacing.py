"""Deadlines of units, and the pace of starts while the system refuses some."""

import heapq
from itertools import count
from typing import Iterator, List, Optional, Tuple

from procsup.core.plan.units import Running, Unit, Waiting

_HOLD_S, _LONGEST_HOLD_S = 0.1, 30.0  # between starts while others live, doubled at each refusal
_ENOUGH = 1000  # starts without a refusal
_FEW_DEADLINES = 1000


class Shortage:
    """Limits starts while the system refuses them and other attempts live.

    Each end of an attempt allows one more start (`allowance`), and so does each wait until `due`.
    A refusal doubles the wait; a wait without a refusal doubles the starts that the next allows.
    """

    def __init__(self, now: float) -> None:
        self.allowance = 0
        self.due = now + _HOLD_S
        self._refused_at = now
        self._hold_s = _HOLD_S
        self._tries = 1

    def go_on(self, now: float) -> None:
        """Note another refused start; several in one turn count once."""
        self.allowance = 0
        self._tries = 1
        if now > self._refused_at:
            self._refused_at = now
            self._hold_s = min(self._hold_s * 2, _LONGEST_HOLD_S)
        self.due = now + self._hold_s

    def may_be_over(self, now: float) -> bool:
        """Allow more starts once `due`; true if enough waits passed without a refusal."""
        if now < self.due:
            return False
        self.allowance += self._tries
        self._tries *= 2
        self.due = now + self._hold_s
        return self._tries > _ENOUGH


class Deadlines:
    """Reminders of units at monotonic times, valid while the unit is in the state that set them."""

    def __init__(self) -> None:
        self._heap: List[Tuple[float, int, Unit]] = []
        self._tidy_at = _FEW_DEADLINES
        self._ticket = count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, when: float, unit: Unit) -> None:
        """Add a reminder of a unit, at the time that is in its state."""
        heapq.heappush(self._heap, (when, next(self._ticket), unit))
        if len(self._heap) > self._tidy_at:
            self._tidy()

    def next(self) -> Optional[float]:
        """Return the earliest time at which a unit is due."""
        while self._heap and not _is_current(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> Iterator[Unit]:
        """Yield the units that are due by now, once each."""
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if _is_current(*entry):
                yield entry[2]

    def _tidy(self) -> None:
        """Drop outdated reminders, which `next` does not reach behind a current one."""
        self._heap = [entry for entry in self._heap if _is_current(*entry)]
        heapq.heapify(self._heap)
        self._tidy_at = max(_FEW_DEADLINES, 2 * len(self._heap))


def _is_current(when: float, _ticket: int, unit: Unit) -> bool:
    """Whether the unit is still in the state that set this reminder."""
    state = unit.state
    if isinstance(state, Running):
        return state.deadline == when
    return isinstance(state, Waiting) and state.not_before == when

"""Deadlines of units, and the pace of starts: while the system refuses some, and as `pace` says."""

import heapq
from bisect import bisect_left, insort
from collections import deque
from itertools import count
from typing import Deque, Iterator, List, Optional, Tuple

from procsup.core.events import Measured
from procsup.core.plan.units import Running, Unit, Waiting
from procsup.core.quantities import show_bytes
from procsup.core.spec import Pace

_HOLD_S, _LONGEST_HOLD_S = 0.1, 30.0  # between starts while others live, doubled at each refusal
_ENOUGH = 1000  # starts without a refusal
_FEW_DEADLINES = 1000
_LOOK_AGAIN_S = 0.2  # after a reading of the machine that allows no more starts
_READING_HOLDS_S = 1.0
_FEWEST_TIMES = 5
_MOST_TIMES = 999
_LEAST_LIMIT_S = 1.0  # the times of short units vary by more than they are long


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


class Gauge:
    """The last reading of the machine, and how many units ran then.

    Units that have started since take memory or a CPU that the reading does not show yet: more than
    one start beyond those that ran needs another reading, at least `_LOOK_AGAIN_S` later.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._seen = Measured(None, None, 1)
        self._at = float("-inf")
        self._running = 0

    def take(self, seen: Measured, now: float, running: int) -> None:
        """Take a reading."""
        self.is_asked = False
        self._seen, self._at, self._running = seen, now, running

    @property
    def next_look(self) -> float:
        """The monotonic time of the next reading, if this one allows no start."""
        return self._at + _LOOK_AGAIN_S

    def is_outdated(self, now: float) -> bool:
        """Whether the reading is too old to decide on a start."""
        return now >= self._at + _READING_HOLDS_S

    def has_grown(self, pace: Pace, running: int) -> bool:
        """Whether too many have started since the reading."""
        more = running - self._running
        load, limit = self._seen.load, self._compute_limit(pace)
        if load is not None and limit is not None and more > 0 and load + more >= limit:
            return True
        return more > 0 and pace.memory_bytes is not None and self._seen.free_bytes is not None

    def find_shortage(self, pace: Pace) -> str:
        """Return why the reading allows no start; empty if it does, and if it is not known."""
        free, load, limit = self._seen.free_bytes, self._seen.load, self._compute_limit(pace)
        if pace.memory_bytes is not None and free is not None and free < pace.memory_bytes:
            wanted = show_bytes(pace.memory_bytes)
            return f"{show_bytes(free)} of memory is free, and it waits for {wanted}"
        if load is not None and limit is not None and load >= limit:
            return f"the load is {load:g}, and it waits for less than {limit:g}"
        return ""

    def _compute_limit(self, pace: Pace) -> Optional[float]:
        return pace.load if pace.load_share is None else pace.load_share * self._seen.cpus


class RunTimes:
    """The wall times of the units that succeeded last, for their median."""

    def __init__(self) -> None:
        self._last: Deque[float] = deque()
        self._sorted: List[float] = []

    def add(self, wall_s: float) -> None:
        """Add the time of a unit; of many the oldest is dropped."""
        self._last.append(wall_s)
        insort(self._sorted, wall_s)
        if len(self._last) > _MOST_TIMES:
            del self._sorted[bisect_left(self._sorted, self._last.popleft())]

    def compute_limit_s(self, share: float) -> Optional[float]:
        """Return this share of the median; None before there are five times."""
        count = len(self._sorted)
        if count < _FEWEST_TIMES:
            return None
        median_s = (self._sorted[(count - 1) // 2] + self._sorted[count // 2]) / 2
        return max(share * median_s, _LEAST_LIMIT_S)


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

"""Finds the unit that takes longest, of those that run and those that have ended."""

import time
from typing import Dict

from msgspec import Struct

from procsup.core.events import Settled, Start


class Lasting(Struct, frozen=True):
    """A unit, and how long its attempt lasts or lasted; no name if there is none."""

    unit: str = ""
    took_s: float = 0.0


class Slowest:
    """The loop passes starts and ends to it; `find` may be called on another thread."""

    def __init__(self) -> None:
        self._begun: Dict[str, float] = {}  # live units, the oldest first
        self._ended = Lasting()

    def note_start(self, order: Start) -> None:
        """An attempt is started."""
        self._begun.pop(order.attempt.unit, None)
        self._begun[order.attempt.unit] = time.monotonic()

    def note_end(self, order: Settled) -> None:
        """An attempt has ended."""
        end = order.end
        self._begun.pop(end.unit, None)
        if end.wall_s is not None and end.wall_s > self._ended.took_s:
            self._ended = Lasting(end.unit, end.wall_s)

    def find(self) -> Lasting:
        """Return the slowest one so far."""
        now = time.monotonic()
        live = [Lasting(unit, now - begun) for unit, begun in list(self._begun.items())]
        return max([self._ended, *live[:1]], key=lambda one: one.took_s)

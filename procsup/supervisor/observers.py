"""Keeps a watcher's errors away from the run, and collects the run's failures."""

import os
from contextlib import suppress
from typing import Callable, Dict, List, Optional, Set

from procsup.core.events import Settled, Start
from procsup.core.outcome import Verdict
from procsup.core.plan.summary import Summary
from procsup.core.records import End
from procsup.interfaces import Watcher

_REMEMBERED = 20


def remove_part(path: str) -> None:
    """Remove the part of a stream that a unit has read with success."""
    with suppress(OSError):  # it goes with the run directory, if not now
        os.unlink(path)


class Observers:
    """A watcher that passes everything to another one; it removes parts of a stream after use.

    `on_ready` is called in the first turn in which no manifest must still be withdrawn. If the
    watcher raises, it is not called again, and `fault` holds the exception.
    """

    def __init__(self, watcher: Watcher, on_ready: Callable[[], None]) -> None:
        self.failures: List[End] = []
        self._failed: Set[str] = set()
        self._piped: Dict[str, str] = {}  # unit that was started -> its part of a stream
        self.fault: Optional[Exception] = None
        self._watcher = watcher
        self._on_ready: Optional[Callable[[], None]] = on_ready

    @property
    def failed_total(self) -> int:
        """How many units failed themselves."""
        return len(self._failed)

    def note_start(self, order: Start) -> None:
        """An attempt is started."""
        unit = order.task.unit
        if unit.piped and unit.stdin is not None:
            self._piped[unit.id] = unit.stdin
        self._call_guarded(lambda: self._watcher.note_start(order))

    def note_end(self, order: Settled) -> None:
        """A unit's end is on disk."""
        end = order.end
        part = self._piped.pop(end.unit, None) if end.final else None
        if part is not None and end.verdict is Verdict.SUCCEEDED:
            remove_part(part)
        if end.unit in self._failed:  # it was retried on request
            self._failed.discard(end.unit)
            self.failures = [one for one in self.failures if one.unit != end.unit]
        if end.final and end.verdict.is_failure:
            self._failed.add(end.unit)
            if len(self.failures) < _REMEMBERED:
                self.failures.append(end)
        self._call_guarded(lambda: self._watcher.note_end(order))

    def show(self, summary: Summary) -> None:
        """Pass the summary to the watcher."""
        if self._on_ready is not None and not summary.withdrawing:
            on_ready, self._on_ready = self._on_ready, None
            on_ready()
        if self.fault is None:
            self._call_guarded(lambda: self._watcher.show(summary))

    def close(self) -> None:
        """Close the watcher, even after it raised."""
        fault, self.fault = self.fault, None
        self._call_guarded(self._watcher.close)
        self.fault = fault or self.fault

    def _call_guarded(self, call: Callable[[], None]) -> None:
        if self.fault is not None:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001  a display must not end the run
            self.fault = error

"""Waits until a command of a queue has its verdict, while the queue stays open."""

import time
from typing import NamedTuple, Optional

from procsup.core.outcome import Verdict
from procsup.core.records import End
from procsup.errors import RunUnfinished, UsageError, WaitTimeout
from procsup.host.files import AnyPath
from procsup.queries.view import RunView, find_run
from procsup.store.find import format_queue_start
from procsup.store.queue_file import STAGE, is_queue, read_last_number
from procsup.store.reader import Follower, put_on_disk
from procsup.store.sitting import SittingEnd

_LOOK_S = 0.05


class UnitResult(NamedTuple):
    """The verdict of a command; `end` is on the disk."""

    run: str
    number: int
    end: End

    @property
    def succeeded(self) -> bool:
        """Whether it succeeded."""
        return self.end.verdict is Verdict.SUCCEEDED


def await_command(
    run: str, number: int, *, timeout_s: Optional[float] = None, start: AnyPath = "."
) -> UnitResult:
    """Return when a command of a queue has its verdict, looked for 20 times a second.

    UsageError if the run is no queue or has no such command, RunUnfinished if no supervisor works
    on it, WaitTimeout after `timeout_s`.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    view = find_run(run, start)
    if not is_queue(view.rundir):
        raise UsageError(f"run {run} is no queue: only its end can be waited for, not {number}")
    last = read_last_number(view.rundir)
    if not 1 <= number <= last:
        has = f"the last is {last}" if last else "it has none yet"
        raise UsageError(f"queue {run} has no command {number}: {has}")
    reading, owner, sitting_end = _Reading(view, number), None, None
    while True:
        now = RunView(view.rundir).live  # before the records: what it wrote is read after its end
        if sitting_end is None or now != owner:
            owner, sitting_end = now, None if now is None else SittingEnd(view.rundir, now)
        end = reading.read()
        if end is not None:
            return UnitResult(run, number, end)
        if sitting_end is None:
            raise RunUnfinished(
                f"{run} {number} has no verdict, and no supervisor works on the queue:"
                f" {format_queue_start(view.rundir)}"
            )
        left_s = _LOOK_S if deadline is None else min(deadline - time.monotonic(), _LOOK_S)
        if left_s <= 0:
            raise WaitTimeout(f"{run} {number}: no verdict yet; it goes on")
        sitting_end.wait(left_s)


class _Reading:
    """The records of one unit, as the journal grows."""

    def __init__(self, view: RunView, number: int) -> None:
        self._journal = view.rundir.journal
        self._follower = Follower(self._journal)
        self._unit = f"{STAGE}/{number}"
        self._end: Optional[End] = None

    def read(self) -> Optional[End]:
        """Return its verdict by now; None if it has none, or runs again."""
        for entry in self._follower.read():
            record = entry.record
            if isinstance(record, End) and record.unit == self._unit:
                self._end = record if record.final else None
        if self._end is not None:
            put_on_disk(self._journal)
        return self._end

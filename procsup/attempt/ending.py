"""Decides when a unit is over: what happens to processes that its main process left behind. Pure.

After a good exit, processes that may still write an output or a log get `linger_s` to end by
themselves, others one second. Then they are ended. The unit has failed if a process that had to be
ended had an output open, if an output changed although no process was seen with it open, or if the
unit declares no outputs and its log grew. A process that had only the log open leads to a remark.
"""

from typing import Callable, List, Optional, Sequence, Set, Tuple

from msgspec import Struct

from procsup.core.text import list_some

PATIENCE_S = 1.0  # for processes without our files open: trackers, which end when a pipe closes
GRACE_S = 2.0  # at most, between stop signal and kill, for the same processes
_FIRST_LOOK_S = 0.002
_LONGEST_LOOK_S = 0.1
_NAMED_MOST = 3


class Leftover(Struct, frozen=True):
    """A process that was left behind: the output that it may write to, and whether it has the log.

    `output` is the path as messages show it. `log` is also true if the system does not show which
    files the process has open (`is_told` false).
    """

    pid: int
    start_ticks: int
    name: str
    output: str = ""
    log: bool = False
    is_told: bool = True

    def __str__(self) -> str:
        return f"{self.name or 'a process'} (pid {self.pid})"


Stamps = Tuple[object, ...]  # only compared for equality


class Ending:
    """An attempt whose main process ended, at the monotonic time `at`, and left processes behind.

    `look` returns the present stamps of its outputs, or without outputs the sizes of its logs.
    """

    def __init__(
        self,
        *,
        at: float,
        is_good: bool,
        linger_s: Optional[float],
        grace_s: float,
        has_outputs: bool,
        look: Callable[[], Stamps],
    ) -> None:
        self.at = at
        self.look_at = at
        self.ended: List[Leftover] = []  # those that had to be ended
        self._is_good = is_good
        self._linger_s = linger_s
        self._grace_s = grace_s
        self._has_outputs = has_outputs
        self._look = look
        self._before = look() if is_good else ()
        self._held_until = at  # the last time at which a process held an output or a log
        self._is_held = False  # an output was held at the last look
        self._asked_at = at
        self._pause_s = _FIRST_LOOK_S
        self._names: Set[Tuple[int, int]] = set()

    def find_due_grace_s(self, now: float, left: Sequence[Leftover]) -> Optional[float]:
        """Return the grace if the processes left behind must be ended now; None: not yet."""
        self._note_outputs(left)
        holders = [one for one in left if one.output or one.log] if self._is_good else []
        if holders:
            self._held_until = now
            until = None if self._linger_s is None else self.at + self._linger_s
            grace_s = self._grace_s
        else:
            until = self._held_until + PATIENCE_S
            grace_s = min(self._grace_s, GRACE_S)
        if until is not None and now >= until:
            self._asked_at = now
            self.note_ended(left)
            return grace_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_LOOK_S)
        self.look_at = now + self._pause_s if until is None else min(until, now + self._pause_s)
        return None

    def _note_outputs(self, left: Sequence[Leftover]) -> None:
        """Take new stamps after a holder has ended: its writes during the wait are no failure."""
        held = any(one.output for one in left)
        if self._is_held and not held and self._is_good:
            self._before = self._look()
        self._is_held = held

    def note_ended(self, left: Sequence[Leftover]) -> None:
        """Note that these processes had to be ended."""
        for one in left:
            if (one.pid, one.start_ticks) not in self._names:
                self._names.add((one.pid, one.start_ticks))
                self.ended.append(one)

    # --- after all processes have ended ------------------------------------------------------

    def find_fault(self) -> str:
        """Return why the unit failed although it exited well; empty if it did not fail."""
        if not self._is_good or not self.ended:
            return ""
        writers = [one for one in self.ended if one.output]
        if writers:
            return (
                f"{_join_names(writers)} still wrote to {writers[0].output} {self._format_after()}"
            )
        if self._look() == self._before:
            return ""
        if self._has_outputs:
            names, since = _join_names(self.ended), self._format_since()
            return f"{names} had to be ended, and an output has changed {since}"
        return f"{_join_names(self.ended)} still wrote to its log {self._format_after()}"

    def list_remarks(self) -> Tuple[str, ...]:
        """Return a remark about processes that held only the log, and how long we waited."""
        holders = [one for one in self.ended if one.log and not one.output]
        if not self._is_good or not holders:
            return ()
        told = [one for one in holders if one.is_told]
        what = "kept the log open" if told else "was still alive"
        named = told or holders
        if len(named) > 1:
            what = what.replace("was", "were")
        ended = "was ended" if len(named) == 1 else "were ended"
        if self._linger_s == 0:
            return (f"{_join_names(named)} {what} and {ended}",)
        cure = "`linger = 0` ends such at once"
        return (f"{_join_names(named)} {what} and {ended} after {self._format_wait()}; {cure}",)

    def _format_after(self) -> str:
        return f"{self._format_wait()} after the unit's main process had ended"

    def _format_wait(self) -> str:
        seconds = self._asked_at - self.at
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"

    def _format_since(self) -> str:
        return "since the unit's main process had ended"


def _join_names(processes: Sequence[Leftover]) -> str:
    return list_some([str(one) for one in processes], _NAMED_MOST)

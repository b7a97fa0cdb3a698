"""The messages between the supervisor and its guard, and both ends of their connection."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

_READY, _READY_WITHOUT_ADOPTION = b"+", b"-"
_STARTS_S = 10.0
_RUN, _MARKS, _RELEASE = "run ", "marks ", "release"


class GuardLink:
    """The supervisor's end of its connection to the guard.

    `fd` is readable once the guard is dead (after `wait_until_ready`); `adopts`: the guard adopts
    orphans (Linux); None before it is ready.
    """

    def __init__(self, fd: int, telling_fd: int) -> None:
        self.fd = fd
        self.adopts: Optional[bool] = None
        self._telling_fd = telling_fd
        self._alive = True

    def wait_until_ready(self, timeout_s: float = _STARTS_S) -> None:
        """Return when the guard can do its work; TimeoutError if it cannot by then.

        No unit may be started before. `is_alive` shows a guard that died instead.
        """
        import select

        if self.is_alive() and self.adopts is None:
            select.select([self.fd], [], [], timeout_s)
            if self.is_alive() and self.adopts is None:
                raise TimeoutError(f"the guard process was not ready within {timeout_s:g} s")

    def is_alive(self) -> bool:
        """Whether the guard lives; never blocks."""
        while self._alive:
            try:
                word = os.read(self.fd, 1)
            except BlockingIOError:
                break
            if word:
                self.adopts = word == _READY
            else:
                self._alive = False
        return self._alive

    def tell_run_id(self, run_id: str, mark_base: Optional[int] = None) -> None:
        """Send the guard the ids by which the run's processes are known, before the first unit.

        It needs them only where orphans are not adopted (macOS), or /proc is hidden.
        """
        self._tell(f"{_RUN}{run_id}")
        if mark_base is not None:
            self._tell(f"{_MARKS}{mark_base}")

    def release(self) -> None:
        """Tell the guard to leave all processes alone when this one ends."""
        self._tell(_RELEASE)

    def _tell(self, text: str) -> None:
        try:
            os.write(self._telling_fd, os.fsencode(text) + b"\n")
        except OSError:
            pass  # the guard is dead: `is_alive` is false


class Told:
    """The messages of a supervisor to its guard.

    Before a run has begun, `run_id` is empty and `mark_base` is None.
    """

    def __init__(self, text: str) -> None:
        self.run_id = ""
        self.mark_base: Optional[int] = None
        self.released = False
        for line in text.splitlines():
            if line.startswith(_RUN):
                self.run_id = line[len(_RUN) :]
            elif line.startswith(_MARKS):
                self.mark_base = int(line[len(_MARKS) :])
            elif line == _RELEASE:
                self.released = True


def read_told(fd: int) -> Told:
    """Read the messages to the guard, once, after the supervisor has ended.

    `fd` must be non-blocking: other processes may still have the other end of the pipe open.
    """
    try:
        return Told(os.fsdecode(os.read(fd, 1 << 16)))
    except OSError:
        return Told("")


def say_ready(fd: int, *, adopts: bool) -> None:
    """Tell the supervisor that the guard can do its work, and whether it adopts orphans."""
    try:
        os.write(fd, _READY if adopts else _READY_WITHOUT_ADOPTION)
    except BrokenPipeError:
        pass  # the supervisor is dead already: its status waits for us

"""The stop of one tree, step by step: stop signal, request for stacks, kill.

Each process that must get the stop signal gets it once. At half of the grace the processes below
a listener that has not ended get it, too. When the grace is over all are killed: first those that
do not ignore the stop signal, a second later the rest, so that the trackers of multiprocessing and
loky can clean up.
"""

from typing import Optional, Protocol

_DUMP_S = 1.0  # from the request for stacks to the kill
_SPARE_S = 1.0  # from the first kill to the kill of processes that ignore the stop signal
_FIRST_LOOK_S = 0.005
_LONGEST_LOOK_S = 0.1
_SHORTEST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.05
_ROUNDS = 20  # of kills without a pause, while each round still finds new processes


class StopTarget(Protocol):
    """The tree that a ladder stops (`host.system.StopSignaller`)."""

    def signal(self, *, everybody: bool = False, dump: bool = False) -> bool:
        """Signal the processes that are next; return true if others must be signalled later."""
        ...

    def kill(self, *, spare: bool = False) -> int:
        """Kill the live processes; return how many were found for the first time."""
        ...


class Ladder:
    """One stop; `look_at` is the monotonic time at which `advance` has something to do.

    `request_dump`: asks the main process for its stacks (None: no stacks are wanted).
    """

    def __init__(
        self,
        tree: StopTarget,
        *,
        grace_s: float,
        now: float,
        request_dump: Optional["DumpRequest"] = None,
    ) -> None:
        self.look_at = now
        self.killed_at: Optional[float] = None  # when its kill began; None before
        self._tree = tree
        self._half_at = now + grace_s / 2
        self._end_at = now + grace_s
        self._request_dump = request_dump
        self._pause_s = _FIRST_LOOK_S
        # Without grace no process gets the stop signal, only SIGKILL.
        self._waits = grace_s > 0 and tree.signal(dump=request_dump is not None)
        self._everybody = False
        self._plan_look(now)

    def advance(self, now: float) -> None:
        """Take the steps that are due."""
        if now < self.look_at:
            return
        if self.killed_at is not None:
            self._kill_round(now)
        elif now < self._end_at:
            self._everybody = now >= self._half_at
            self._waits = self._tree.signal(everybody=self._everybody)
            self._plan_look(now)
        elif self._request_dump is not None:
            self._request_dump()
            self._request_dump = None
            self.look_at = self._end_at = now + _DUMP_S
        else:
            self.killed_at = now
            self._pause_s = _SHORTEST_PAUSE_S
            self._kill_round(now)

    def shorten(self, grace_s: float, now: float) -> None:
        """End the grace in `grace_s` seconds, unless it ends earlier."""
        self._half_at = min(self._half_at, now + grace_s / 2)
        self._end_at = min(self._end_at, now + grace_s)
        if self.killed_at is None:
            self.look_at = min(self.look_at, self._half_at, self._end_at)

    def force(self, now: float) -> None:
        """Kill all processes now, also those that ignore the stop signal."""
        self._request_dump = None
        self._end_at = now
        self.killed_at = now - _SPARE_S
        self._pause_s = _SHORTEST_PAUSE_S
        self._kill_round(now)

    def _plan_look(self, now: float) -> None:
        """Look again soon while processes below a listener have not been signalled."""
        due = self._end_at if self._everybody else min(self._half_at, self._end_at)
        if self._waits:
            due = min(due, now + self._pause_s)
            self._pause_s = min(self._pause_s * 2, _LONGEST_LOOK_S)
        self.look_at = due

    def _kill_round(self, now: float) -> None:
        assert self.killed_at is not None
        spare = now - self.killed_at < _SPARE_S
        for _ in range(_ROUNDS):
            if not self._tree.kill(spare=spare):
                break
        self.look_at = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


class DumpRequest(Protocol):
    """Asks a main process for its stacks once more."""

    def __call__(self) -> None:
        """Ask for them."""
        ...

"""Estimates the remaining time of a stage."""

from collections import deque
from typing import Deque, Optional, Tuple

WINDOW_S = 120.0
_KEPT_SAMPLES = 240


class Eta:
    """Estimates the remaining time from recently finished units; kept units do not count.

    Call `sample` regularly, with a monotonic time.
    """

    def __init__(self) -> None:
        self._samples: Deque[Tuple[float, int]] = deque(maxlen=_KEPT_SAMPLES)

    def sample(self, now: float, done: int) -> None:
        """Note how many units are done; only changes are stored."""
        if not self._samples or done != self._samples[-1][1]:
            self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] > WINDOW_S:
            self._samples.popleft()

    def compute_rate(self, now: float) -> Optional[float]:
        """Return how many units end in a second; None if none has ended yet."""
        (first, done_first), (_, done_last) = self._samples[0], self._samples[-1]
        if done_last <= done_first or now <= first:
            return None
        return (done_last - done_first) / (now - first)

    def estimate_remaining_s(self, now: float, left: int) -> Optional[float]:
        """Return the seconds that `left` units may take; None if there is no estimate yet.

        Between two ends the estimate goes down; once the next end is overdue it grows.
        """
        if len(self._samples) < 2:
            return None
        (first, done_first), (last, done_last) = self._samples[0], self._samples[-1]
        if done_last <= done_first:
            return None
        per_unit_s = (last - first) / (done_last - done_first)
        waited_s = now - last
        if waited_s > per_unit_s:
            per_unit_s = (now - first) / (done_last - done_first + 1)
            waited_s = 0.0
        return max(per_unit_s * left - waited_s, 0.0)

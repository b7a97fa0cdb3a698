"""The two clocks of this machine."""

import time

__all__ = ["SystemClock"]


class SystemClock:
    """Monotonic time and wall clock, both in seconds."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

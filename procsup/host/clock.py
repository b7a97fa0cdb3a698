"""The two clocks of this machine, and ids with the date in them."""

import os
import time

LONGEST_WAIT_S = 24 * 3600.0  # of one call: some systems overflow beyond


class SystemClock:
    """Monotonic time and wall clock, both in seconds."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


def make_dated_id(random_bytes: int) -> str:
    """Return a new id that begins with the local time: ``20260102T030405-1f2e3d4c``."""
    return f"{time.strftime('%Y%m%dT%H%M%S')}-{os.urandom(random_bytes).hex()}"

"""Runs units from a program: ``python listed.py list|generator COUNT PROGRAM``.

Prints an object: when, after the call, the first unit was made, the first one started and the last
one made; what the run took; and the peak memory of this process and of the largest that it started,
which is the supervisor (its mark begins at what this process had then).
"""

import json
import resource
import sys
import time
from typing import Iterator, List

import procsup

UNIT = 1024 if sys.platform.startswith("linux") else 1


def read_peak_bytes() -> int:
    """Return the peak memory of this process; by `getrusage` its parent's would be part of it."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def main() -> int:
    """Run the units; print the figures."""
    way, count, program = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    made: List[float] = []  # when the first one and the last one were made

    def make() -> Iterator[List[str]]:
        for number in range(count):
            if number in (0, count - 1):
                made.append(time.time())
            yield [program, str(number)]

    begun = time.time()
    units = list(make()) if way == "list" else make()
    with procsup.start_units(units, name="bench", jobs=2) as run:
        started = next(one.at for one in run.events() if isinstance(one, procsup.UnitStarted))
        manifest = run.wait()
    figures = {
        "succeeded": manifest.stages["units"].succeeded,
        "made_s": made[-1] - begun,
        "started_s": started - begun,
        "wall_s": time.time() - begun,
        "host_bytes": read_peak_bytes(),
        "supervisor_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * UNIT,
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())

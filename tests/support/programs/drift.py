"""Takes more CPUs than it was given: ``drift.py [--back] CPU...``.

With ``--back`` it waits until it has those again that it was given.
"""

import os
import sys
import time

LIMIT_S = 20

given, until = os.sched_getaffinity(0), time.monotonic() + LIMIT_S
os.sched_setaffinity(0, [int(word) for word in sys.argv[1:] if word != "--back"])
while "--back" in sys.argv and os.sched_getaffinity(0) != given:
    if time.monotonic() > until:
        sys.exit(5)
    time.sleep(0.01)

"""task-spooler at work: ``python spooler.py TSP UNITS SLOTS COMMAND...``.

A server of its own, by a socket in the current folder; one call of the client per unit, as its
manual says, then a wait for each that is still there, and the end of the server.
"""

import os
import subprocess
import sys
from typing import List


def main() -> int:
    """Queue, wait, end the server; 1 if a unit failed."""
    tsp, units, slots, argv = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    os.environ.update(TS_SOCKET="ts.sock", TMPDIR=os.getcwd(), TS_SLOTS=slots)
    os.environ["TS_MAXFINISHED"] = str(units + 1)
    try:
        jobs = [_queue([tsp, "-n", *argv, str(number)]) for number in range(1, units + 1)]
        # Waiting for the last of them is not enough: one before it may still be at work.
        last = jobs[-2 * int(slots) :] + _unfinished(tsp)
        codes = [subprocess.call([tsp, "-w", job]) for job in last]
        return int(any(codes))
    finally:
        subprocess.call([tsp, "-K"])


def _queue(argv: List[str]) -> str:
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def _unfinished(tsp: str) -> List[str]:
    listed = subprocess.run([tsp, "-l"], stdout=subprocess.PIPE, check=True).stdout.decode()
    rows = [line.split() for line in listed.splitlines()[1:]]
    return [row[0] for row in rows if row[1] != "finished"]


if __name__ == "__main__":
    sys.exit(main())

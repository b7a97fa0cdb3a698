"""``python floor_loop.py UNITS COMMAND...``: what a bare `Popen` costs, with nothing around it.

Two live children, their output to one file, in sessions of their own, exits collected with
`wait4`: the least that any supervisor written in Python must do.
"""

import os
import subprocess
import sys
from typing import Dict


def main() -> int:
    """Run the command so many times, two at a time; 1 if any failed."""
    units, argv = int(sys.argv[1]), sys.argv[2:]
    live: Dict[int, subprocess.Popen[bytes]] = {}
    failed = 0
    with open(os.devnull, "rb") as null, open("children.txt", "ab") as log:
        for number in range(units):
            if len(live) == 2:
                failed += _collect(live)
            child = subprocess.Popen(
                [*argv, str(number)], stdin=null, stdout=log, stderr=log, start_new_session=True
            )
            live[child.pid] = child
        while live:
            failed += _collect(live)
    return 1 if failed else 0


def _collect(live: Dict[int, "subprocess.Popen[bytes]"]) -> bool:
    pid, status, _ = os.wait4(-1, 0)
    live.pop(pid).returncode = status  # or it would be waited for again
    return status != 0


if __name__ == "__main__":
    sys.exit(main())

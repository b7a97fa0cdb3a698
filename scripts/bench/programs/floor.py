"""``python floor.py UNITS SLOTS COMMAND...``: what a bare `Popen` costs, with nothing around it.

So many live children, their output to one file, in sessions of their own, exits collected with
`wait4`: the least that any supervisor written in Python must do.
"""

import os
import subprocess
import sys
from typing import Dict


def main() -> int:
    """Run the command so many times, so many at a time; 1 if any failed."""
    units, slots, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    live: Dict[int, subprocess.Popen[bytes]] = {}
    failed = 0
    with open(os.devnull, "rb") as null, open("children.txt", "ab") as log:
        for number in range(1, units + 1):
            if len(live) == slots:
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

"""What a unit does last: it appends its number to a file, so that the units can be counted.

``python tally.py FILE NUMBER`` does nothing else.
"""

import os
import sys


def done(path: str, number: int) -> None:
    """Append one line; lines of units that do so at once stay whole."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{number}\n".encode("ascii"))
    finally:
        os.close(fd)


if __name__ == "__main__":
    done(sys.argv[1], int(sys.argv[2]))

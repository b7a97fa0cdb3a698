"""A process that exchanges two names without a pause, as one does who races with a check."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_AT_CURRENT, _EXCHANGE = -100, 2

# Told "g" it swaps until the next word; then it answers with the number of swaps so far.
_PROGRAM = """
import ctypes, os, select, sys
one, other = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])
exchange = ctypes.CDLL(None).renameat2
swaps, going = 0, False
print("ready", flush=True)
while True:
    if not going or select.select([0], [], [], 0)[0]:
        word = os.read(0, 1)
        if not word:
            break
        going = word == b"g"
        print(swaps, flush=True)
    for _ in range(20):
        swaps += going and exchange(-100, one, -100, other, 2) == 0
"""


def exchange(one: Path, other: Path) -> None:
    """Exchange two names once, in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(one), os.fsencode(other)
    if libc.renameat2(_AT_CURRENT, paths[0], _AT_CURRENT, paths[1], _EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(one))


def can_exchange(folder: Path) -> bool:
    """Whether this system, and the file system of this folder, exchange names."""
    one, other = folder / "exchange-1", folder / "exchange-2"
    one.touch()
    other.touch()
    try:
        exchange(one, other)
    except (OSError, AttributeError):
        return False
    finally:
        one.unlink()
        other.unlink()
    return True


class Swapper:
    """Exchanges two names while it is told to: `go` and `halt`. `swaps` counts what it did."""

    def __init__(self, one: Path, other: Path) -> None:
        self.swaps = 0
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _PROGRAM, str(one), str(other)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._hear()

    def go(self) -> None:
        self._tell(b"g")

    def halt(self) -> None:
        self._tell(b"h")

    def _tell(self, word: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word)
        self.swaps = int(self._hear())

    def _hear(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def __enter__(self) -> "Swapper":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

"""How a process takes a signal: who has a handler of its own for it, and who passes it on.

A process that catches a signal and is no shell listens: what it started is its own business.
Linux tells that in /proc/PID/status (SigCgt, SigIgn); elsewhere every process but a shell is
taken for a listener.
"""

import os
import sys
from typing import NamedTuple, Optional

from procsup.host import procfs

SHELLS = frozenset(("sh", "bash", "dash", "zsh", "ksh", "mksh", "ksh93", "ash", "busybox", "fish"))


class Manner(NamedTuple):
    """What a process does with a signal; None: the system does not tell."""

    catches: Optional[bool]
    ignores: Optional[bool]


_UNKNOWN = Manner(None, None)


def manner_of(pid: int, signum: int) -> Manner:
    """Return what a process does with a signal."""
    if sys.platform != "linux":
        return _UNKNOWN
    caught = ignored = None
    for line in procfs.read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"SigIgn:"):
            ignored = _has(line, signum)
        elif line.startswith(b"SigCgt:"):
            caught = _has(line, signum)
    return Manner(caught, ignored)


def _has(line: bytes, signum: int) -> bool:
    return bool(int(line.split()[1], 16) >> (signum - 1) & 1)


def listens(pid: int, manner: Manner, name: str) -> bool:
    """Tell whether a process answers for what it started; `name` is that of its program."""
    if is_shell(pid, name):
        return False
    return manner.catches is not False


def is_shell(pid: int, name: str) -> bool:
    """Tell whether a process is a shell: by its program, since a script has a name of its own."""
    return program_of(pid) in SHELLS or name.lstrip("-") in SHELLS


def program_of(pid: int) -> str:
    """Return the file name of the program that a process executes; empty if it is not told."""
    if sys.platform != "linux":
        return ""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).partition(" (deleted)")[0]
    except OSError:
        return ""  # it is gone, or somebody else's

"""Finds the processes that hold a lock on a file, which is fewer than have it open (Linux)."""

import os
import sys
from typing import List, NamedTuple

from procsup.host import procfs
from procsup.host.files import AnyPath


class Holder(NamedTuple):
    """A process that holds the lock, and the beginning of its command line."""

    pid: int
    command: str


def list_holders(path: AnyPath) -> List[Holder]:
    """Return the living processes that hold a lock on this file, as far as we may see them.

    Only root sees those of other users. On systems other than Linux none is found.
    """
    if sys.platform != "linux":
        return []
    try:
        wanted = os.stat(path)
    except OSError:
        return []
    return [
        Holder(pid, procfs.read_command(pid))
        for pid in procfs.list_pids()
        if pid != os.getpid() and _holds(pid, wanted)
    ]


def _holds(pid: int, wanted: os.stat_result) -> bool:
    for fd, status in procfs.open_files(pid):
        if os.path.samestat(status, wanted) and procfs.has_lock(pid, fd):
            return True
    return False


def format_look_command(path: AnyPath) -> str:
    """Return the command that shows who holds a lock on this file, or has it open."""
    if sys.platform == "linux":
        return f"lslocks, or fuser -v {os.fspath(path)}"
    return f"lsof {os.fspath(path)}" if sys.platform != "win32" else "resmon.exe"

"""Walks over trees of processes, stops them and kills them.

The guard uses it too, so this module imports little.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from procsup.host import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Collection, Iterable, List, Optional, Set, Tuple

if sys.platform == "win32":
    STOP, KILL = 19, 9  # Windows has no such signals; psutil is used there
else:
    STOP, KILL = int(signal.SIGSTOP), int(signal.SIGKILL)
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Make orphaned descendants our children (prctl(2): Linux 3.4); False if it cannot be."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def walk(
    roots: Iterable[int],
    *,
    signum: int = 0,
    without: Collection[int] = (),
    scan: Optional[procfs.Scan] = None,
) -> List[procfs.Process]:
    """Return all live processes of these trees, roots included. The roots' pids must be pinned.

    `signum` is sent to each before its children are read (Linux): a stopped process cannot fork.
    Processes below the pids in `without` are left out; `scan` as in `procfs.list_descendants`.
    """
    roots = list(roots)
    if sys.platform == "linux":
        mains = [procfs.hit(root, signum, lambda _process: True) for root in roots]
        below = procfs.list_descendants(*roots, without=without, signum=signum, scan=scan)
        found = {process.pid: process for process in (*mains, *below) if process is not None}
        return [process for process in found.values() if not process.dead]
    from procsup.host import machine

    families = dict(pair for root in roots for pair in machine.list_family(root))
    return [procfs.Process(pid, parent, "?", 0) for pid, parent in families.items()]


def bring_to_rest(
    find: Callable[[], List[procfs.Process]], deadline: float
) -> List[procfs.Process]:
    """Call `find`, which stops what it finds, until it finds no new process; return the live ones.

    So even a tree that forks faster than it could be killed comes to rest. It returns at the
    monotonic time `deadline` at the latest.
    """
    stopped: Set[Tuple[int, int]] = set()
    while True:
        alive = {(process.pid, process.start_ticks): process for process in find()}
        if stopped.issuperset(alive) or time.monotonic() > deadline:
            return list(alive.values())
        stopped.update(alive)


def send(process: procfs.Process, signum: int = KILL) -> bool:
    """Send a signal to exactly that process; False if it has ended, or is another user's."""
    try:
        if sys.platform == "linux":
            return procfs.send_signal(process, signum)
        os.kill(process.pid, signum)
    except (PermissionError, ProcessLookupError):
        return False  # it runs as another user (messages name it if it stays), or has ended
    return True


if sys.platform != "win32":

    def send_to_group(leader: int) -> None:
        """Kill the group of an unreaped leader; on macOS a group of zombies answers EPERM."""
        try:
            os.killpg(leader, KILL)
        except (PermissionError, ProcessLookupError):
            pass  # the group is empty


def list_pids() -> List[int]:
    """Return the pids of all processes that can be seen."""
    if sys.platform == "linux":
        return procfs.list_pids()
    from procsup.host import machine

    return machine.list_pids()


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    from procsup.host import machine

    process = machine.look(pid)
    return process is not None and not process.dead


def read_name(pid: int) -> str:
    """Return the name of a process' program; empty if it has ended."""
    if sys.platform == "linux":
        return procfs.read_name(pid)
    from procsup.host import machine

    return machine.read_name(pid)

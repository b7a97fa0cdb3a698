"""Walks over process trees, and the signals sent on the way (POSIX)."""

import os
import signal
import sys
import time
from typing import Dict, Iterable, List, Set, Tuple

from procsup.host import procfs

assert sys.platform != "win32"


def walk(roots: Iterable[int]) -> List[procfs.Process]:
    """Return all that live in these trees. The roots are our children: their pids are pinned."""
    found: Dict[int, procfs.Process] = {}
    for root in list(roots):
        for process in _with_descendants(root):
            if not process.dead:
                found[process.pid] = process
    return list(found.values())


def _with_descendants(root: int) -> List[procfs.Process]:
    if sys.platform == "linux":
        main = procfs.look(root)
        return ([] if main is None else [main]) + procfs.descendants(root)
    from procsup.host import machine

    return [procfs.Process(pid, parent, "?", 0) for pid, parent in machine.family(root)]


def stop_all(roots: Set[int]) -> List[procfs.Process]:
    """Stop whole trees, walking them until nothing new appears; return what is in them."""
    stopped: Set[Tuple[int, int]] = set()
    limit = time.monotonic() + 1.0
    while True:
        alive = walk(roots)
        fresh = [p for p in alive if (p.pid, p.start_ticks) not in stopped]
        if not fresh or time.monotonic() > limit:
            return alive
        for process in fresh:
            send(process, signal.SIGSTOP)
            stopped.add((process.pid, process.start_ticks))


def send(process: procfs.Process, signum: int = signal.SIGKILL) -> None:
    """Send a signal to that very process; nothing if it is gone, or somebody else's."""
    try:
        if sys.platform == "linux":
            procfs.send_signal(process, signum)
        else:
            os.kill(process.pid, signum)
    except (PermissionError, ProcessLookupError):
        pass  # it runs as somebody else (and is named if it stays), or is gone


def kill_by_pid(pid: int) -> None:
    """Kill a process whose pid is pinned; nothing if it is gone, or somebody else's."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (PermissionError, ProcessLookupError):
        pass  # if it stays, it is found again


def send_to_group(leader: int) -> None:
    """Kill the group of an unreaped leader; on macOS a group of zombies answers EPERM."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (PermissionError, ProcessLookupError):
        pass  # nobody is left in it


def everyone() -> List[int]:
    """Return the pids of all processes that can be seen."""
    if sys.platform == "linux":
        return procfs.everyone()
    from procsup.host import machine

    return machine.everyone()


def lives(pid: int) -> bool:
    """Tell whether a process is there, and more than a zombie."""
    from procsup.host import machine

    process = machine.look(pid)
    return process is not None and not process.dead


def name_of(pid: int) -> str:
    """Return the name of a process' program; empty if it is gone."""
    if sys.platform == "linux":
        return procfs.name_of(pid)
    from procsup.host import machine

    return machine.name_of(pid)


def ticks_now() -> int:
    """Return the time in the unit of `procfs.Process.start_ticks`; 0 where there are none."""
    if sys.platform != "linux":
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))

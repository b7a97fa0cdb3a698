"""Processes that we started, and what became of them: a watch over them, and their end."""

import contextlib
import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import Iterator, List, Tuple

_PR_SET_CHILD_SUBREAPER = 36
_FIRST_LOOK_S, _LOOK_S = 0.02, 0.25
_PATIENCE_S = 2.0  # for what a command leaves behind to end by itself
_GIVE_UP_S = 20.0


def become_subreaper() -> None:
    """Make orphans among our descendants our children, where the system can (Linux)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (AttributeError, OSError):
        pass  # elsewhere a daemon's CPU time is not counted, and it is found by its group only


def kill_group(pid: int) -> None:
    """Kill what is left of the session of a child that we started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nothing is left; macOS says EPERM of zombies


def end_strays() -> float:
    """Wait for what commands left behind, kill what stays, and return its CPU seconds.

    To be called while no child of ours is to live.
    """
    began, cpu_s = time.monotonic(), 0.0
    while time.monotonic() - began < _GIVE_UP_S:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid:
            cpu_s += usage.ru_utime + usage.ru_stime
            continue
        if time.monotonic() - began > _PATIENCE_S:
            for stray in children(os.getpid()):
                _kill(stray)
        time.sleep(0.002)
    return cpu_s


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # ended by itself


def children(pid: int) -> List[int]:
    """Return the children of a process; none where the system does not list them."""
    found: List[int] = []
    for thread in _threads(pid):
        with contextlib.suppress(OSError):  # the thread or the process has ended
            found += map(int, Path(f"{thread}/children").read_text(encoding="ascii").split())
    return found


def _threads(pid: int) -> List[str]:
    folder = f"/proc/{pid}/task"
    try:
        return [f"{folder}/{thread}" for thread in os.listdir(folder)]
    except OSError:
        return []  # it has ended, or there is no such folder on this system


def descendants(pid: int) -> Iterator[int]:
    """Yield all that descend from a process, as far as they are seen while walking."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def own_peak_bytes() -> int:
    """Return the most memory that this process has had."""
    import resource  # POSIX only; what is pure here is tested everywhere

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if os.uname().sysname == "Darwin" else peak * 1024


def memory_of(pid: int) -> Tuple[int, int]:
    """Return a process's memory now, and the most it had, in bytes; zeros if it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in text.splitlines() if line.startswith("Vm"))
    sizes = [int(fields.get(key, "0 kB").split()[0]) * 1024 for key in ("VmRSS", "VmHWM")]
    return sizes[0], sizes[1]


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that the threads of a live process have had; 0 if unknown."""
    total_ns = 0
    for thread in _threads(pid):
        with contextlib.suppress(OSError):  # the thread has ended: its part is lost
            total_ns += int(Path(f"{thread}/schedstat").read_text(encoding="ascii").split()[0])
    return total_ns / 1e9


class Watch:
    """A thread that samples the memory of all our descendants, and ends them when time is up.

    Without `sampling` it does nothing until then.
    """

    def __init__(self, limit_s: float, pid: int, *, sampling: bool = True) -> None:
        self._sampling = sampling
        self.largest_bytes = self.tree_bytes = 0
        self.overdue = False
        self._pid = pid
        self._deadline = time.monotonic() + limit_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _keep_looking(self) -> None:
        pause_s = _FIRST_LOOK_S
        while not self._over.wait(pause_s):
            pause_s = min(_LOOK_S, pause_s * 2)
            if self._sampling:
                self._sample()
            if time.monotonic() > self._deadline:
                self.overdue = True
                self._end()

    def _sample(self) -> None:
        sizes = [memory_of(pid) for pid in descendants(os.getpid())]
        self.tree_bytes = max(self.tree_bytes, sum(now for now, _ in sizes))
        self.largest_bytes = max([self.largest_bytes, *(most for _, most in sizes)])

    def _end(self) -> None:
        doomed = list(descendants(os.getpid()))
        kill_group(self._pid)
        for pid in doomed:
            _kill(pid)

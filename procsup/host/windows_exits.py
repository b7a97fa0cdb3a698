"""Detects the end of children on Windows: a waiting thread per child."""

import _winapi
import sys
import threading
from queue import Empty, SimpleQueue
from typing import Dict, List, Optional

from procsup.host.clock import LONGEST_WAIT_S
from procsup.host.processes import ExitNotifier, Wakeup

assert sys.platform == "win32"

_SYNCHRONIZE = 0x100000


class WindowsExits:
    """A waiting thread per child, and a queue."""

    def __init__(self) -> None:
        self._ended: SimpleQueue[Optional[int]] = SimpleQueue()  # None: `wake` was called
        self._threads: Dict[int, threading.Thread] = {}

    def watch(self, pid: int) -> None:
        """Report the end of this child."""
        handle = _winapi.OpenProcess(_SYNCHRONIZE, False, pid)
        thread = threading.Thread(target=self._wait_for, args=(pid, handle), daemon=True)
        self._threads[pid] = thread
        thread.start()

    def _wait_for(self, pid: int, handle: int) -> None:
        _winapi.WaitForSingleObject(handle, _winapi.INFINITE)
        _winapi.CloseHandle(handle)
        self._ended.put(pid)

    def forget(self, pid: int) -> None:
        """Stop watching."""
        self._threads.pop(pid, None)

    def wait(self, timeout_s: Optional[float]) -> Wakeup:
        """Block until there is a notice."""
        pids: List[int] = []
        called = False
        limit_s = LONGEST_WAIT_S if timeout_s is None else min(timeout_s, LONGEST_WAIT_S)
        try:
            item = self._ended.get(timeout=max(0.0, limit_s))
            while True:
                if item is None:
                    called = True
                elif item in self._threads:
                    pids.append(item)
                item = self._ended.get_nowait()
        except Empty:
            return Wakeup(pids, called)

    def wake(self) -> None:
        """Make `wait` return."""
        self._ended.put(None)

    def close(self) -> None:
        """Release everything."""
        for thread in self._threads.values():
            thread.join(0.1)


def exit_notifier(way: str = "") -> ExitNotifier:  # noqa: ARG001 - there is but one
    """Return the notifier of this system."""
    return WindowsExits()

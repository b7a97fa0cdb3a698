"""Detects the end of the program that owns the run.

On every system the pipe at stdin closes when the program ends. If the program forked meanwhile,
its children hold the pipe, too; and a pipe that is full shows no end. Then the program's pidfd
(Linux), process handle (Windows) or kqueue event (macOS, BSD) does. Between the lines of a plan,
and after it, a dot is a request to end: it replaces SIGTERM where that could get lost.
"""

import os
import select
import signal
import sys
import threading
from typing import Callable, Iterator, Optional

ASK_TO_END = b"."
_CHUNK_BYTES = 1 << 16


class ParentWatch:
    """Watches for the end of the program `pid`, on separate threads, from its construction on.

    Until `set_callback` is called, that end stops us as SIGTERM does: reading a plan may take long,
    and no unit was started yet.
    """

    def __init__(self, pid: int) -> None:
        self.is_gone = False
        self._on_broken: Callable[[], None] = _ask_to_end
        self._lock = threading.Lock()
        self._read_ahead = b""
        wait = _open_wait(pid)
        self.is_sure = wait is not None  # its end is noticed also while stdin is not read
        if wait is not None:
            self._watch(wait)

    def watch_stdin(self, read: Callable[[], bool] = lambda: True) -> None:
        """Watch stdin, too, whose other end that program holds; no other code may read it.

        `read` is called first, on the same thread: it may use `lines` up to the last one. If it
        returns false before that, nothing more is read.
        """
        self._watch(lambda: read() and self._read_to_end())

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of stdin; data read beyond the last yielded line is kept.

        A request to end may come between two lines. A last line without its end is dropped.
        """
        while True:
            data = os.read(0, _CHUNK_BYTES)
            if not data:
                self._read_ahead = b""
                return
            *lines, self._read_ahead = (self._read_ahead + data).split(b"\n")
            for whole in lines:
                line = whole.lstrip(ASK_TO_END)
                for _request in range(len(whole) - len(line)):
                    _ask_to_end()
                yield line + b"\n"

    def set_callback(self, on_broken: Callable[[], None]) -> None:
        """Set the callback; it is called at once if the program has ended already."""
        with self._lock:
            self._on_broken = on_broken
        if self.is_gone:
            on_broken()

    def _watch(self, wait: Callable[[], bool]) -> None:
        def watch() -> None:
            if wait():
                self._break()

        threading.Thread(target=watch, name="procsup-parent-watch", daemon=True).start()

    def _read_to_end(self) -> bool:
        asked = self._read_ahead
        try:
            while True:
                for _byte in asked:
                    _ask_to_end()
                asked = os.read(0, _CHUNK_BYTES)
                if not asked:
                    break
        except OSError:
            pass  # not a pipe, or broken: no process holds the other end
        return True

    def _break(self) -> None:
        with self._lock:
            self.is_gone = True
            self._on_broken()


def _ask_to_end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


if sys.platform == "linux":
    from procsup.host.exits import open_pidfd

    def _open_wait(pid: int) -> Optional[Callable[[], bool]]:
        """Return a function that returns true when that process has ended; None if it cannot be."""
        try:
            fd = open_pidfd(pid)
        except ProcessLookupError:
            return lambda: True
        except (OSError, AttributeError):
            return None  # this system has no pidfd: only the pipe is watched

        def wait() -> bool:
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            poller.poll()
            os.close(fd)
            return True

        return wait

elif sys.platform == "win32":
    import _winapi

    _SYNCHRONIZE = 0x100000

    def _open_wait(pid: int) -> Optional[Callable[[], bool]]:
        """Return a function that returns true when that process has ended; None if it cannot be."""
        try:
            handle = _winapi.OpenProcess(_SYNCHRONIZE, False, pid)
        except OSError:
            return None  # only the pipe is watched

        def wait() -> bool:
            _winapi.WaitForSingleObject(handle, _winapi.INFINITE)
            _winapi.CloseHandle(handle)
            return True

        return wait

else:

    def _open_wait(pid: int) -> Optional[Callable[[], bool]]:
        """Return a function that returns true when that process has ended; None if it cannot be."""
        notice = select.kevent(
            pid,
            select.KQ_FILTER_PROC,
            select.KQ_EV_ADD | select.KQ_EV_ONESHOT,
            select.KQ_NOTE_EXIT,
        )
        queue = select.kqueue()
        try:
            queue.control([notice], 0, 0)
        except ProcessLookupError:
            return lambda: True
        except OSError:
            queue.close()
            return None  # only the pipe is watched

        def wait() -> bool:
            while not queue.control(None, 1, None):
                pass  # it was suspended
            queue.close()
            return True

        return wait

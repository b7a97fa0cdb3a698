"""What ties a run to the program that started it: the other end of stdin, and its process.

The pipe tells on every system that the program is gone. Where that program forked meanwhile, its
children hold the pipe too; then its pidfd tells (Linux).
"""

import os
import sys
import threading
from typing import Callable, List

_CHUNK_BYTES = 4096


class Tie:
    """Watches for the end of the program `pid` on a thread of its own; `on_broken` is called then.

    Stdin (number 0) must be the pipe whose other end that program holds.
    """

    def __init__(self, pid: int, *, on_broken: Callable[[], None]) -> None:
        self.is_broken = False
        self._on_broken = on_broken
        self._thread = threading.Thread(
            target=self._watch, args=(pid,), name="procsup-tie", daemon=True
        )
        self._thread.start()

    def _watch(self, pid: int) -> None:
        _wait_until_gone(pid)
        self.is_broken = True
        self._on_broken()


def _read_to_end() -> None:
    try:
        while os.read(0, _CHUNK_BYTES):
            pass
    except OSError:
        pass  # it was no pipe, or is broken: nobody holds the other end


if sys.platform == "linux":

    def _wait_until_gone(pid: int) -> None:
        import select

        from procsup.host.exits import open_pidfd

        watched: List[int] = [0]
        try:
            watched.append(open_pidfd(pid))
        except ProcessLookupError:
            return
        except (OSError, AttributeError):
            pass  # this system has none: the pipe alone must do
        poller = select.poll()
        for fd in watched:
            poller.register(fd, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poller.poll()]
            if any(fd != 0 for fd in ready) or not os.read(0, _CHUNK_BYTES):
                break
        for fd in watched[1:]:
            os.close(fd)

else:

    def _wait_until_gone(_pid: int) -> None:
        _read_to_end()

"""Exchanges lines with another process by a pair of pipes, with a thread at each end of both.

Neither side ever waits for the other: a thread reads incoming lines at once, and another thread
writes outgoing lines from a queue.
"""

import os
import subprocess
import threading
from functools import partial
from typing import Callable, List, Mapping, Optional

from procsup.host.boot import start_own_child
from procsup.host.threads import Pool, ResultQueue

_CHUNK_BYTES = 1 << 16


class Wire:
    """One end of the pair. `is_over`: no more lines arrive, and all that arrived can be taken.

    `is_broken`: the other side does not read any more. `close` closes the descriptors; `finish`
    closes the outgoing one, if it is called first.
    """

    def __init__(self, reading_fd: int, writing_fd: int) -> None:
        self.is_over = False
        self.is_broken = False
        self._reading_fd = reading_fd
        self._writing_fd = writing_fd
        self._early: List[bytes] = []  # whole lines that arrived with the first one
        self._rest: List[bytes] = []  # pieces of a line whose end has not arrived
        self._wake: Callable[[], None] = _sleep_on
        self._came: ResultQueue[List[bytes]] = ResultQueue(
            self._wake_up
        )  # lines that were written together
        self._writer = Pool("procsup-tell", 1)
        self._reader = threading.Thread(target=self._read_on, name="procsup-hear", daemon=True)

    def wait_for_first_line(self) -> bytes:
        """Wait for the first line, which `take` does not return; empty if none arrives."""
        while not self._early:
            lines = self._read()
            if lines is None:
                return b""
            self._early = lines
        return self._early.pop(0)

    def listen(self, wake: Callable[[], None]) -> None:
        """Start to read; `wake` is called, on another thread, for each arrival."""
        self._wake = wake
        self._reader.start()

    def take(self) -> List[bytes]:
        """Return the lines that arrived since the last call, without their newlines."""
        return [line for lines in self._came.take() for line in lines]

    def tell(self, lines: bytes) -> None:
        """Queue whole lines for writing; returns at once."""
        self._writer.add(partial(self._write, lines))

    def finish(self) -> None:
        """Close the outgoing pipe as soon as all queued lines are written; returns at once."""
        self._writer.add(self._close_writing)
        self._writer.add(self._writer.close)

    def wait_until_told(self) -> None:
        """Return when all queued lines are written or the other side has ended; call it last.

        The outgoing pipe stays open: its end shows that this process has ended.
        """
        told = threading.Event()
        self._writer.add(told.set)
        told.wait()

    def close(self, *, timeout_s: float) -> None:
        """Release everything; descriptors that a thread still uses after `timeout_s` stay open."""
        self._reader.join(timeout_s)
        if not self._reader.is_alive():
            os.close(self._reading_fd)

    def _read_on(self) -> None:
        lines: Optional[List[bytes]] = self._early
        while lines is not None:
            if lines:
                self._came.put(lines)
            lines = self._read()
        self.is_over = True  # a line without its newline is incomplete
        self._wake_up()

    def _read(self) -> Optional[List[bytes]]:
        """Wait for more; return the lines that are whole now, None at the end."""
        try:
            data = os.read(self._reading_fd, _CHUNK_BYTES)
        except OSError:
            return None  # broken: it counts as the end
        if not data:
            return None
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            self._rest.append(data)
            return []
        lines = b"".join([*self._rest, head]).split(b"\n")
        self._rest = [tail]
        return lines

    def _write(self, lines: bytes) -> None:
        left = memoryview(lines)
        try:
            while left and not self.is_broken:
                left = left[os.write(self._writing_fd, left) :]
        except OSError:
            self.is_broken = True
            self._wake_up()

    def _close_writing(self) -> None:
        fd, self._writing_fd = self._writing_fd, -1
        if fd >= 0:
            os.close(fd)

    def _wake_up(self) -> None:
        self._wake()


class WireProcess(Wire):
    """The near end of a process that we start beside us, in its own session.

    It executes `entry` (see `boot.make_command_line`) with this environment. Its stdin ends when
    this process ends, even by SIGKILL. OSError if it cannot be started.
    """

    def __init__(self, entry: str, environment: Mapping[str, str]) -> None:
        self._child = start_own_child([], entry=entry, stderr=None, environment=environment)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        super().__init__(
            *(os.dup(pipe.fileno()) for pipe in (self._child.stdout, self._child.stdin))
        )
        self._child.stdin.close()
        self._child.stdout.close()

    @property
    def pid(self) -> int:
        """Its pid (the pid of its guard, if it has one)."""
        return self._child.pid

    def close(self, *, timeout_s: float) -> None:
        """Close the wire, and reap the process if it ends in this time."""
        super().close(timeout_s=timeout_s)
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass  # it lives on, under its guard


def open_standard_wire() -> Wire:
    """Return the far end: our stdin and stdout. From now on prints go to stderr."""
    wire = Wire(os.dup(0), os.dup(1))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return wire


def _sleep_on() -> None:
    """Do nothing: `listen` was not called yet."""

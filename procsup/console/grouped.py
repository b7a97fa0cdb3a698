"""What units wrote, passed on whole: one unit after another, and never two mixed.

Stdout of a unit goes to stdout and its stderr to stderr when its end is on disk, with `in_order`
not before those of the units in front of it. A thread of its own writes, so that a reader that
stalls never stalls the run; one that is gone ends it (`on_gone`).
"""

import os
import threading
import time
from queue import SimpleQueue
from typing import Callable, Dict, Iterator, List, Mapping, Optional

from procsup.core.events import Settled
from procsup.core.records import End
from procsup.core.tally import Summary

SIGPIPE = 13  # the number on every POSIX system; Windows has none, and exits with 128 + 13
_CHUNK_BYTES = 1 << 16
_RETRY_S = 0.02
_JOIN_S = 0.5


class GroupedOutput:
    """A watcher that writes what units wrote; `finish` returns when all is written.

    `order` gives each unit's place, if they are to come in order. `gone` is true once stdout has
    no reader any more; `problem` says why else it could not be written.
    """

    def __init__(
        self,
        directory: str,
        on_gone: Callable[[], None],
        *,
        order: Optional[Mapping[str, int]] = None,
    ) -> None:
        self.gone = False
        self.problem = ""
        self._directory = directory
        self._on_gone = on_gone
        self._order = order
        self._next = 0
        self._held: Dict[int, End] = {}
        self._ends: SimpleQueue[Optional[End]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="procsup-output", daemon=True)
        self._thread.start()

    def settled(self, order: Settled) -> None:
        """A unit's end is on disk: what it wrote may be passed on."""
        if order.end.final:
            self._ends.put(order.end)

    def show(self, summary: Summary) -> None:
        """Show nothing of the run itself."""

    def close(self) -> None:
        """Take no more ends."""
        self._ends.put(None)

    def finish(self) -> None:
        """Return when everything is written, or cannot be; Ctrl-C is heard meanwhile."""
        while self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while True:
            end = self._ends.get()
            if end is None:
                break
            for ready in self._due(end):
                self._pass_on(ready)
        for place in sorted(self._held):  # those before them have no end: the run was stopped
            self._pass_on(self._held[place])

    def _due(self, end: End) -> Iterator[End]:
        if self._order is None:
            yield end
            return
        self._held[self._order.get(end.unit, self._next)] = end
        while self._next in self._held:
            yield self._held.pop(self._next)
            self._next += 1

    def _pass_on(self, end: End) -> None:
        for fd, path in ((1, end.stdout_path), (2, end.stderr_path)):
            if path is not None and not (fd == 1 and (self.gone or self.problem)):
                self._copy(os.path.join(self._directory, path), fd)

    def _copy(self, path: str, fd: int) -> None:
        try:
            with open(path, "rb") as file:
                for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
                    self._write(fd, chunk)
        except OSError as error:
            if fd == 1:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.gone = isinstance(error, BrokenPipeError)
        self.problem = "" if self.gone else f"stdout: {error.strerror or error}"
        if self.gone:
            self._on_gone()

    def _write(self, fd: int, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:  # noqa: PERF203 - it waits
                time.sleep(_RETRY_S)  # somebody made the terminal that we share non-blocking


__all__: List[str] = ["SIGPIPE", "GroupedOutput"]

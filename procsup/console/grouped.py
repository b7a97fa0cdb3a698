"""Prints the output of units, one unit after another, and never two mixed.

Stdout of a unit goes to stdout and its stderr to stderr when its end is on disk; with `order` not
before the units before it are printed. A separate thread writes, so a reader that stalls never
delays the run; if the reader closes the pipe, `on_gone` is called, which ends the run.
"""

import errno
import io
import os
import sys
import threading
from functools import partial
from queue import SimpleQueue
from typing import Callable, Dict, Iterator, Mapping, Optional

from procsup.console.terminal import write_whole
from procsup.core.events import Settled
from procsup.core.outcome import Part
from procsup.core.plan.summary import Summary
from procsup.core.records import End
from procsup.host.logfiles import LogPlaces, open_log
from procsup.host.shortages import PAUSES_S, retry_on_shortage

_CHUNK_BYTES = 1 << 16
_JOIN_S = 0.5
_PAUSES_S = (*PAUSES_S, *[2.0] * 30)  # while descriptors are short: for a minute


class GroupedOutput:
    """A watcher that prints the output of units; `finish` returns when all is written.

    `order` has each unit's position, if they are printed in order. `gone` is true once stdout has
    no reader any more; `problem` describes another error of writing.
    """

    def __init__(
        self,
        places: LogPlaces,
        on_gone: Callable[[], None],
        *,
        order: Optional[Mapping[str, int]] = None,
    ) -> None:
        self.gone = False
        self.problem = ""
        self._places = places
        self._on_gone = on_gone
        self._order = order
        self._next = 0
        self._held: Dict[int, End] = {}
        self._ends: SimpleQueue[Optional[End]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="procsup-output", daemon=True)
        self._thread.start()

    def note_end(self, order: Settled) -> None:
        """A unit's end is on disk: its output may be printed."""
        if order.end.final:
            self._ends.put(order.end)

    def show(self, summary: Summary) -> None:
        """Show nothing of the run itself."""

    def close(self) -> None:
        """Take no more ends."""
        self._ends.put(None)

    def finish(self) -> None:
        """Return when everything is written, or cannot be; Ctrl-C works meanwhile."""
        while self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while True:
            end = self._ends.get()
            if end is None:
                break
            for ready in self._take_due(end):
                self._pass_on(ready)
        for place in sorted(self._held):  # units before them have no end: the run was stopped
            self._pass_on(self._held[place])

    def _take_due(self, end: End) -> Iterator[End]:
        if self._order is None:
            yield end
            return
        self._held[self._order.get(end.unit, self._next)] = end
        while self._next in self._held:
            yield self._held.pop(self._next)
            self._next += 1

    def _pass_on(self, end: End) -> None:
        if end.stdout_path is not None and not (self.gone or self.problem):
            try:
                self._copy(end.stdout_path, end.stdout_part, 1)
            except OSError as error:
                self._give_up(error)
        if end.stderr_path is not None:
            try:
                self._copy(end.stderr_path, end.stderr_part, 2)
            except OSError:
                pass  # stderr is only status; the log file has it, too

    def _copy(self, path: str, part: Optional[Part], fd: int) -> None:
        stream = io.FileIO(fd, "w", closefd=False)  # no lock, which a stalled write would hold
        # Descriptors may be short for a while: the run's own units use them.
        log = partial(open_log, path, part, **self._places._asdict())
        with retry_on_shortage(log, pauses_s=_PAUSES_S) as file:
            for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
                if fd == 1 and sys.stdout is None:  # its number is that of the null device
                    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
                write_whole(stream, chunk)

    def _give_up(self, error: OSError) -> None:
        self.gone = isinstance(error, BrokenPipeError)
        what = "stdout" if error.filename is None else os.fspath(error.filename)
        self.problem = "" if self.gone else f"{what}: {error.strerror or error}"
        if self.gone:
            self._on_gone()

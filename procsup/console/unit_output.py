"""Prints the output of units: one unit after another, or line by line; and who failed.

Stdout of a unit goes to stdout and its stderr to stderr. A separate thread writes, so a reader that
stalls never delays the run; if the reader closes the pipe, `on_gone` is called, which ends the run.
All is read from the logs, so none of it is held in memory.
"""

import os
import sys
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Callable, List, Optional, Sequence, Union

from msgspec import Struct

from procsup.console.bar import BarWatcher
from procsup.console.copying import STDERR_FD, STDOUT_FD, LogCopy, Streams
from procsup.console.terminal import is_terminal
from procsup.core.events import Settled, Start
from procsup.core.outcome import AttemptId
from procsup.core.plan.summary import Summary
from procsup.core.records import End
from procsup.core.spec import UnitSpec
from procsup.core.text import make_visible
from procsup.host.logfiles import LogPlaces
from procsup.store.rundir import RunDir

MOST_FAILURES = 20
_JOIN_S = 0.5
_LOOK_S = 0.1  # how often logs that grow are looked at
_REDRAW_S = 0.05  # the least time between two outputs above a bar


class Manner(Struct, frozen=True):
    """How output is printed. By default all output of a unit is printed when it ends.

    `in_order`: that of the starts. `by_line`: whole lines, as they come. `tagged`: each line has
    the unit's inputs and a tab before it. `silent`: only failures are printed.
    """

    in_order: bool = False
    by_line: bool = False
    tagged: bool = False
    silent: bool = False


class _Begun(Struct, frozen=True):
    attempt: AttemptId
    stage: str
    tag: bytes


class _Unit:
    """A unit that has started and is not printed to its end."""

    __slots__ = ("failure", "has_ended", "logs", "tag")

    def __init__(self, tag: bytes) -> None:
        self.tag = tag
        self.logs: List[LogCopy] = []  # of the attempt that runs, or has ended
        self.has_ended = False
        self.failure: Optional[End] = None


class UnitOutput:
    """A watcher that prints the output of units; `finish` returns when all is written.

    `describe` returns the lines that tell of a failure, after its output. `gone` is true once
    stdout has no reader any more; `problem` describes another error of writing. If there is a
    `bar`, it is not on the screen while something is written there.
    """

    def __init__(
        self,
        places: LogPlaces,
        on_gone: Callable[[], None],
        describe: Callable[[End], Sequence[str]],
        manner: Manner,
        *,
        bar: Optional[BarWatcher] = None,
    ) -> None:
        self.gone = False
        self.problem = ""
        self._rundir = RunDir(places.run)
        self._on_gone = on_gone
        self._describe = describe
        self._manner = manner
        self._bar = bar
        self._is_bar_hidden = False
        self._is_screen = {STDOUT_FD: is_terminal(sys.stdout), STDERR_FD: True}
        by_line = manner.by_line or manner.tagged
        self._streams = Streams(places, by_line=by_line, before=self._hide_bar)
        self._units: OrderedDict[str, _Unit] = OrderedDict()  # in the order of their starts
        self._failures = 0
        self._news: SimpleQueue[Union[_Begun, End, None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="procsup-output", daemon=True)
        self._thread.start()

    # --- called by the loop ------------------------------------------------------------------

    def note_start(self, order: Start) -> None:
        """An attempt is started."""
        if self._bar is not None:
            self._bar.note_start(order)
        unit = order.task.unit
        tag = _make_tag(unit) if self._manner.tagged else b""
        self._news.put(_Begun(order.attempt, unit.stage, tag))

    def note_end(self, order: Settled) -> None:
        """A unit's end is on disk: its output may be printed."""
        if self._bar is not None:
            self._bar.note_end(order)
        self._news.put(order.end)

    def show(self, summary: Summary) -> None:
        """Pass the numbers to the bar."""
        if self._bar is not None:
            self._bar.show(summary)

    def close(self) -> None:
        """Take no more ends."""
        self._news.put(None)
        if self._bar is not None:
            self._bar.close()

    def finish(self) -> None:
        """Return when everything is written, or cannot be; Ctrl-C works meanwhile."""
        while self._thread.is_alive():
            self._thread.join(_JOIN_S)

    # --- on its own thread -------------------------------------------------------------------

    def _run(self) -> None:
        is_open = True
        while is_open:
            news = self._collect()
            is_open = None not in news
            try:
                for one in news:
                    self._take(one)
                if self._manner.by_line:
                    self._print_lines()
                if not is_open:  # units before them have no end: the run was stopped
                    self._print_all_ended()
            finally:
                self._show_bar()

    def _collect(self) -> List[Union[_Begun, End, None]]:
        """Wait for news, at most until growing logs are looked at again."""
        looks = self._manner.by_line and bool(self._units)
        try:
            news = [self._news.get(timeout=_LOOK_S if looks else None)]
        except Empty:
            return []
        return news + [self._news.get() for _ in range(self._news.qsize())]

    def _take(self, news: Union[_Begun, End, None]) -> None:
        if isinstance(news, _Begun):
            unit = self._units.setdefault(news.attempt.unit, _Unit(news.tag))
            unit.has_ended, unit.failure = False, None  # it may be retried while it waits
            paths = self._rundir.make_log_paths(news.attempt, news.stage)
            unit.logs = [LogCopy(STDOUT_FD, paths[0]), LogCopy(STDERR_FD, paths[1])]
        elif news is not None:
            self._take_end(news)

    def _take_end(self, end: End) -> None:
        unit = self._units.get(end.unit)
        if unit is None:  # it was never started
            self._tell_failure(end)
            return
        _name_ended(unit.logs, end)
        if not end.final:
            if self._manner.by_line and self._is_due(end.unit):
                self._print_logs(unit)
            return
        unit.has_ended = True
        unit.failure = end if end.verdict.is_failure else None
        if not self._manner.in_order:
            self._print_end(end.unit)
        while self._manner.in_order and self._units:
            name, first = next(iter(self._units.items()))
            if not first.has_ended:
                break
            self._print_end(name)

    def _is_due(self, name: str) -> bool:
        return not self._manner.in_order or next(iter(self._units)) == name

    def _print_lines(self) -> None:
        for name, unit in self._units.items():
            if not self._is_due(name):
                break
            if any(log.has_grown() for log in unit.logs):
                self._print_logs(unit, whole_lines=True)

    def _print_all_ended(self) -> None:
        for name, unit in list(self._units.items()):
            if unit.has_ended:
                self._print_end(name)

    def _print_end(self, name: str) -> None:
        unit = self._units.pop(name)
        self._print_logs(unit)
        if unit.failure is not None:
            self._tell_failure(unit.failure)

    def _print_logs(self, unit: _Unit, *, whole_lines: bool = False) -> None:
        for log in unit.logs:
            if self._manner.silent or (log.fd == STDOUT_FD and (self.gone or self.problem)):
                continue
            try:
                self._streams.copy(log, tag=unit.tag, whole_lines=whole_lines)
            except OSError as error:
                if log.fd == STDOUT_FD:  # stderr is only status; the log file has it, too
                    self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.gone = isinstance(error, BrokenPipeError)
        what = "stdout" if error.filename is None else os.fspath(error.filename)
        self.problem = "" if self.gone else f"{what}: {error.strerror or error}"
        if self.gone:
            self._on_gone()

    def _tell_failure(self, end: End) -> None:
        if not end.verdict.is_failure or self._failures > MOST_FAILURES:
            return
        self._failures += 1
        lines = self._describe(end)
        if self._failures > MOST_FAILURES:
            lines = ["more failures are counted, and not shown"]
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        text = "".join(line + "\n" for line in lines)
        with suppress(OSError):  # stderr is only status
            self._streams.write_own(text.encode(encoding, "backslashreplace"))

    # --- the bar -----------------------------------------------------------------------------

    def _hide_bar(self, fd: int) -> None:
        if self._bar is not None and self._is_screen[fd] and not self._is_bar_hidden:
            self._bar.hide()
            self._is_bar_hidden = True

    def _show_bar(self) -> None:
        if self._bar is not None and self._is_bar_hidden:
            with suppress(OSError):
                self._streams.end_lines()
            self._bar.show_again()
            self._is_bar_hidden = False
            time.sleep(_REDRAW_S)


def _make_tag(unit: UnitSpec) -> bytes:
    words: List[str] = []
    for value in unit.parameters.values():
        words += map(str, value) if isinstance(value, (list, tuple)) else [str(value)]
    return os.fsencode(make_visible(" ".join(words)) + "\t")


def _name_ended(logs: Sequence[LogCopy], end: End) -> None:
    """The end names its logs, which have what those of the running attempt had."""
    named = ((end.stdout_path, end.stdout_part), (end.stderr_path, end.stderr_part))
    for log, (path, part) in zip(logs, named):
        log.path, log.part = path, part

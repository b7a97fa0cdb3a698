"""The watcher of a terminal: a live bar per stage, and a line for each unit that failed."""

import threading
import time
from typing import IO, Any, List, Optional, Union

from procsup.console.lines import Remarks, format_unit_line, is_worth_a_line
from procsup.console.side import SideThread
from procsup.console.slowest import Slowest
from procsup.console.terminal import open_direct_stderr
from procsup.core.events import Settled, Start
from procsup.core.outcome import Verdict
from procsup.core.plan.summary import Summary

REFRESH_S = 0.25


class BarWatcher:
    """Draws on a side thread, which reads the planner's own numbers a few times a second.

    The loop only queues the failures; that thread imports rich, after the first unit has started.
    `below_output`: the output of units is above it, which tells the failures; then it is not there
    between `hide` and `show_again`, nor after its end. `forced`: it is drawn on no terminal, too.
    """

    def __init__(
        self,
        summary: Summary,
        stream: Optional[IO[str]] = None,
        *,
        below_output: bool = False,
        forced: bool = False,
    ) -> None:
        self._stream: IO[str] = stream if stream is not None else open_direct_stderr()
        self._below_output = below_output
        self._forced = forced
        self._begun = time.monotonic()
        self._on_screen = threading.Lock()
        self._slowest = Slowest()
        self._summary = summary
        self._remarks = Remarks()
        self._drawing: Any = None  # console.drawing.Drawing, whose module imports rich
        self._side: SideThread[Union[Settled, str]] = SideThread(self._draw, interval_s=REFRESH_S)

    def note_start(self, order: Start) -> None:
        """An attempt is started."""
        self._slowest.note_start(order)

    def note_end(self, order: Settled) -> None:
        """A unit's end is on disk: show it if it is a failure."""
        self._slowest.note_end(order)
        if self._below_output:
            return
        if order.end.verdict is not Verdict.SUCCEEDED and is_worth_a_line(order):
            self._side.put([order])

    def show(self, summary: Summary) -> None:
        """Take the numbers; the first call starts the drawing."""
        self._summary = summary
        self._side.start()
        lines = self._remarks.of(summary)
        if lines:
            self._side.put(lines)

    def close(self) -> None:
        """Draw the last state and leave the cursor below it."""
        self._side.close()

    def hide(self) -> None:
        """Take the bar off the screen, until `show_again`."""
        self._on_screen.acquire()
        if self._drawing is not None:
            self._drawing.hide()

    def show_again(self) -> None:
        """Draw it below what was written."""
        if self._drawing is not None:
            self._drawing.show_again()
        self._on_screen.release()

    def _draw(self, items: List[Union[Settled, str]], _dropped: int, last: bool) -> None:
        if self._drawing is None:
            from procsup.console.drawing import Drawing

            self._drawing = Drawing(
                self._stream,
                stays=not self._below_output,
                forced=self._forced,
                begun=self._begun,
            )
        lines = [_format_line(item) for item in items]
        with self._on_screen:
            self._drawing.update(self._summary, lines, last=last, slowest=self._slowest.find())


def _format_line(item: Union[Settled, str]) -> str:
    return (
        item if isinstance(item, str) else format_unit_line(item.end, f"attempt {item.end.attempt}")
    )

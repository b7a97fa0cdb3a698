"""The watcher of pipes and log files: one line per finished unit on stderr."""

from typing import IO, List, Optional, Union

from procsup.console.lines import Remarks, format_unit_line, is_worth_a_line
from procsup.console.side import SideThread
from procsup.console.terminal import open_direct_stderr
from procsup.core.events import Settled, Start
from procsup.core.plan.summary import Summary
from procsup.core.text import count_noun


class PlainWatcher:
    """Writes a line per settled unit; kept ones are counted and not shown.

    A side thread writes: a reader that stalls loses lines, and never delays the run.
    """

    def __init__(self, summary: Summary, stream: Optional[IO[str]] = None) -> None:
        self._stream: IO[str] = stream if stream is not None else open_direct_stderr()
        self._summary = summary
        self._remarks = Remarks()
        self._count = 0
        self._turn: List[Union[Settled, str]] = []  # the items of this turn of the loop
        self._side: SideThread[Union[Settled, str]] = SideThread(self._write)

    def note_start(self, order: Start) -> None:
        """Show nothing: each line is about an end."""

    def note_end(self, order: Settled) -> None:
        """A unit's end is on disk: show it at the end of this turn."""
        self._turn.append(order)

    def show(self, summary: Summary) -> None:
        """Keep the summary for the totals; queue news of the run itself."""
        self._summary = summary
        self._turn.extend(self._remarks.of(summary))
        self._flush_turn()

    def _flush_turn(self) -> None:
        if self._turn:
            self._side.put(self._turn)
            self._turn = []

    def close(self) -> None:
        """Write the queued lines, if the reader takes them within two seconds."""
        self._flush_turn()
        self._side.close()

    def _write(self, items: List[Union[Settled, str]], dropped: int, _last: bool) -> None:
        self._count += dropped
        lines = [f"... {count_noun(dropped, 'line')} left out"] if dropped else []
        for item in items:
            if isinstance(item, str):
                lines.append(item)
                continue
            self._count += item.end.final
            if is_worth_a_line(item):
                lines.append(format_unit_line(item.end, self._position()))
        if lines:
            self._stream.write("".join(line + "\n" for line in lines))

    def _position(self) -> str:
        stages = list(self._summary.stages.values())
        planned = sum(stage.planned or 0 for stage in stages)
        kept = sum(stage.kept for stage in stages)
        more = "+" if any(stage.planned is None or stage.grows for stage in stages) else ""
        return f"{self._count + kept}/{planned}{more}"

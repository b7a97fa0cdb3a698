"""The bars themselves. Importing this module imports rich: only the side thread does."""

import time
from typing import IO, Dict, List, Optional, Sequence, Tuple, Union

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from procsup.console.eta import Eta
from procsup.console.slowest import Lasting
from procsup.core.plan.summary import StageTally, Summary
from procsup.core.quantities import show_duration
from procsup.core.text import make_visible

HEARTBEAT_S = 1.0
_MOST_STAGES = 12


class _SteadyConsole(Console):
    """A console that never hides the cursor: so a kill leaves nothing to restore."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002
        return False


class Drawing:
    """A live table of bars at the bottom, failures scrolling above it.

    Unless it `stays`, nothing of it is left after the last update. `forced`: it is drawn although
    the stream is no terminal. `begun` is the monotonic time of the run's begin, now by default.
    """

    def __init__(
        self,
        stream: IO[str],
        *,
        stays: bool = True,
        forced: bool = False,
        begun: Optional[float] = None,
    ) -> None:
        console = _SteadyConsole(
            file=stream,
            highlight=False,
            markup=False,
            emoji=False,
            force_terminal=True if forced else None,
        )
        self._console = console
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._stays = stays
        self._ended = False
        self._etas: Dict[str, Eta] = {}
        self._all = Eta()
        self._begun = time.monotonic() if begun is None else begun
        self._table: Optional[Group] = None
        self._seen: Optional[Tuple[object, ...]] = None
        self._drawn = 0.0
        self._live.start()

    def hide(self) -> None:
        """Take it off the screen; the cursor is where it began."""
        if not self._ended:
            self._live.update(Group(), refresh=True)

    def show_again(self) -> None:
        """Draw it as it was."""
        if not self._ended and self._table is not None:
            self._live.update(self._table, refresh=True)

    def update(
        self,
        summary: Summary,
        failures: Sequence[str],
        *,
        last: bool,
        slowest: Lasting = Lasting(),  # noqa: B008 - it is immutable
    ) -> None:
        """Print the failures, and redraw if a number changed or a second has passed."""
        now = time.monotonic()
        for line in failures:
            self._console.print(Text(line, style="red"))
        state = _name_state(summary)
        if last or failures or state != self._seen or now - self._drawn >= HEARTBEAT_S:
            self._seen, self._drawn = state, now
            self._table = self._make_table(summary, now, slowest)
            self._live.update(self._table, refresh=True)
        if last and self._stays:
            self._live.stop()
        elif last:
            self.hide()
        self._ended = last

    def _make_table(self, summary: Summary, now: float, slowest: Lasting) -> Group:
        table = Table.grid(padding=(0, 1))
        for name, stage in _select_shown(summary):
            table.add_row(*self._make_row(name, stage, now))
        if self._table is None:
            self._all.sample(self._begun, sum(stage.kept for stage in summary.stages.values()))
        self._all.sample(now, sum(stage.done for stage in summary.stages.values()))
        rate = self._all.compute_rate(now)
        words = [f"{show_duration(now - self._begun)} elapsed", f"{summary.running} running"]
        words += [] if rate is None else [_format_rate(rate)]
        if slowest.unit:
            name = make_visible(slowest.unit)
            words.append(f"slowest {show_duration(slowest.took_s)}: {name}")
        line = ", ".join(words)
        held = next(filter(None, (stage.held for stage in summary.stages.values())), "")
        if held:
            line = f"no more starts: {held}; {line}"
        if summary.ending:
            line = f"{summary.ending.word}; {line}"
        return Group(table, Text(line, style="dim", no_wrap=True, overflow="ellipsis"))

    def _make_row(self, name: str, stage: StageTally, now: float) -> List[Union[Text, ProgressBar]]:
        eta = self._etas.setdefault(name, Eta())
        eta.sample(now, stage.done)
        planned = stage.planned
        is_open = planned is None or stage.grows
        bar = ProgressBar(total=planned or 1, completed=stage.done, width=28, pulse=is_open)
        total = "?" if planned is None else f"{planned}{'+' if stage.grows else ''}"
        words = [f"{stage.running} running"]
        if stage.unsuccessful:
            words.append(f"{stage.unsuccessful} failed")
        if stage.kept:
            words.append(f"{stage.kept} kept")
        ahead = _format_eta(eta, stage, now)
        return [
            Text(make_visible(name), style="bold"),
            bar,
            Text(f"{stage.done}/{total}"),
            Text(", ".join(words), style="red" if stage.unsuccessful else ""),
            Text(ahead, style="cyan"),
        ]


def _format_rate(per_second: float) -> str:
    if per_second >= 0.95:
        return f"{per_second:.1f}/s" if per_second < 9.95 else f"{per_second:.0f}/s"
    return f"{per_second * 60:.1f}/min"


def _format_eta(eta: Eta, stage: StageTally, now: float) -> str:
    if stage.final:
        return stage.status.word
    if stage.planned is None:
        return stage.status.word
    if stage.grows:
        return ""
    left_s = eta.estimate_remaining_s(now, stage.planned - stage.done)
    return "" if left_s is None else f"ETA {show_duration(left_s)}"


def _select_shown(summary: Summary) -> List[Tuple[str, StageTally]]:
    """Return the stages to draw: active ones first if there are too many for a screen."""
    stages = list(summary.stages.items())
    if len(stages) <= _MOST_STAGES:
        return stages
    active = [name for name, stage in stages if stage.running or not stage.final]
    chosen = set(active[:_MOST_STAGES])
    return [(name, stage) for name, stage in stages if name in chosen]


def _name_state(summary: Summary) -> Tuple[object, ...]:
    return (
        summary.ending,
        *(stage.held for stage in summary.stages.values()),
        *(
            (s.status, s.planned, s.grows, s.running, s.kept, s.done)
            for s in summary.stages.values()
        ),
    )

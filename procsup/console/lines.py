"""Lines of text about a live run, for scripts, logs and `--progress plain`."""

from typing import Dict, List

from procsup.core.events import Settled
from procsup.core.outcome import MAYBE_UNTRIED, Verdict
from procsup.core.plan.summary import EarlyEnd, Summary
from procsup.core.quantities import show_duration
from procsup.core.records import End
from procsup.core.text import count_noun, make_visible

_ENDINGS = {
    EarlyEnd.INTERRUPTED: "interrupted: {units} asked to end; once more ends them at once",
    EarlyEnd.STOPPING: "stopping: {units} asked to end",
    EarlyEnd.DRAINING: "draining: nothing more is started, {units} still running",
    EarlyEnd.SELECTION: "only the selected units were asked for; run without --only to go on",
}


def format_unit_line(end: End, position: str) -> str:
    """Say how an attempt ended: ``[12/240] survey/mod=abc succeeded in 1.2 s``."""
    words = [f"[{position}]", make_visible(end.unit), end.verdict.value]
    if end.wall_s is not None:
        words.append(f"in {show_duration(end.wall_s)}")
    line = " ".join(words)
    if end.verdict is not Verdict.SUCCEEDED and end.cause:
        line += f": {make_visible(end.cause)}"
    if not end.final:
        line += "; tries again"
    return line


def is_worth_a_line(order: Settled) -> bool:
    """Whether to show an end: a unit that was never tried is only counted."""
    end = order.end
    return not (end.attempt == 0 and end.verdict in MAYBE_UNTRIED)


class Remarks:
    """Messages about the run itself, each once: news of stages, an early end."""

    def __init__(self) -> None:
        self._ending = EarlyEnd.NONE
        self._told: Dict[str, int] = {}  # how many news of each stage were returned

    def of(self, summary: Summary) -> List[str]:
        """Return the new lines; called once a turn, so it must be cheap."""
        lines: List[str] = []
        for stage in summary.stages.values():
            told = self._told.get(stage.name, 0)
            if len(stage.news) > told:
                lines.extend(map(make_visible, stage.news[told:]))
                self._told[stage.name] = len(stage.news)
        if summary.ending != self._ending:
            self._ending = summary.ending
            lines.append(format_ending_line(summary.ending, summary.running))
        return lines


def format_ending_line(ending: EarlyEnd, running: int) -> str:
    """Say that nothing more is started, and why."""
    return f"procsup: {_ENDINGS[ending].format(units=count_noun(running, 'unit'))}"

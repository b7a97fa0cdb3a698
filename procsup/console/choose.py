"""Chooses the watcher of a run."""

import os
import sys

from procsup.console.plain import PlainWatcher
from procsup.console.terminal import is_terminal
from procsup.core.events import Settled, Start
from procsup.core.plan.summary import Summary
from procsup.interfaces import Watcher

PROGRESS = ("auto", "bar", "plain", "none")


def make_watcher(progress: str, summary: Summary) -> Watcher:
    """Return the watcher for a word of `PROGRESS`; ``auto`` draws bars on a capable terminal."""
    if progress == "none":
        return NullWatcher()
    if progress == "bar" or (progress == "auto" and can_draw()):
        from procsup.console.bar import BarWatcher

        return BarWatcher(summary)

    return PlainWatcher(summary)


def can_draw() -> bool:
    """Whether stderr is a terminal on which lines can be drawn again."""
    return is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


class NullWatcher:
    """Shows nothing: for `--progress none`."""

    def note_start(self, order: Start) -> None:
        """Do nothing."""

    def note_end(self, order: Settled) -> None:
        """Do nothing."""

    def show(self, summary: Summary) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

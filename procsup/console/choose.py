"""Chooses the watcher of a run."""

import os
import sys

from procsup.console.plain import PlainWatcher
from procsup.console.silent import NullWatcher
from procsup.console.terminal import is_terminal
from procsup.core.plan.summary import Summary
from procsup.interfaces import Watcher

PROGRESS = ("auto", "bar", "plain", "none")


def make_watcher(progress: str, summary: Summary) -> Watcher:
    """Return the watcher for a word of `PROGRESS`; ``auto`` draws bars on a capable terminal."""
    if progress == "none":
        return NullWatcher()
    if progress == "bar" or (progress == "auto" and _can_draw()):
        from procsup.console.bar import BarWatcher

        return BarWatcher(summary)

    return PlainWatcher(summary)


def _can_draw() -> bool:
    return is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

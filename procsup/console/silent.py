"""The watcher of `--progress none`."""

from procsup.core.events import Settled
from procsup.core.plan.summary import Summary


class NullWatcher:
    """Shows nothing."""

    def note_end(self, order: Settled) -> None:
        """Do nothing."""

    def show(self, summary: Summary) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

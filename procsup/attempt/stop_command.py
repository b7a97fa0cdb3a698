"""A unit's `stop-command`, which runs instead of the stop signal.

It stops work that a signal does not reach: containers, jobs on other machines. If it cannot be
started or fails, the signal is sent; if it hangs, it is ended at the end of the grace.
"""

from typing import Callable, Optional

from procsup.attempt.ladder import StopTarget
from procsup.core.outcome import Exited, describe
from procsup.host import system


class StopCommand:
    """Asks a tree to end by a command; `signal` sends the stop signal, and does all kills.

    `remark` describes a failure of the command; empty if there was none.
    """

    def __init__(
        self, start: Callable[[], system.Child], trees: system.Trees, signal: StopTarget
    ) -> None:
        self.remark = ""
        self._start = start
        self._trees = trees
        self._signal = signal
        self._child: Optional[system.Child] = None
        self._is_done = False

    def signal(self, *, everybody: bool = False, dump: bool = False) -> bool:
        """Start the command, or check whether it has ended; true while it runs."""
        if self.remark:
            return self._signal.signal(everybody=everybody, dump=dump)
        if self._is_done:
            return False
        if self._child is None:
            self._try_start()
        elif self._child.has_ended(noticed=False):
            self._judge(self._child.reap())
        if self.remark:
            return self._signal.signal(everybody=everybody, dump=dump)
        return not self._is_done

    def _try_start(self) -> None:
        try:
            self._child = self._start()
        except (OSError, ValueError, TypeError) as error:
            self.remark = f"its stop-command could not be started ({error}): it got the stop signal"
            return
        self._trees.add_beside(self._child)

    def _judge(self, reaped: system.ReapResult) -> None:
        self._is_done = True
        if reaped.exit != Exited(0):
            how = describe(reaped.exit)
            self.remark = f"its stop-command failed ({how}): it got the stop signal"

    def kill(self, *, spare: bool = False) -> int:
        """Kill the tree and the command."""
        if self._child is not None and not self._is_done and not self.remark:
            self.remark = "its stop-command had not ended when the grace was over"
        self.close()
        return self._signal.kill(spare=spare)

    def close(self) -> None:
        """End the command if it still runs: it must not outlive the tree."""
        if self._child is not None and not self._is_done:
            self._is_done = True
            self._trees.end_beside(self._child)

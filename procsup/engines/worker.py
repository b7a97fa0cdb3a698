"""A side thread for slow reads of the file system, so that the loop never waits for a disk."""

import time
from functools import partial
from typing import Callable, List

from procsup.core.events import Expand, Expanded, Fact, Rerun, Weigh, Weighed
from procsup.host.threads import Pool, ResultQueue


class SideExpander:
    """Expands stages on a separate thread, which starts with the first order.

    An exception of `expand` becomes the `problem` of its fact, and after one of `weigh` the
    answer keeps no unit: every order is answered, and a failure never looks like a success.
    `wake` is called from the thread when `drain` has something to return. If the system allows no
    more threads, orders are carried out by the caller, an `expand` only once it `is_ready`, which
    says whether it will not wait for other programs.
    """

    def __init__(
        self,
        expand: Callable[[Expand], Expanded],
        weigh: Callable[[Weigh], Weighed],
        *,
        wake: Callable[[], None],
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._expand = expand
        self._weigh = weigh
        self._found: ResultQueue[Fact] = ResultQueue(wake)
        self._thread = Pool("procsup-expand", 1)
        self._is_ready = is_ready
        self._waiting: List[Callable[[], None]] = []

    def expand(self, order: Expand) -> None:
        """Expand a stage's units: answered by one `Expanded`."""
        self._waiting.append(partial(self._do, order))
        self._begin_waiting()

    def weigh(self, order: Weigh) -> None:
        """Compare the files of some units again: answered by one `Weighed`."""
        self._thread.add(partial(self._look_again, order))

    def drain(self) -> List[Fact]:
        """Return the facts since the last call."""
        self._begin_waiting()
        return self._found.take()

    def close(self, *, timeout_s: float = 5.0) -> None:
        """End the thread; waiting orders are dropped.

        Returns after `timeout_s` even if the thread hangs in a dead file system: it is a daemon,
        and its results are never recorded.
        """
        self._thread.close()
        self._thread.join(time.monotonic() + timeout_s)

    def _begin_waiting(self) -> None:
        while self._waiting:
            if not self._thread.try_add(self._waiting[0]):
                if not self._is_ready():
                    return
                self._waiting[0]()
            del self._waiting[0]

    def _look_again(self, order: Weigh) -> None:
        try:
            fact = self._weigh(order)
        except Exception:  # noqa: BLE001  units whose files cannot be read run again
            run = Rerun("input changed")
            fact = Weighed(order.stage, dict.fromkeys(order.units, run))
        self._found.put(fact)

    def _do(self, order: Expand) -> None:
        try:
            fact = self._expand(order)
        except Exception as error:  # noqa: BLE001  the run goes on without this stage
            what = f"{type(error).__name__}: {error}"
            fact = Expanded(order.stage, problem=f"its units could not be looked at: {what}")
        self._found.put(fact)

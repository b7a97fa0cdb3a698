"""Side threads for slow looks at the file system, so that the loop never waits for a disk."""

import time
from typing import Callable, List

from procsup.core.events import Expand, Expanded, Fact, Inspect, Inspected
from procsup.host.threads import Finds, Pool


class SideWorker:
    """Inspects outputs on a few threads and expands stages on one of its own.

    Threads start with the first order that needs them. Whatever `inspect` or `expand` raises
    becomes the `problem` of its fact, so that every order is answered and never by a success.
    `wake` is called from these threads when `drain` has something to give.
    """

    def __init__(
        self,
        *,
        inspect: Callable[[Inspect], Inspected],
        expand: Callable[[Expand], Expanded],
        wake: Callable[[], None],
        threads: int = 2,
    ) -> None:
        self._inspect = inspect
        self._expand = expand
        self._found: Finds[Fact] = Finds(wake)
        self._inspectors = Pool("procsup-inspect", threads)
        # A stage may take long to work out: inspections, which free results, never queue behind it.
        self._expanders = Pool("procsup-expand", 1)

    def inspect(self, order: Inspect) -> None:
        """Look at an attempt's outputs: answered by one `Inspected`."""
        self._inspectors.add(lambda: self._found.put(self._inspected(order)))

    def expand(self, order: Expand) -> None:
        """Work out a stage's units: answered by one `Expanded`."""
        self._expanders.add(lambda: self._found.put(self._expanded(order)))

    def drain(self) -> List[Fact]:
        """Return what was found since the last call."""
        return self._found.take()

    def close(self, *, timeout_s: float = 5.0) -> None:
        """End the threads; what waits in line is not done any more.

        Returns after `timeout_s` even if a thread hangs in a dead file system: such a thread is
        a daemon, and what it finds is never recorded.
        """
        deadline = time.monotonic() + timeout_s
        for pool in (self._inspectors, self._expanders):
            pool.close()
        for pool in (self._inspectors, self._expanders):
            pool.join(deadline)

    def _inspected(self, order: Inspect) -> Fact:
        try:
            return self._inspect(order)
        except Exception as error:  # noqa: BLE001  unknown is never success, and never silence
            return Inspected(order.attempt, problem=_problem("its outputs", error))

    def _expanded(self, order: Expand) -> Fact:
        try:
            return self._expand(order)
        except Exception as error:  # noqa: BLE001  the run goes on without this stage
            return Expanded(order.stage, problem=_problem("its units", error))


def _problem(what: str, error: Exception) -> str:
    return f"{what} could not be looked at: {type(error).__name__}: {error}"

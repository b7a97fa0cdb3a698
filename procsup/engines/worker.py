"""Side threads for slow looks at the file system, so that the loop never waits for a disk."""

import threading
import time
from queue import SimpleQueue
from typing import Callable, List, Optional

from procsup.core.events import Expand, Expanded, Fact, Inspect, Inspected

_Job = Optional[Callable[[], Fact]]  # None: no more work for this thread


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
        self._wake = wake
        self._lock = threading.Lock()
        self._found: List[Fact] = []
        self._inspectors = _Pool("procsup-inspect", threads, self._do)
        # A stage may take long to work out: inspections, which free results, never queue behind it.
        self._expanders = _Pool("procsup-expand", 1, self._do)

    def inspect(self, order: Inspect) -> None:
        """Look at an attempt's outputs: answered by one `Inspected`."""
        self._inspectors.add(lambda: self._inspected(order))

    def expand(self, order: Expand) -> None:
        """Work out a stage's units: answered by one `Expanded`."""
        self._expanders.add(lambda: self._expanded(order))

    def drain(self) -> List[Fact]:
        """Return what was found since the last call."""
        with self._lock:
            found, self._found = self._found, []
        return found

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

    def _do(self, job: Callable[[], Fact]) -> None:
        fact = job()
        with self._lock:
            is_first = not self._found
            self._found.append(fact)
        if is_first:  # otherwise the loop was woken and has not looked yet
            self._wake()


def _problem(what: str, error: Exception) -> str:
    return f"{what} could not be looked at: {type(error).__name__}: {error}"


class _Pool:
    """A line of jobs, and up to `size` daemon threads that work it off."""

    def __init__(self, name: str, size: int, do: Callable[[Callable[[], Fact]], None]) -> None:
        self._name = name
        self._size = size
        self._do = do
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._threads: List[threading.Thread] = []
        self._closed = threading.Event()

    def add(self, job: Callable[[], Fact]) -> None:
        """Put a job in line; from one thread only."""
        self._jobs.put(job)
        if len(self._threads) < self._size and self._jobs.qsize() > 0:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system allows no more
                self._do_without_thread()
            else:
                self._threads.append(thread)

    def _do_without_thread(self) -> None:
        """Do what waits here and now, unless some thread is there to do it: late, but done."""
        if self._threads:
            return
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                self._do(job)

    def close(self) -> None:
        """Let every thread end after the job it is at."""
        self._closed.set()
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, deadline: float) -> None:
        """Wait for the threads, at most until the monotonic time `deadline`."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None or self._closed.is_set():
                return
            self._do(job)

"""Side threads for slow looks at the file system, so that the loop never waits for a disk."""

import threading
import time
from queue import SimpleQueue
from typing import Callable, Generic, List, Optional, TypeVar

from procsup.core.events import Expand, Expanded, Fact

Job = TypeVar("Job")


class SideExpander:
    """Works out stages on a thread of its own, which starts with the first order.

    Whatever `expand` raises becomes the `problem` of its fact, so that every order is answered
    and never by a success. `wake` is called from the thread when `drain` has something to give.
    """

    def __init__(self, expand: Callable[[Expand], Expanded], *, wake: Callable[[], None]) -> None:
        self._expand = expand
        self._wake = wake
        self._lock = threading.Lock()
        self._found: List[Fact] = []
        self._thread = Pool("procsup-expand", 1, self._do)

    def expand(self, order: Expand) -> None:
        """Work out a stage's units: answered by one `Expanded`."""
        self._thread.add(order)

    def drain(self) -> List[Fact]:
        """Return what was found since the last call."""
        with self._lock:
            found, self._found = self._found, []
        return found

    def close(self, *, timeout_s: float = 5.0) -> None:
        """End the thread; what waits in line is not done any more.

        Returns after `timeout_s` even if it hangs in a dead file system: it is a daemon, and
        what it finds is never recorded.
        """
        self._thread.close()
        self._thread.join(time.monotonic() + timeout_s)

    def _do(self, order: Expand) -> None:
        try:
            fact = self._expand(order)
        except Exception as error:  # noqa: BLE001  the run goes on without this stage
            what = f"{type(error).__name__}: {error}"
            fact = Expanded(order.stage, problem=f"its units could not be looked at: {what}")
        with self._lock:
            is_first = not self._found
            self._found.append(fact)
        if is_first:  # otherwise the loop was woken and has not looked yet
            self._wake()


class Pool(Generic[Job]):
    """A line of jobs, and up to `size` daemon threads that `do` them; they start when needed."""

    def __init__(self, name: str, size: int, do: Callable[[Job], None]) -> None:
        self._name = name
        self._size = size
        self._do = do
        self._jobs: SimpleQueue[Optional[Job]] = SimpleQueue()  # None: no more work for a thread
        self._threads: List[threading.Thread] = []
        self._closed = threading.Event()

    def add(self, job: Job) -> None:
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

"""Side threads: what may wait for a disk is done there, so that the loop never does."""

import threading
import time
from queue import SimpleQueue
from typing import Callable, Generic, List, Optional, TypeVar

Item = TypeVar("Item")

Job = Callable[[], None]


class Pool:
    """A line of jobs, and up to `size` daemon threads that work it off, in order if it is one.

    Threads start with the first job that needs them. Where the system gives none, the thread
    that adds a job runs it at once, which delays the caller. Jobs must not raise.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._jobs: SimpleQueue[Optional[Job]] = SimpleQueue()  # None: no more for this thread
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

    def close(self) -> None:
        """Let every thread end after the job it is at; what waits in line is not done any more."""
        self._closed.set()
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, deadline: Optional[float] = None) -> None:
        """Wait for the threads to end, at most until the monotonic time `deadline`."""
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _do_without_thread(self) -> None:
        """Do what waits here and now, unless some thread is there to do it."""
        if self._threads:
            return
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                job()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None or self._closed.is_set():
                return
            job()


class Finds(Generic[Item]):
    """What side threads have found, until the loop takes it; `wake` makes the loop look."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._found: List[Item] = []

    def put(self, item: Item) -> None:
        """Leave something; from any thread."""
        with self._lock:
            is_first = not self._found
            self._found.append(item)
        if is_first:  # otherwise the loop was woken and has not looked yet
            self._wake()

    def take(self) -> List[Item]:
        """Return what was found since the last call."""
        with self._lock:
            found, self._found = self._found, []
        return found

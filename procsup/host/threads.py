"""Side threads: they do work that may block, so that the loop never blocks."""

import sys
import threading
import time
from functools import lru_cache
from queue import SimpleQueue
from typing import Callable, Generic, Iterable, List, Optional, TypeVar

from procsup.errors import RecordError

Item = TypeVar("Item")

Job = Callable[[], None]


def try_start_thread(work: Job, name: str) -> Optional[threading.Thread]:
    """Start a daemon thread; None if the system allows no more threads.

    It does not keep the program from exiting, even if it waits in the kernel.
    """
    _make_ends_safe()
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


def start_thread(work: Callable[[], object], name: str) -> threading.Thread:
    """Start a daemon thread, as `try_start_thread`; RecordError if the system allows no more."""

    def carry_out() -> None:
        work()

    thread = try_start_thread(carry_out, name)
    if thread is None:
        raise RecordError("the system allows no more threads: end some processes, then start again")
    return thread


@lru_cache(maxsize=1)
def _make_ends_safe() -> None:
    """Load what Python 3.8 needs at the end of a thread, while there is memory for it.

    It calls pthread_exit, for which glibc loads this library; if that fails, the process aborts
    (bpo-44434).
    """
    if sys.platform == "linux" and sys.version_info < (3, 9):
        import ctypes

        try:
            ctypes.CDLL("libgcc_s.so.1")
        except OSError:
            pass  # another C library has no need of it


class Pool:
    """A queue of jobs, and up to `size` daemon threads that run them; one thread keeps the order.

    Threads start with the first job that needs them. If no thread can be started, the thread that
    adds a job runs it at once, which delays the caller. Jobs must not raise.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._jobs: SimpleQueue[Optional[Job]] = SimpleQueue()  # None: no more for this thread
        self._threads: List[threading.Thread] = []
        self._closed = threading.Event()

    def add(self, job: Job) -> None:
        """Queue a job; to be called on one thread only."""
        if not self.try_add(job):
            job()

    def try_add(self, job: Job) -> bool:
        """Queue a job; false if there is no thread, and none can be started. As `add` otherwise."""
        self._jobs.put(job)
        if len(self._threads) < self._size and self._jobs.qsize() > 0:
            thread = try_start_thread(self._work, self._name)
            if thread is not None:
                self._threads.append(thread)
            elif not self._threads:
                self._jobs.get()
                return False
        return True

    def close(self) -> None:
        """Let every thread end after its present job; queued jobs are dropped."""
        self._closed.set()
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, deadline: Optional[float] = None) -> None:
        """Wait for the threads to end, at most until the monotonic time `deadline`."""
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None or self._closed.is_set():
                return
            job()


class Handover(Generic[Item]):
    """Items from one thread to another, at most about `most` of them at a time.

    `leave` ends both sides, from any thread.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._items: List[Item] = []
        self._finished = False
        self._left = False

    @property
    def is_full(self) -> bool:
        """Whether `put` would wait now."""
        return not self._left and len(self._items) >= self._most

    @property
    def is_ready(self) -> bool:
        """Whether `take` would not wait now."""
        return self._left or self._finished or bool(self._items)

    def put(self, items: Iterable[Item]) -> bool:
        """Hand items over when there is room; false if the other side has left."""
        with self._changed:
            self._changed.wait_for(lambda: not self.is_full)
            if not self._left:
                self._items += items
                self._changed.notify_all()
            return not self._left

    def finish(self) -> None:
        """Note that no more items follow."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def take(self) -> Optional[List[Item]]:
        """Wait for items and return those there are; none at the end; None if one side has left."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_ready)
            if self._left:
                return None
            items, self._items = self._items, []
            self._changed.notify_all()
            return items

    def leave(self) -> None:
        """Make `put` and `take` return at once, now and later."""
        with self._changed:
            self._left = True
            self._changed.notify_all()


class ResultQueue(Generic[Item]):
    """Results of side threads, until the loop takes them; `wake` wakes the loop."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._found: List[Item] = []

    def put(self, item: Item) -> None:
        """Add a result; callable on any thread."""
        with self._lock:
            is_first = not self._found
            self._found.append(item)
        if is_first:  # otherwise the loop was woken already
            self._wake()

    def take(self) -> List[Item]:
        """Return the results since the last call."""
        with self._lock:
            found, self._found = self._found, []
        return found

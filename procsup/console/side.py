"""A thread that writes messages about the run, so that the run never waits for a reader."""

import threading
from collections import deque
from typing import Callable, Deque, Generic, Iterable, List, Optional, TypeVar

from procsup.host.threads import try_start_thread

Item = TypeVar("Item")

QUEUE_LIMIT = 2000
CLOSE_S = 2.0


class SideThread(Generic[Item]):
    """Passes items to `work`, in batches, on a separate thread.

    `put` never blocks: beyond `limit` waiting items the oldest are dropped and counted. `work`
    gets (items, number dropped before them, whether this is the last call); it is called at
    least every `interval_s`, if that is given, and once at the end. The thread starts with the
    first `put` or `start` and dies with the process.
    """

    def __init__(
        self,
        work: Callable[[List[Item], int, bool], None],
        *,
        interval_s: Optional[float] = None,
        limit: int = QUEUE_LIMIT,
    ) -> None:
        self._work = work
        self._interval_s = interval_s
        self._items: Deque[Item] = deque()
        self._limit = limit
        self._dropped = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread: Optional[threading.Thread] = None

    def put(self, items: Iterable[Item]) -> None:
        """Queue items for the thread; many at once cost hardly more than one."""
        with self._changed:
            for item in items:
                if len(self._items) >= self._limit:
                    self._items.popleft()
                    self._dropped += 1
                self._items.append(item)
            self._changed.notify()
        self.start()

    def start(self) -> None:
        """Start the thread, if it is not running yet; without threads nothing is shown."""
        if self._thread is not None or self._closing:
            return
        self._thread = try_start_thread(self._run, "procsup-console")
        if self._thread is None:
            self._closing = True  # the run continues without display

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Let the thread finish its items; False if it still runs after `timeout_s`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                if not self._items and not self._closing:
                    self._changed.wait(self._interval_s)
                items, dropped, closing = list(self._items), self._dropped, self._closing
                self._items.clear()
                self._dropped = 0
            self._work(items, dropped, closing)

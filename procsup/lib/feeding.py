"""Takes the units of a generator on a thread of its own, so that a cancellation need not wait."""

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from itertools import islice
from typing import (
    AsyncIterable,
    AsyncIterator,
    Deque,
    Iterable,
    Iterator,
    List,
    Optional,
    TypeVar,
    Union,
)

from procsup.errors import RunUnfinished
from procsup.host.attached import CancelToken

_BATCH = 100
_MOST_BATCHES = 4

T = TypeVar("T")


class _Handover:
    """Batches from one thread to another; `leave` ends both sides, from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._batches: Deque[List[bytes]] = deque()
        self._left = False

    def put(self, batch: List[bytes]) -> bool:
        """Hand a batch over, when there is room; false if the other side has left."""
        with self._changed:
            self._changed.wait_for(lambda: self._left or len(self._batches) < _MOST_BATCHES)
            if not self._left:
                self._batches.append(batch)
                self._changed.notify_all()
            return not self._left

    def take(self) -> Optional[List[bytes]]:
        """Wait for the next batch; None if one side has left."""
        with self._changed:
            self._changed.wait_for(lambda: self._left or bool(self._batches))
            if self._left:
                return None
            self._changed.notify_all()
            return self._batches.popleft()

    def leave(self) -> None:
        with self._changed:
            self._left = True
            self._changed.notify_all()


def iterate_apart(lines: Iterable[bytes], cancel_token: CancelToken) -> Iterator[bytes]:
    """Yield the lines; a thread iterates over them. RunUnfinished once it is cancelled.

    An exception of theirs is raised here. At most 500 lines are held. After a cancellation the
    thread stays until the generator yields again, and closes it then.
    """
    handover = _Handover()
    errors: List[BaseException] = []

    def work() -> None:
        iterator = iter(lines)
        try:
            while True:
                batch = list(islice(iterator, _BATCH))
                if not handover.put(batch) or not batch:
                    return
        except BaseException as error:  # noqa: BLE001 - raised where the lines are used
            errors.append(error)
            handover.put([])
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    cancel_token.on_cancel(handover.leave)
    threading.Thread(target=work, name="procsup-units", daemon=True).start()
    try:
        batch = handover.take()
        while batch:
            yield from batch
            batch = handover.take()
    finally:
        handover.leave()
    if errors:
        raise errors[0]
    if batch is None:
        raise RunUnfinished("cancelled before all units were known: nothing was started")


def iterate_in_loop(
    items: AsyncIterable[T], loop: asyncio.AbstractEventLoop, cancel_token: CancelToken
) -> Iterator[T]:
    """Yield what an async iterable has; another thread than the loop's must ask for it.

    A cancellation is a CancelledError inside the iterable, if it is waiting then.
    """
    iterator = items.__aiter__()
    asked: List[Future[List[T]]] = []
    cancel_token.on_cancel(lambda: [one.cancel() for one in asked])
    while not cancel_token.is_cancelled:
        asked[:] = [asyncio.run_coroutine_threadsafe(_take(iterator), loop)]
        if cancel_token.is_cancelled:  # it was too early for the call above
            asked[0].cancel()
        batch = asked[0].result()
        if not batch:
            return
        yield from batch


def iterate_any(
    items: Union[Iterable[T], AsyncIterable[T]],
    loop: asyncio.AbstractEventLoop,
    cancel_token: CancelToken,
) -> Iterable[T]:
    """Return an iterable of them for another thread than the loop's."""
    if isinstance(items, AsyncIterable):
        return iterate_in_loop(items, loop, cancel_token)
    return items


async def _take(iterator: AsyncIterator[T]) -> List[T]:
    batch: List[T] = []
    async for item in iterator:
        batch.append(item)
        if len(batch) == _BATCH:
            break
    return batch

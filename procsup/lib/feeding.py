"""Takes the units of a generator on a thread of its own, so that a cancellation need not wait."""

import asyncio
import threading
from typing import (
    AsyncIterable,
    Iterable,
    Iterator,
    List,
    TypeVar,
    Union,
)

from procsup.errors import RunUnfinished
from procsup.host.attached import CancelToken
from procsup.host.threads import Handover

_MOST = 400  # items read ahead
_LOOK_S = 0.01

T = TypeVar("T")


def iterate_apart(lines: Iterable[bytes], cancel_token: CancelToken) -> Iterator[bytes]:
    """Yield the lines; a thread iterates over them. RunUnfinished once it is cancelled.

    An exception of theirs is raised here. At most 400 lines are held. After a cancellation the
    thread stays until the generator yields again, and closes it then.
    """
    handover: Handover[bytes] = Handover(_MOST)
    errors: List[BaseException] = []

    def work() -> None:
        iterator = iter(lines)
        try:
            while True:
                line = next(iterator, None)
                if line is None or not handover.put([line]):
                    return
        except BaseException as error:  # noqa: BLE001 - raised where the lines are used
            errors.append(error)
        finally:
            handover.finish()
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    cancel_token.on_cancel(handover.leave)
    cancel_token.on_over(handover.leave)
    threading.Thread(target=work, name="procsup-units", daemon=True).start()
    try:
        batch = handover.take()
        while batch:
            yield from batch
            batch = handover.take()
    finally:
        handover.leave()
    if batch is None and not cancel_token.is_cancelled:
        return  # the run has ended before all units were made
    if errors:
        raise errors[0]
    if batch is None:
        raise RunUnfinished("cancelled before all units were known")


def iterate_in_loop(
    items: AsyncIterable[T], loop: asyncio.AbstractEventLoop, cancel_token: CancelToken
) -> Iterator[T]:
    """Yield what an async iterable has; another thread than the loop's must ask for it.

    A cancellation is a CancelledError inside the iterable, if it is waiting then.
    """
    handover: Handover[T] = Handover(_MOST)
    pumping = asyncio.run_coroutine_threadsafe(_pump(items, handover), loop)
    cancel_token.on_cancel(pumping.cancel)
    cancel_token.on_over(pumping.cancel)
    try:
        batch = handover.take()
        while batch:
            yield from batch
            batch = handover.take()
        pumping.result()
    finally:
        handover.leave()
        pumping.cancel()


async def _pump(items: AsyncIterable[T], handover: Handover[T]) -> None:
    try:
        async for item in items:
            handover.put([item])  # returns at once: the loop below leaves room
            while handover.is_full:
                await asyncio.sleep(_LOOK_S)
    finally:
        handover.finish()


def iterate_any(
    items: Union[Iterable[T], AsyncIterable[T]],
    loop: asyncio.AbstractEventLoop,
    cancel_token: CancelToken,
) -> Iterable[T]:
    """Return an iterable of them for another thread than the loop's."""
    if isinstance(items, AsyncIterable):
        return iterate_in_loop(items, loop, cancel_token)
    return items

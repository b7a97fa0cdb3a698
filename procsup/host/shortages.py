"""Retries in a temporary shortage of file descriptors."""

import errno
import time
from typing import Callable, Sequence, TypeVar

_T = TypeVar("_T")

PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


def retry_on_shortage(
    act: Callable[[], _T],
    *,
    pauses_s: Sequence[float] = PAUSES_S,
    sleep: Callable[[float], object] = time.sleep,
) -> _T:
    """Call `act`, again after each pause while descriptors are short; raise other OSErrors at once.

    A failed sync is never repeated: only a failed open is.
    """
    for pause_s in pauses_s:
        try:
            return act()
        except OSError as error:  # noqa: PERF203
            if error.filename is None or error.errno not in _DESCRIPTORS:
                raise
            sleep(pause_s)
    return act()

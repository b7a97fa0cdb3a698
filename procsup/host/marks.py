"""A mark that all descendants of a process inherit; it identifies their attempt (Linux).

It is a soft limit on the CPU time that a real-time thread may take without a pause
(RLIMIT_RTTIME, in microseconds). At 142 years and more it limits no program. It survives fork,
exec, setsid and an emptied environment, but not `su` and similar programs, which reset all
limits. ``ulimit -a`` shows it.

Each sitting has its own base, drawn at random, and each attempt the next number above that.
"""

from __future__ import annotations

import os
import sys

from procsup.host import pidfds, procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

_SMALLEST = 1 << 52  # all are below 2 ** 53, which every JSON reader reads exactly
_NUMBERS = 1 << 20  # of attempts above a base; then the marks repeat
_LIKE_A_MARK = 1 << 50
_FEW = 1 << 16  # numbers: that many are tried in a twentieth of a second


def draw_base() -> Optional[int]:
    """Draw the base of a sitting's marks; None if processes cannot be marked.

    That is so on other systems, or if this limit was set on purpose.
    """
    if sys.platform != "linux" or _read_own_limit() is None:
        return None
    return _SMALLEST | int.from_bytes(os.urandom(4), "big") * _NUMBERS


def find_base(mark: int) -> int:
    """Return the base of the sitting to which a mark belongs."""
    return mark - mark % _NUMBERS


class Marker:
    """Gives each process that this thread starts a mark: `put_on` before, `take_off` after."""

    def __init__(self, base: Optional[int]) -> None:
        self._base = base
        self._last = 0
        self._own: Optional[tuple[int, int]] = None

    def put_on(self, mark: Optional[int] = None) -> Optional[int]:
        """Put the next mark (or that one) on this process, for its next child.

        Returns it, None without one.
        """
        if sys.platform != "linux" or self._base is None:
            return None
        import resource

        self._own = _read_own_limit()
        if self._own is None:
            return None
        if mark is None:
            self._last = self._last % (_NUMBERS - 1) + 1
            mark = self._base + self._last
        try:
            resource.setrlimit(resource.RLIMIT_RTTIME, (mark, self._own[1]))
        except (OSError, ValueError):
            self._own = None
            return None
        return mark

    def take_off(self) -> None:
        """Restore the limit that this process had."""
        if sys.platform == "linux" and self._own is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_RTTIME, self._own)
            self._own = None


def _read_own_limit() -> Optional[tuple[int, int]]:
    """Return this process' limits; None if they leave no room for a mark."""
    if sys.platform == "linux":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_RTTIME)
        is_free = soft == resource.RLIM_INFINITY or soft >= _LIKE_A_MARK
        if is_free and (hard == resource.RLIM_INFINITY or hard >= 2 * _SMALLEST):
            return soft, hard
    return None


def read(pid: int) -> Optional[int]:
    """Return the mark of the process that has this pid now; None without a mark or a process."""
    if sys.platform != "linux":
        return None
    import resource

    try:
        soft = resource.prlimit(pid, resource.RLIMIT_RTTIME)[0]
    except PermissionError:
        soft = procfs.read_limit(pid, b"Max realtime timeout")  # readable of any process
    except (OSError, AttributeError):
        return None
    return soft if soft >= _LIKE_A_MARK else None


def hit_all(base: int, signum: int) -> List[int]:
    """Send a signal to all processes with a mark of this base; return the pids of live ones.

    Needs no /proc: it tries every pid since our own, for systems where /proc is hidden.
    """
    alive = []
    for pid in _list_later_pids():
        mark = read(pid)
        if mark is not None and find_base(mark) == base and pid != os.getpid():
            handle = pidfds.open_handle(pid)
            try:
                # Checked again: now that the pid is pinned, the mark is of this process.
                mark = read(pid)
                if mark is None or find_base(mark) != base or pidfds.is_over(handle):
                    continue
                pidfds.send(pid, handle, signum)
                alive.append(pid)
            except ProcessLookupError:
                pass  # it ended meanwhile
            except PermissionError:
                alive.append(pid)  # it runs as another user
            finally:
                if handle is not None:
                    os.close(handle)
    return alive


def _list_later_pids() -> List[int]:
    """Return all pids that processes younger than this one may have."""
    own, most = os.getpid(), _read_most_pids()
    latest = _read_latest_number()
    if latest is None or most <= _FEW:
        return list(range(2, most))
    if latest > own:
        return list(range(own + 1, latest + 1))
    return [pid for pid in range(2, most) if not latest < pid <= own]


def _read_latest_number() -> Optional[int]:
    """Return the latest pid: pids are assigned in a circle, to threads as well."""
    import threading

    found: List[int] = []
    thread = threading.Thread(target=lambda: found.append(threading.get_native_id()))
    try:
        thread.start()
    except RuntimeError:
        return None  # the system allows no more
    thread.join()
    return found[0]


def _read_most_pids() -> int:
    try:
        with open("/proc/sys/kernel/pid_max", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1 << 22

"""Turns Ctrl-C, SIGTERM, SIGHUP and the guard's death into facts.

A handler only notes the signal and the time: an exception from a handler could leave a child
behind that no module tracks. `wake` ends the loop's wait.
"""

import select
import signal
import sys
import threading
import time
from collections import deque
from types import FrameType
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

from procsup.core.events import Fact, Interrupted
from procsup.host.guard_link import GuardLink
from procsup.host.signals import PRESS_S
from procsup.host.threads import try_start_thread

_BYTES = 4096


class SignalInterrupts:
    """Handles signals while it is entered; restores all handlers when it is left.

    `wake` is called on another thread as soon as `drain` has a result. If it is entered on another
    thread than the main one, it notices only the guard's death. Units started meanwhile have no
    signal blocked, and INT and QUIT at their default, even if procsup was started with them ignored
    (it still ignores them itself). procsup ignores USR1 and USR2.
    """

    def __init__(
        self,
        *,
        guard_link: Optional[GuardLink] = None,
        wake: Callable[[], object] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard_link = guard_link
        self._wake = wake
        self._now = now
        self._came: Deque[Tuple[int, float]] = deque()
        self._pressed_at = float("-inf")
        self._guard_dead = False
        self._relay: Optional[_Relay] = None
        self._handlers: Dict[int, Any] = {}
        self._mask: Any = None

    def __enter__(self) -> "SignalInterrupts":
        self._relay = _Relay(self._guard_link, self._wake)
        if threading.current_thread() is threading.main_thread():
            self._relay.connect()
            self._install_handlers()
        return self

    def __exit__(self, *error: object) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._handlers.clear()
        if sys.platform != "win32" and self._mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if self._relay is not None:
            self._relay.close()
            self._relay = None

    def drain(self, *, ask_guard: bool = False) -> List[Fact]:
        """Return the interrupts since the last call; signals in quick succession are one.

        With `ask_guard` the guard is checked even if no event reported its death.
        """
        facts: List[Fact] = []
        while self._came:
            signum, at = self._came.popleft()
            if at - self._pressed_at >= PRESS_S:
                self._pressed_at = at
                facts.append(Interrupted(signum, signal.Signals(signum).name))
        if self._is_guard_dead(asked=ask_guard):
            self._guard_dead = True
            facts.append(Interrupted(None, "the guard process died"))
        return facts

    def _is_guard_dead(self, *, asked: bool) -> bool:
        """Whether the guard has died since the last call."""
        if self._guard_link is None or self._guard_dead or self._relay is None:
            return False
        return (asked or self._relay.is_cut) and not self._guard_link.is_alive()

    def _install_handlers(self) -> None:
        for signum in _list_ending_signals():
            ignored = signal.getsignal(signum) is signal.SIG_IGN
            # Units would inherit an ignored signal; they do not inherit a handler.
            self._handle(signum, _do_nothing if ignored else self._note)
        if sys.platform != "win32":
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
                self._handle(signal.SIGHUP, self._note)
            for signum in (signal.SIGUSR1, signal.SIGUSR2):  # they would kill a run
                self._handle(signum, _do_nothing)
            # If it is ignored, the system discards every exit status.
            self._handle(signal.SIGCHLD, signal.SIG_DFL)
            self._mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _handle(self, signum: int, handler: Any) -> None:
        self._handlers[signum] = signal.signal(signum, handler)

    def _note(self, signum: int, _frame: Optional[FrameType]) -> None:
        self._came.append((signum, self._now()))


def _list_ending_signals() -> List[int]:
    if sys.platform == "win32":
        return [signal.SIGINT, signal.SIGBREAK]
    return [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT]


def _do_nothing(_signum: int, _frame: Optional[FrameType]) -> None:
    """Ignore the signal, in this process only."""


class _Relay:
    """Calls `wake` for each signal, and when the guard has died, on a separate thread.

    A handler alone cannot end the loop's wait: if a signal comes just before the wait, the handler
    runs after it. But the interpreter writes a byte per signal at once (`set_wakeup_fd`), which
    the thread reads. If no thread can be started, the loop notices signals when it polls.
    """

    def __init__(self, guard_link: Optional[GuardLink], wake: Callable[[], object]) -> None:
        import socket

        self.is_cut = False  # the guard may have died: it must be checked
        self._guard_link = guard_link
        self._wake = wake
        self._near, self._far = socket.socketpair()
        self._far.setblocking(False)
        self._previous_fd: Optional[int] = None
        self._thread = try_start_thread(self._run, "procsup-signals")
        if self._thread is None:
            self.is_cut = True

    def connect(self) -> None:
        """Set our socket as the interpreter's wakeup fd."""
        self._previous_fd = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)

    def _run(self) -> None:
        try:
            self._relay()
        except OSError:
            self.is_cut = True  # then the loop only polls, twice a second

    if sys.platform == "win32":

        def _relay(self) -> None:
            while self._near.recv(_BYTES):
                self._wake()

    else:

        def _relay(self) -> None:
            poller = select.poll()
            poller.register(self._near, select.POLLIN)
            if self._guard_link is not None:
                poller.register(self._guard_link.fd, 0)  # only its end; others read it
            while True:
                for fd, _ in poller.poll():
                    if fd != self._near.fileno():
                        poller.unregister(fd)
                        self.is_cut = True
                    elif not self._near.recv(_BYTES):
                        return
                self._wake()

    def close(self) -> None:
        """Restore the interpreter's previous wakeup fd, and end the thread."""
        if self._previous_fd is not None:
            signal.set_wakeup_fd(self._previous_fd)
        self._far.close()
        if self._thread is not None:
            self._thread.join()
        self._near.close()

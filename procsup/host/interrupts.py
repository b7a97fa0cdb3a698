"""Ctrl-C, SIGTERM, SIGHUP and the guard's death become facts.

A handler only notes the signal and the time: a handler that raises would leave children behind
that nobody knows. The wait that the loop sits in is ended through `fd` (POSIX) or `wake` (Windows).
"""

import os
import select
import selectors
import signal
import sys
import threading
import time
from collections import deque
from types import FrameType, TracebackType
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple, Type

from procsup.core.events import Fact, Interrupted
from procsup.host.guard import Lifeline, die_by

__all__ = ["PRESS_S", "SignalInterrupts", "die_by"]

PRESS_S = 0.2  # closer together they are one press: a terminal and a wrapper both send it


class SignalInterrupts:
    """Listens to signals while it is entered; everything is as before when it is left.

    `fd` is readable as soon as `drain` has something to say; it is None on Windows, where `wake`
    is called instead, on another thread. Entered on another than the main thread it hears the
    guard's death only. Units started meanwhile have no signal blocked, and INT and QUIT at their
    default even if procsup itself was started with them ignored (it goes on ignoring them).
    USR1 and USR2 mean nothing to procsup, and do nothing to it.
    """

    def __init__(
        self,
        *,
        lifeline: Optional[Lifeline] = None,
        wake: Optional[Callable[[], None]] = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifeline = lifeline
        self._wake = wake
        self._now = now
        self._came: Deque[Tuple[int, float]] = deque()
        self._pressed_at = float("-inf")
        self._guard_dead = False
        self._bell: Optional[_Bell] = None
        self._handlers: Dict[int, Any] = {}
        self._mask: Any = None

    @property
    def fd(self) -> Optional[int]:
        """What to watch for reading; None where `wake` is called instead, and when not entered."""
        return self._bell.fd if self._bell is not None else None

    def __enter__(self) -> "SignalInterrupts":
        watched = [] if self._lifeline is None else [self._lifeline.fd]
        self._bell = _Bell(watched, self._wake)
        if threading.current_thread() is threading.main_thread():
            self._bell.connect()
            self._install_handlers()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._handlers.clear()
        if sys.platform != "win32" and self._mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def drain(self) -> List[Fact]:
        """Return what came since the last call; signals in quick succession are one."""
        if self._bell is not None and not self._came and not self._bell.rings():
            return []
        facts: List[Fact] = []
        if self._bell is not None:
            self._bell.silence()
        while self._came:
            signum, at = self._came.popleft()
            if at - self._pressed_at >= PRESS_S:
                self._pressed_at = at
                facts.append(Interrupted(signum, signal.Signals(signum).name))
        if self._lifeline is not None and not self._guard_dead and not self._lifeline.alive():
            self._guard_dead = True
            if self._bell is not None:
                self._bell.forget(self._lifeline.fd)
            facts.append(Interrupted(None, "the guard process died"))
        return facts

    def _install_handlers(self) -> None:
        for signum in _ending_signals():
            ignored = signal.getsignal(signum) is signal.SIG_IGN
            # What is ignored would be ignored in the units too; a handler is not inherited.
            self._handle(signum, _do_nothing if ignored else self._note)
        if sys.platform != "win32":
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
                self._handle(signal.SIGHUP, self._note)
            for signum in (signal.SIGUSR1, signal.SIGUSR2):  # they would kill a run
                self._handle(signum, _do_nothing)
            # Ignored, it would make the system forget every exit status.
            self._handle(signal.SIGCHLD, signal.SIG_DFL)
            self._mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _handle(self, signum: int, handler: Any) -> None:
        self._handlers[signum] = signal.signal(signum, handler)

    def _note(self, signum: int, _frame: Optional[FrameType]) -> None:
        self._came.append((signum, self._now()))


def _ending_signals() -> List[int]:
    if sys.platform == "win32":
        return [signal.SIGINT, signal.SIGBREAK]
    return [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT]


def _do_nothing(_signum: int, _frame: Optional[FrameType]) -> None:
    """Ignore the signal, in this process only."""


if sys.platform != "win32":

    class _Bell:
        """What ends the loop's wait: the interpreter writes a byte per signal into a pipe.

        `fd` is a selector's own descriptor: readable if the pipe or any of `watched` is.
        """

        def __init__(self, watched: List[int], _wake: Optional[Callable[[], None]]) -> None:
            self._reader, self._writer = os.pipe()
            os.set_blocking(self._reader, False)
            os.set_blocking(self._writer, False)
            self._selector = selectors.DefaultSelector()
            for fd in (self._reader, *watched):
                self._selector.register(fd, selectors.EVENT_READ)
            self._poll = select.poll()  # a look at it costs less than a read of nothing
            for fd in (self._reader, *watched):
                self._poll.register(fd, select.POLLIN)
            self._previous_fd: Optional[int] = None

        @property
        def fd(self) -> int:
            # epoll and kqueue have a descriptor; elsewhere the guard's death waits for a `drain`.
            fileno = getattr(self._selector, "fileno", None)
            return self._reader if fileno is None else int(fileno())

        def connect(self) -> None:
            self._previous_fd = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

        def rings(self) -> bool:
            return bool(self._poll.poll(0))

        def silence(self) -> None:
            try:
                while os.read(self._reader, 4096):
                    pass
            except BlockingIOError:
                pass  # empty

        def forget(self, fd: int) -> None:
            self._selector.unregister(fd)  # it is readable for ever: a loop would spin on it
            self._poll.unregister(fd)

        def close(self) -> None:
            if self._previous_fd is not None:
                signal.set_wakeup_fd(self._previous_fd)
            self._selector.close()
            os.close(self._reader)
            os.close(self._writer)

else:

    class _Bell:
        """What ends the loop's wait: a thread that calls `wake` for each signal.

        A handler could not: it runs on the main thread, which sits in the wait.
        """

        fd = None

        def __init__(self, _watched: List[int], wake: Optional[Callable[[], None]]) -> None:
            import socket

            self._wake = wake
            self._near, self._far = socket.socketpair()
            self._far.setblocking(False)
            self._previous_fd: Optional[int] = None
            self._thread = threading.Thread(target=self._relay, name="signals", daemon=True)
            self._thread.start()

        def connect(self) -> None:
            self._previous_fd = signal.set_wakeup_fd(self._far.fileno(), warn_on_full_buffer=False)

        def _relay(self) -> None:
            while self._near.recv(4096):
                if self._wake is not None:
                    self._wake()

        def rings(self) -> bool:
            return True  # nobody has looked

        def silence(self) -> None:
            """Do nothing: the thread has taken the bytes."""

        def forget(self, fd: int) -> None:
            """Do nothing: there is no guard."""

        def close(self) -> None:
            if self._previous_fd is not None:
                signal.set_wakeup_fd(self._previous_fd)
            self._far.close()  # ends the thread
            self._thread.join()
            self._near.close()

"""Signals: their names and numbers, which of them a guard waits for, and how to die by one.

Nothing is imported here but `os`, `sys` and `signal`: the guard needs it before it forks.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, NoReturn, Optional, TextIO, Tuple

# The numbers on every system; Windows has no SIGPIPE, and a program exits there with 128 + 13.
INTERRUPT, BROKEN_PIPE = 2, 13
PRESS_S = 0.2  # closer together they are one press: a terminal and a wrapper both send it

# Stop signals, without `SIG` (signal(7), signal.h of Windows). A run file may name one that only
# another system has; the error says so. KILL and STOP are missing: no process can handle them.
NAMES: Tuple[str, ...] = (
    *("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ABRT", "ALRM", "BREAK", "BUS", "CHLD"),
    *("CONT", "EMT", "FPE", "ILL", "INFO", "IO", "IOT", "PIPE", "POLL", "PROF", "PWR", "SEGV"),
    *("SYS", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "VTALRM", "WINCH", "XCPU", "XFSZ"),
)
NO_REQUESTS = ("KILL", "STOP")


def find_number(name: str) -> Optional[int]:
    """Return the signal's number on this system; None if it has none of this name."""
    number = getattr(signal, f"SIG{name}", None)
    return None if number is None else int(number)


def can_be_sent(name: str) -> bool:
    """Whether a stop may begin with this signal here.

    On Windows each of them becomes CTRL_BREAK, the only one that reaches another process group.
    """
    return sys.platform == "win32" or find_number(name) is not None


if sys.platform != "win32":

    def list_watched_signals() -> List[int]:
        """Return the signals that the guard waits for; one ignored at the start stays ignored."""
        ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        others = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP)
        heard = [s for s in (*ends, *others) if signal.getsignal(s) is not signal.SIG_IGN]
        return [*heard, signal.SIGCHLD, signal.SIGCONT]


def die_by(signum: int) -> NoReturn:
    """End this process by that signal, so that a shell loop around it ends, too.

    Output is flushed first, no core is dumped. Where no signal can do it (Windows, process 1 of
    a container) the exit code is 128 + `signum`.
    """
    _flush(sys.stdout)
    _flush(sys.stderr)
    if sys.platform != "win32" and os.getpid() != 1:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if signum != signal.SIGKILL:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signum,))
        os.kill(os.getpid(), signum)
    os._exit(128 + signum)


def _flush(stream: Optional[TextIO]) -> None:
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        pass  # closed, or without a reader

"""The signals that a stop may begin with, by their names without ``SIG``."""

import signal
import sys
from typing import Optional, Tuple

# signal(7) of Linux and macOS, signal.h of Windows: a run file may name a signal that only
# another system has; the error says so. KILL and STOP are missing: no process can handle them.
NAMES: Tuple[str, ...] = (
    *("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ABRT", "ALRM", "BREAK", "BUS", "CHLD"),
    *("CONT", "EMT", "FPE", "ILL", "INFO", "IO", "IOT", "PIPE", "POLL", "PROF", "PWR", "SEGV"),
    *("SYS", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "VTALRM", "WINCH", "XCPU", "XFSZ"),
)
NO_REQUESTS = ("KILL", "STOP")


def number_of(name: str) -> Optional[int]:
    """Return the signal's number on this system; None if it has none of this name."""
    number = getattr(signal, f"SIG{name}", None)
    return None if number is None else int(number)


def can_be_sent(name: str) -> bool:
    """Whether a stop may begin with this signal here.

    On Windows each is CTRL_BREAK, the only one that reaches another process' group there.
    """
    return sys.platform == "win32" or number_of(name) is not None

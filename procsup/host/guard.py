"""The guard: a small process that outlives the supervisor and ends the processes it left behind.

The process that the user started forks before any import. The parent becomes the guard
(guardian.py): it adopts orphans, forwards signals, and dies as the supervisor died. The child
becomes the supervisor and holds a `GuardLink` (guard_link.py): it ends when the guard does. If it
is stuck, a timer ends it (watchdog.py).

Windows has no guard: there the engine's Job Object ends every process when its owner ends
(KILL_ON_JOB_CLOSE), and `fork_supervisor` does nothing.

Before the fork only `os`, `sys` and `signal` are imported, which takes 1 ms and few MB.
"""

from __future__ import annotations

import os
import signal
import sys

from procsup.host import procfs, signals
from procsup.host.guard_link import GuardLink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Sequence

OWNER = "--owner="
_guard_link: Optional[GuardLink] = None


def find_guard_link() -> Optional[GuardLink]:
    """Return the link to the guard; None without a guard: on Windows, or inside another program."""
    return _guard_link


def find_owner(arguments: Sequence[str]) -> Optional[int]:
    """Return the program that started this process and owns its run, by its command line."""
    named = [word[len(OWNER) :] for word in arguments[:1] if word.startswith(OWNER)]
    return int(named[0]) if named else None


def fork_supervisor(*, detached: bool = False, owned: bool = False) -> None:
    """Fork: the parent becomes the guard and never returns, the child returns as the supervisor.

    The child has no signal blocked and SIGCHLD at its default, even if this process was started
    with other settings. `detached`: the guard closes stdin, stdout and stderr; `owned`: a program
    owns the run and asks it to end by SIGTERM. OSError if no process can be made.
    """
    if sys.platform != "win32":
        if owned and signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
            # The owner ignores SIGTERM, and this process has inherited that.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _split(detached=detached)


if sys.platform != "win32":

    def _split(*, detached: bool) -> None:
        global _guard_link

        inherited_children = procfs.list_children(
            os.getpid()
        )  # children that a shell had before it called exec
        ready_fds, told_fds = os.pipe(), os.pipe()
        watched = signals.list_watched_signals()
        for signum in (signal.SIGCHLD, signal.SIGCONT):
            # BSD systems do not keep a blocked signal pending if its default is to be ignored.
            signal.signal(signum, _ignore_signal)
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        supervisor = _fork([*ready_fds, *told_fds])
        if supervisor:
            os.close(ready_fds[0])
            os.close(told_fds[1])
            os.set_blocking(told_fds[0], False)
            from procsup.host import guardian

            guardian.stand_guard(
                supervisor, ready_fds[1], told_fds[0], inherited_children, detached=detached
            )
        os.close(ready_fds[1])
        os.close(told_fds[0])
        os.set_blocking(ready_fds[0], False)
        _guard_link = GuardLink(ready_fds[0], told_fds[1])
        _become_supervisor()
        from procsup.host import watchdog

        watchdog.start(_guard_link.fd)

    def _fork(fds: List[int]) -> int:
        try:
            return os.fork()
        except OSError:
            for fd in fds:
                os.close(fd)
            _become_supervisor()
            raise

    def _become_supervisor() -> None:
        for signum in (signal.SIGCHLD, signal.SIGCONT):
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _ignore_signal(signum: int, frame: object) -> None:
    """Do nothing: the signal is blocked and fetched, but needs a handler not to be ignored."""

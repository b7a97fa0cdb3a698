"""The guard: a small process that outlives the supervisor and ends the processes it left behind.

The process that the user started forks before any import. The parent becomes the guard
(guardian.py): it adopts orphans, forwards signals, and dies as the supervisor died. The child
becomes the supervisor and holds a `Lifeline`: it ends when the guard does.

Windows has no guard: there the engine's Job Object ends every process when its owner ends
(KILL_ON_JOB_CLOSE), and `fork_supervisor` does nothing.

Nothing is imported here but `os`, `sys` and `signal`: a thousandth of a second and few MB.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, NoReturn, Optional, Sequence, TextIO

READY, READY_WITHOUT_ADOPTION = b"+", b"-"
_lifeline: Optional[Lifeline] = None
_detached = False


class Lifeline:
    """The supervisor's end of its connection to the guard.

    `fd` is readable once the guard is dead (after `wait_until_ready`); `adopts`: the guard adopts
    orphans (Linux); None before it is ready.
    """

    def __init__(self, fd: int, telling_fd: int) -> None:
        self.fd = fd
        self.adopts: Optional[bool] = None
        self._telling_fd = telling_fd
        self._alive = True

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when the guard can do its work; TimeoutError if it cannot by then.

        No unit may be started before. `alive` shows a guard that died instead.
        """
        import select

        if self.alive() and self.adopts is None:
            select.select([self.fd], [], [], timeout_s)
            if self.alive() and self.adopts is None:
                raise TimeoutError(f"the guard process was not ready within {timeout_s:g} s")

    def alive(self) -> bool:
        """Whether the guard lives; never blocks."""
        while self._alive:
            try:
                word = os.read(self.fd, 1)
            except BlockingIOError:
                break
            if word:
                self.adopts = word == READY
            else:
                self._alive = False
        return self._alive

    def tell_run_id(self, run_id: str, mark_base: Optional[int] = None) -> None:
        """Send the guard the ids by which the run's processes are known, before the first unit.

        It needs them only where orphans are not adopted (macOS), or /proc is hidden.
        """
        self._tell(f"run {run_id}")
        if mark_base is not None:
            self._tell(f"marks {mark_base}")

    def release(self) -> None:
        """Tell the guard to leave all processes alone when this one ends."""
        self._tell("release")

    def _tell(self, text: str) -> None:
        try:
            os.write(self._telling_fd, os.fsencode(text) + b"\n")
        except OSError:
            pass  # the guard is dead: `alive` is false


def lifeline() -> Optional[Lifeline]:
    """Return the lifeline; None without a guard: on Windows, or inside another program."""
    return _lifeline


def is_detached() -> bool:
    """Whether this process was started by `detach.start_detached`."""
    return _detached


def is_owned(arguments: Sequence[str]) -> bool:
    """Whether, by its command line, a program started this process and owns its run."""
    return any(argument.startswith("--owner=") for argument in arguments[1:2])


def fork_supervisor(*, detached: bool = False, owned: bool = False) -> None:
    """Fork: the parent becomes the guard and never returns, the child returns as the supervisor.

    The child has no signal blocked and SIGCHLD at its default, even if it was started otherwise.
    `detached`: the guard closes stdin, stdout and stderr; `owned`: a program owns the run,
    and asks it to end by SIGTERM. OSError if no process can be made.
    """
    global _detached
    _detached = detached
    if sys.platform != "win32":
        if owned and signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
            # That program ignores it, and this process has inherited that.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _split()


if sys.platform != "win32":

    def _split() -> None:
        global _lifeline
        from procsup.host import procfs

        strangers = procfs.children(os.getpid())  # children that a shell had before it called exec
        ready_fds, told_fds = os.pipe(), os.pipe()
        watched = watched_signals()
        for signum in (signal.SIGCHLD, signal.SIGCONT):
            # BSD systems do not keep a blocked signal pending if its default is to be ignored.
            signal.signal(signum, _never_called)
        signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        supervisor = _fork([*ready_fds, *told_fds])
        if supervisor:
            os.close(ready_fds[0])
            os.close(told_fds[1])
            from procsup.host import guardian

            guardian.stand_guard(
                supervisor, ready_fds[1], told_fds[0], strangers, detached=_detached
            )
        os.close(ready_fds[1])
        os.close(told_fds[0])
        os.set_blocking(ready_fds[0], False)
        _lifeline = Lifeline(ready_fds[0], told_fds[1])
        _become_supervisor()

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

    def watched_signals() -> List[int]:
        """Return the signals that the guard waits for; one ignored at the start stays ignored."""
        ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
        others = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP)
        heard = [s for s in (*ends, *others) if signal.getsignal(s) is not signal.SIG_IGN]
        return [*heard, signal.SIGCHLD, signal.SIGCONT]


def _never_called(signum: int, frame: object) -> None:
    """Do nothing: the signal only needs a handler, since it is blocked and fetched."""


def die_by(signum: int) -> NoReturn:
    """End this process by that signal, so that a shell which waits for it ends its loop, too.

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


def die_of_interrupt() -> NoReturn:
    """End this process as Ctrl-C ends one without a handler."""
    die_by(signal.SIGINT)


def _flush(stream: Optional[TextIO]) -> None:
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        pass  # closed, or without a reader

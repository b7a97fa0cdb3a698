"""The guard's work while the supervisor lives, and after its death.

It is one thread that waits for signals, all of which are blocked. Three presses of Ctrl-C
(or three of SIGTERM and the like) kill all processes at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from procsup.host import guard_link, marks, procfs, signals, tree_walk, watchdog
from procsup.seams import seam

assert sys.platform != "win32"  # nothing below has a meaning there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, NoReturn, Optional, Sequence, Set, Tuple

_PRESSES_TO_KILL = 3
_LIMIT_S = 5.0  # for ending the trees; a process in uninterruptible sleep would block us for ever
_ROUND_S = 0.005
_SI_KERNEL = 0x80  # siginfo: sent by the terminal, so to the whole foreground group (Linux)


def stand_guard(
    supervisor: int,
    ready_fd: int,
    told_fd: int,
    inherited_children: Sequence[int],
    *,
    detached: bool,
) -> NoReturn:
    """Guard until the supervisor is dead and none of its processes is left, then die as it did."""
    try:
        adopts = _adopt_orphans()
        if detached:
            _let_go_of_streams()
        terminal = Terminal()
        guard_link.say_ready(ready_fd, adopts=adopts)
        Guardian(supervisor, told_fd, set(inherited_children), terminal, adopts=adopts).watch()
    except BaseException as error:  # noqa: BLE001 - the caller's code must never run in the guard
        _say(f"internal error of the guard: {type(error).__name__}: {error}")
    finally:
        os._exit(70)


class Guardian:
    """The guard's state and its loop; see `stand_guard`."""

    def __init__(
        self,
        supervisor: int,
        told_fd: int,
        inherited_children: Set[int],
        terminal: Terminal,
        *,
        adopts: bool,
    ) -> None:
        self._supervisor = supervisor
        self._told_fd = told_fd
        self._inherited_children = inherited_children
        # We adopt the orphans of these children, too. So only processes proven to be ours are
        # ended.
        self._must_prove = bool(inherited_children)
        self._proof: Tuple[Optional[int], bytes] = None, b""  # base of marks, entry of environments
        self._terminal = terminal
        self._adopts = adopts
        self._supervisor_reaped = False
        self._childless = False
        self._presses = 0
        self._pressed_at = float("-inf")

    def watch(self) -> NoReturn:
        """Wait for signals until the supervisor is dead."""
        watched = signals.list_watched_signals()
        while True:
            signum, from_terminal = _next_signal(watched)
            if signum == signal.SIGCHLD:
                status = self._reap()
                if status is not None:
                    self._finish(status)
            elif signum == signal.SIGTSTP:
                self._suspend(from_terminal=from_terminal)
            elif signum == signal.SIGCONT:
                os.kill(self._supervisor, signal.SIGCONT)
            elif signum not in (signal.SIGUSR1, signal.SIGUSR2):  # these have no meaning here
                self._forward(signum, from_terminal=from_terminal)

    def _forward(self, signum: int, *, from_terminal: bool) -> None:
        self._count_press(signum)
        # A terminal that hangs up may signal the session's leader only.
        if not from_terminal or signum == signal.SIGHUP:
            os.kill(self._supervisor, signum)

    def _count_press(self, signum: int) -> None:
        now = time.monotonic()
        if now - self._pressed_at < signals.PRESS_S:
            return
        self._presses += 1
        self._pressed_at = now
        if self._presses >= _PRESSES_TO_KILL:
            os.kill(self._supervisor, signal.SIGKILL)
            self._end_all()
            self._terminal.restore()
            _say("interrupted again: everything is killed now; the next run goes on from here")
            signals.die_by(signum)

    def _suspend(self, *, from_terminal: bool) -> None:
        """Suspend, as Ctrl-Z requests; units continue in their own sessions."""
        self._terminal.restore()
        if not from_terminal:
            os.kill(self._supervisor, signal.SIGTSTP)
        # Unlike SIGSTOP, the default action does not suspend a process that no shell can continue.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTSTP,))
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTSTP,))

    def _reap(self) -> Optional[int]:
        """Reap all ended children; stop and return the status when the supervisor is among them.

        From then on another process may get its pid.
        """
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return None
                self._inherited_children.discard(pid)
                if pid == self._supervisor and not self._supervisor_reaped:
                    self._supervisor_reaped = True
                    return status
        except ChildProcessError:
            self._childless = True
            return None

    def _finish(self, status: int) -> NoReturn:
        if os.WIFSIGNALED(status):
            self._terminal.restore()
        self._end_all()
        if os.WIFSIGNALED(status):
            if os.WTERMSIG(status) == signal.SIGPROF:
                _say(watchdog.explain())
            signals.die_by(os.WTERMSIG(status))
        os._exit(os.WEXITSTATUS(status))

    @seam("guard: end all")
    def _end_all(self) -> None:
        told = guard_link.read_told(self._told_fd)
        if told.released:
            return
        base = told.mark_base
        self._proof = base, b"PROCSUP_RUN=" + os.fsencode(told.run_id)
        left = self._end_descendants(base)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            _say(f"could not end these processes within {_LIMIT_S:g} s: {pids}")
        if not self._adopts and told.run_id:
            _sweep(told.run_id, base)

    def _end_descendants(self, base: Optional[int]) -> List[procfs.Process]:
        """Stop and kill every descendant, in rounds; return those that did not die in time.

        Where /proc is hidden, the processes with the run's marks are killed. If we have no child
        any more, no descendant is left: we adopt the children of every process that dies.
        """
        deadline = time.monotonic() + _LIMIT_S
        while True:
            self._reap()
            alive = self._stop_all(deadline)
            for process in alive:
                tree_walk.send(process)
            if base is not None and not procfs.is_ours():
                marks.hit_all(base, signal.SIGKILL)
            if time.monotonic() > deadline or (not alive and not self._has_children()):
                return alive
            _pause(_ROUND_S)

    def _stop_all(self, deadline: float) -> List[procfs.Process]:
        """Stop the whole tree until no new process appears; return its processes."""
        return tree_walk.bring_to_rest(self._find, deadline)

    def _find(self) -> List[procfs.Process]:
        self._reap()  # dead processes need not be walked again
        if self._must_prove:
            return tree_walk.walk(self._find_own_children(), signum=signal.SIGSTOP)
        tree = procfs.list_descendants(os.getpid(), signum=signal.SIGSTOP)
        return [process for process in tree if not process.dead]

    def _find_own_children(self) -> List[int]:
        """Return our children without the inherited ones and without their orphans."""
        return [pid for pid in procfs.list_children(os.getpid()) if self._is_own(pid)]

    def _is_own(self, pid: int) -> bool:
        if pid in self._inherited_children:
            return False
        if pid == self._supervisor and not self._supervisor_reaped:
            return True
        base, entry = self._proof
        mark = marks.read(pid) if base is not None else None
        if mark is not None and marks.find_base(mark) == base:
            return True
        return entry in procfs.read_raw_environment(pid).split(b"\0")

    def _has_children(self) -> bool:
        if self._childless:
            return False
        if not self._adopts:
            return not self._supervisor_reaped
        return bool(self._find_own_children()) if self._must_prove else True


class Terminal:
    """The terminal as it was at the start, if there is one."""

    def __init__(self) -> None:
        self._fd: Optional[int] = next((fd for fd in (2, 0, 1) if os.isatty(fd)), None)
        self._saved: Optional[List[Any]] = None
        if self._fd is not None:
            import termios

            try:
                self._saved = termios.tcgetattr(self._fd)
            except termios.error:
                self._fd = None  # the terminal hung up

    def restore(self) -> None:
        """Restore its settings and its cursor, unless another job has the terminal now."""
        if self._fd is None or self._saved is None:
            return
        import termios

        try:
            if os.tcgetpgrp(self._fd) == os.getpgrp():
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)
                _try_write(self._fd, b"\x1b[?25h")
        except (OSError, termios.error):
            pass  # the terminal hung up, or was closed


def _next_signal(watched: Sequence[int]) -> Tuple[int, bool]:
    """Wait for a signal; return it, and whether it is known to come from the terminal."""
    if sys.platform == "linux":
        info = signal.sigwaitinfo(watched)
        return info.si_signo, info.si_code == _SI_KERNEL
    return signal.sigwait(watched), False


def _pause(seconds: float) -> None:
    """Wait until a child ends, at most this long."""
    if sys.platform == "linux":
        signal.sigtimedwait((signal.SIGCHLD,), seconds)
    else:
        time.sleep(seconds)


@seam("guard: adopt orphans")
def _adopt_orphans() -> bool:
    return tree_walk.become_subreaper()


def _let_go_of_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


@seam("guard: sweep")
def _sweep(run_id: str, base: Optional[int]) -> None:
    """Find leftovers by mark or environment, where another process adopts orphans."""
    from procsup.errors import ProcsupError
    from procsup.host.leftovers import RecordedProcesses, end_leftovers

    try:
        recorded = RecordedProcesses(run_id) if base is None else RecordedProcesses(mark_base=base)
        end_leftovers(recorded, limit_s=_LIMIT_S)
    except ProcsupError as error:
        _say(str(error))


def _say(text: str) -> None:
    _try_write(2, b"procsup: " + os.fsencode(text) + b"\n")


def _try_write(fd: int, line: bytes) -> None:
    """Write it if that does not block: a guard that waits for a reader would end nothing."""
    import select

    try:
        if select.select([], [fd], [], 0)[1]:
            os.write(fd, line)
    except OSError:
        pass  # the stream is closed

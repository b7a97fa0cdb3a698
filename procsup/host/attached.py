"""Running procsup as a child: how a program that imports it starts a run.

The guard and the supervisor are separate processes, so that the host program keeps its signal
handlers, its children and its threads. Their stdin is a pipe from this program: it carries the
plan, if there is one, and its end shows them that this program has ended.
"""

import os
import signal
import subprocess
import sys
import threading
from typing import IO, Iterable, List, NamedTuple, Optional, Sequence

from procsup.host import boot
from procsup.host.parent_watch import ASK_TO_END


class ProcessResult(NamedTuple):
    """How it ended: its exit code (negative: the signal), and what it wrote to stdout."""

    exit_code: int
    stdout: bytes


class Feed(NamedTuple):
    """What is written to the child first: `lines`; `called_off` if they raise instead of ending."""

    lines: Iterable[bytes]
    called_off: bytes


class CancelToken:
    """Stops what another thread runs with `run_attached`, from any thread and at any time.

    The first pull asks the run to stop, as SIGTERM does. Further pulls repeat the request: the
    second one kills the units at once.
    """

    def __init__(self) -> None:
        self.pulled = False
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Ask the run to stop; returns at once."""
        with self._lock:
            self.pulled = True
            if self._child is not None:
                _ask_to_end(self._child)

    def _attach(self, child: Optional["subprocess.Popen[bytes]"]) -> None:
        with self._lock:
            self._child = child
            if child is not None and self.pulled:
                _ask_to_end(child)


def run_attached(
    arguments: Sequence[str], feed: Optional[Feed] = None, *, leash: Optional[CancelToken] = None
) -> ProcessResult:
    """Run ``procsup ARGUMENTS...`` and return when it has ended; its stderr is ours.

    At an exception (Ctrl-C) the run is asked to stop; the exception continues when no process of
    the run is left. OSError if no process can be started. If this program ends meanwhile, even
    by SIGKILL, the run ends, too.
    """
    child = subprocess.Popen(
        boot.command_line(_add_owner(arguments)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    leash = leash or CancelToken()
    try:
        try:
            if feed is not None:
                _give(child.stdin, feed, leash)
            leash._attach(child)
            stdout = child.stdout.read()
            child.wait()
        except BaseException:
            _stop(child)
            raise
        return ProcessResult(child.returncode, stdout)
    finally:
        leash._attach(None)
        child.stdout.close()
        boot.close_pipe(child.stdin)


def _add_owner(arguments: Sequence[str]) -> List[str]:
    """Return the arguments that make this program the owner of the run."""
    return [arguments[0], f"--owner={os.getpid()}", *arguments[1:]]


def _give(pipe: IO[bytes], feed: Feed, leash: CancelToken) -> None:
    """Write the lines of `feed`; a child that ends before it has read them reports the reason.

    An exception of the lines always continues, even if the child has ended.
    """
    try:
        for line in feed.lines:
            if not _is_written(pipe, line):
                return
            if leash.pulled:
                _is_written(pipe, feed.called_off)
                break
    except BaseException:
        _is_written(pipe, feed.called_off)
        _is_written(pipe)
        raise
    _is_written(pipe)


def _is_written(pipe: IO[bytes], line: bytes = b"") -> bool:
    """Write a line, or flush if there is none; false if the reader has closed the pipe."""
    try:
        if line:
            pipe.write(line)
        else:
            pipe.flush()
    except (BrokenPipeError, ConnectionResetError):
        return False
    except OSError as error:
        if sys.platform != "win32" or error.errno != 22:  # EINVAL: a broken pipe on Windows
            raise
        return False
    return True


def _stop(child: "subprocess.Popen[bytes]") -> None:
    """Ask it to end and wait until it has.

    The terminal sends Ctrl-C to it, too: our request then counts as the same press. Each further
    Ctrl-C here repeats the request, and kills its units at once.
    """
    while child.poll() is None:
        _ask_and_wait(child)


def _ask_and_wait(child: "subprocess.Popen[bytes]") -> None:
    try:
        _ask_to_end(child)
        child.wait()
    except KeyboardInterrupt:
        pass  # the request is repeated


def _ask_to_end(child: "subprocess.Popen[bytes]") -> None:
    """Send it SIGTERM, or the same request by its stdin if SIGTERM might get lost.

    If this program ignores SIGTERM, the child inherits that and ignores it, too, until it sets a
    handler. A byte in the pipe stays until the child reads it.
    """
    assert child.stdin is not None
    try:
        if _is_ignored(signal.SIGTERM):
            child.stdin.write(ASK_TO_END)
            child.stdin.flush()
        else:
            child.send_signal(signal.SIGTERM)
    except (OSError, ValueError):
        pass  # it has ended, and its pipe is broken or closed


def _is_ignored(signum: int) -> bool:
    """Whether this process ignores a signal, also if code outside of Python arranged that."""
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"SigIgn:"):
                    return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    except (OSError, ValueError):
        pass  # there is no /proc: only Python's own record is left
    return signal.getsignal(signum) is signal.SIG_IGN


class SupervisorProcess(boot.Announcing):
    """A supervisor that runs beside this program, until its run is over or this program ends."""

    def __init__(self, arguments: Sequence[str]) -> None:
        child = boot.start_own_child(_add_owner(arguments))
        super().__init__(child, relay=len, cancel=lambda: _stop(child))

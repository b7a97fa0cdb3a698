"""Running procsup as a child: how a program that imports it starts a run.

The guard and the supervisor are processes of their own, so that the host program keeps its
signal handlers, its children and its threads. Their stdin is a pipe from here: by it comes the
plan, if there is one, and its end tells them that this program is gone.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from typing import IO, Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

from procsup.host import boot
from procsup.host.tie import ASK_TO_END

_LAST_WORDS_S = 2.0
_SAID_LIMIT_BYTES = 1 << 16


class Finished(NamedTuple):
    """How it ended: its exit code (negative: the signal), and what it wrote to stdout."""

    exit_code: int
    stdout: bytes


class Feed(NamedTuple):
    """What is written to the child first: `lines`; `called_off` if they raise instead of ending."""

    lines: Iterable[bytes]
    called_off: bytes


class Leash:
    """Stops what another thread runs with `run_attached`, from any thread and at any time.

    The first pull asks the run to stop, as SIGTERM does; each further one is passed on, too:
    the second ends the units at once.
    """

    def __init__(self) -> None:
        self.pulled = False
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._lock = threading.Lock()

    def pull(self) -> None:
        """Ask for the end; returns at once."""
        with self._lock:
            self.pulled = True
            if self._child is not None:
                _ask_to_end(self._child)

    def _tie(self, child: Optional["subprocess.Popen[bytes]"]) -> None:
        with self._lock:
            self._child = child
            if child is not None and self.pulled:
                _ask_to_end(child)


def run_attached(
    arguments: Sequence[str], feed: Optional[Feed] = None, *, leash: Optional[Leash] = None
) -> Finished:
    """Run ``procsup ARGUMENTS...`` and return when it has ended; its stderr is ours.

    Ended by an exception (Ctrl-C), the run is asked to stop, and the exception goes on when it
    has: nothing of it is left then. OSError if no process can be started. Does this program end
    meanwhile, by whatever cause, the run ends with it.
    """
    child = subprocess.Popen(
        boot.command_line([arguments[0], f"--owner={os.getpid()}", *arguments[1:]]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    leash = leash or Leash()
    try:
        try:
            if feed is not None:
                _give(child.stdin, feed, leash)
            leash._tie(child)
            stdout = child.stdout.read()
            child.wait()
        except BaseException:
            _stop(child)
            raise
        return Finished(child.returncode, stdout)
    finally:
        leash._tie(None)
        child.stdout.close()
        _close(child.stdin)


def _give(pipe: IO[bytes], feed: Feed, leash: Leash) -> None:
    """Write what is fed; a child that ends before it has read all of it says why by itself.

    What the lines raise goes on, whatever it is and whatever became of the child.
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
    """Write a line, or flush if there is none; false if the reader has gone."""
    try:
        if line:
            pipe.write(line)
        else:
            pipe.flush()
    except (BrokenPipeError, ConnectionResetError):
        return False
    except OSError as error:
        if sys.platform != "win32" or error.errno != 22:  # so it says there that a pipe broke
            raise
        return False
    return True


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except OSError:
        pass  # what was not written has no reader any more


def _stop(child: "subprocess.Popen[bytes]") -> None:
    """Ask it to end and wait until it has.

    A terminal's Ctrl-C reaches it by itself: the request is the same press then. Each further
    one here is passed on, and ends its units at once.
    """
    while child.poll() is None:
        _ask_and_wait(child)


def _ask_and_wait(child: "subprocess.Popen[bytes]") -> None:
    try:
        _ask_to_end(child)
        child.wait()
    except KeyboardInterrupt:
        pass  # it is asked once more


def _ask_to_end(child: "subprocess.Popen[bytes]") -> None:
    """Send it SIGTERM, or say the same by its stdin where SIGTERM might get lost.

    A program that ignores SIGTERM hands that down, and its child hears none until it has undone
    that. What stands in the pipe is there whenever the child comes to look.
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
    """Tell whether this process ignores a signal, however that was brought about."""
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"SigIgn:"):
                    return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    except (OSError, ValueError):
        pass  # there is no /proc: what Python knows must do
    return signal.getsignal(signum) is signal.SIG_IGN


class Companion:
    """A supervisor that runs beside this program, in a session of its own.

    `ready` is what it announced; None: it ended before, with `exit_code`, having `said` that. It
    lives until its run is over, `let_go` is called or this program ends.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._child = boot.start_apart([arguments[0], f"--owner={os.getpid()}", *arguments[1:]])
        self._said: List[bytes] = []
        self._over = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        try:
            self._listener.start()
            self.ready = self._read_announcement()
        except BaseException:
            _stop(self._child)
            raise
        finally:
            # Takes its exit status one day: no zombie is left in a program that lives longer.
            threading.Thread(target=self._reap, daemon=True).start()
        if self.ready is None or "error" in self.ready:
            self._over.wait()
            self._listener.join(_LAST_WORDS_S)

    @property
    def exit_code(self) -> Optional[int]:
        """Its exit code once it has ended (negative: the signal)."""
        return self._child.returncode

    @property
    def said(self) -> str:
        """What it wrote to stderr until it was ready."""
        return b"".join(self._said).decode("utf-8", "replace")

    def wait(self, timeout_s: Optional[float] = None) -> bool:
        """Return when it has ended, its guard too: no process of the run is left; False if late."""
        return self._over.wait(timeout_s)

    def kill_units(self) -> None:
        """Ask it twice to end: its units are killed at once."""
        _ask_to_end(self._child)

    def _reap(self) -> None:
        self._child.wait()
        assert self._child.stdin is not None
        _close(self._child.stdin)
        self._over.set()

    def _read_announcement(self) -> Optional[Dict[str, Any]]:
        assert self._child.stdout is not None
        with self._child.stdout as stdout:
            for line in stdout:
                try:
                    ready = json.loads(line)
                except ValueError:
                    continue  # something else that wrote there
                if isinstance(ready, dict):
                    return ready
        return None

    def _listen(self) -> None:
        assert self._child.stderr is not None
        with self._child.stderr as stderr:
            size = 0
            for line in stderr:
                if size < _SAID_LIMIT_BYTES:
                    self._said.append(line)
                    size += len(line)

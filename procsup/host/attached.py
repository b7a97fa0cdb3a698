"""Runs procsup as a child process, for a program that imports it.

The guard and the supervisor are separate processes, so that the host program keeps its signal
handlers, its children and its threads. Their stdin is a pipe from this program: it carries the
request, and the plan if there is one, and its end shows them that this program has ended.
"""

import os
import signal
import subprocess
import threading
from itertools import chain
from typing import IO, Callable, Iterable, Iterator, List, NamedTuple, Optional

from procsup.host import boot
from procsup.host.guard import OWNER
from procsup.host.parent_watch import ASK_TO_END


class ProcessResult(NamedTuple):
    """How the child ended: its exit code (negative: the signal), and its stdout."""

    exit_code: int
    stdout: bytes


class Feed(NamedTuple):
    """What is written to the child first: the request, then the `plan`, if there is one.

    If the iterator of the plan raises, `called_off` follows. Process lists show the `label`. A plan
    that `grows` is made while the child carries it out.
    """

    label: str
    request: bytes
    plan: Iterable[bytes] = ()
    called_off: bytes = b""
    grows: bool = False

    def format_arguments(self) -> List[str]:
        """Return the command line of the process that belongs to this one."""
        return [f"{OWNER}{os.getpid()}", self.label]


class CancelToken:
    """Stops what another thread runs with `run_attached`, from any thread and at any time.

    The first `cancel` asks the run to stop, as SIGTERM does. The second one kills the units at
    once.
    """

    def __init__(self) -> None:
        self.is_cancelled = False
        self._child: Optional[subprocess.Popen[bytes]] = None
        self._calls: List[Callable[[], object]] = []
        self._calls_over: List[Callable[[], object]] = []
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Ask the run to stop; returns at once."""
        with self._lock:
            self.is_cancelled = True
            for call in self._calls:
                call()
            if self._child is not None:
                _ask_to_end(self._child)

    def on_cancel(self, call: Callable[[], object]) -> None:
        """Have this called at each pull, from then on; at once if it was pulled already."""
        with self._lock:
            self._calls.append(call)
            if self.is_cancelled:
                call()

    def on_over(self, call: Callable[[], object]) -> None:
        """Register a function to call when the run has ended, maybe before all units were made."""
        with self._lock:
            self._calls_over.append(call)

    def note_over(self) -> None:
        """Note that the run is over."""
        with self._lock:
            calls = list(self._calls_over)
        for call in calls:
            call()

    def _attach(self, child: Optional["subprocess.Popen[bytes]"]) -> None:
        with self._lock:
            self._child = child
            if child is not None and self.is_cancelled:
                _ask_to_end(child)


def run_attached(feed: Feed, *, cancel_token: Optional[CancelToken] = None) -> ProcessResult:
    """Start a supervisor with this request and return when it has ended; it writes to our stderr.

    At an exception (Ctrl-C) the run is asked to stop; the exception continues when no process of
    the run is left. OSError if no process can be started. If this program ends meanwhile, even
    by SIGKILL, the run ends, too.
    """
    child = subprocess.Popen(
        boot.make_command_line(feed.format_arguments(), entry=boot.HOSTED),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    cancel_token = cancel_token or CancelToken()
    try:
        try:
            lines = _list_lines(feed, cancel_token)
            if feed.grows:
                cancel_token._attach(child)
            answer = _Answer(child.stdout, cancel_token)
            if feed.grows:
                answer.read_aside()  # the child may answer before it has read all lines
            boot.write_lines(child.stdin, lines, feed.called_off, at_once=feed.grows)
            if not feed.grows:
                cancel_token._attach(child)
            stdout = answer.get()
            child.wait()
        except BaseException:
            _stop(child, is_asked=feed.grows and cancel_token.is_cancelled)
            raise
        return ProcessResult(child.returncode, stdout)
    finally:
        cancel_token._attach(None)
        child.stdout.close()
        boot.close_pipe(child.stdin)


class _Answer:
    """The stdout of a child, up to its end."""

    def __init__(self, stdout: IO[bytes], cancel_token: CancelToken) -> None:
        self._stdout = stdout
        self._cancel_token = cancel_token
        self._data = b""
        self._thread: Optional[threading.Thread] = None

    def read_aside(self) -> None:
        """Read it on a thread; RuntimeError if there can be none."""
        self._thread = threading.Thread(target=self._read, name="procsup-answer", daemon=True)
        self._thread.start()

    def get(self) -> bytes:
        """Return all of it at its end."""
        if self._thread is None:
            return self._stdout.read()
        self._thread.join()
        return self._data

    def _read(self) -> None:
        try:
            self._data = self._stdout.read()
        finally:
            self._cancel_token.note_over()


def _list_lines(feed: Feed, cancel_token: CancelToken) -> Iterator[bytes]:
    """Yield the lines for the child; a plan that is cancelled meanwhile ends with `called_off`."""
    for line in chain([feed.request], feed.plan):
        yield line
        if cancel_token.is_cancelled and feed.called_off:
            yield feed.called_off
            return


def _stop(child: "subprocess.Popen[bytes]", *, is_asked: bool = False) -> None:
    """Ask it to end, unless it is asked already, and wait until it has.

    The terminal sends Ctrl-C to it, too: our request then counts as the same press. Each further
    exception here, such as another Ctrl-C, repeats the request, which kills its units at once. An
    exception other than Ctrl-C is raised when the child has ended.
    """
    late = None
    while child.poll() is None:
        late = _ask_and_wait(child, is_asked=is_asked) or late
        is_asked = False
    if late is not None:
        raise late


def _ask_and_wait(child: "subprocess.Popen[bytes]", *, is_asked: bool) -> Optional[BaseException]:
    """Ask once; return the exception that ended the wait, unless it is Ctrl-C."""
    try:
        if not is_asked:
            _ask_to_end(child)
        child.wait()
    except KeyboardInterrupt:
        return None  # the exception that began the stop continues
    except BaseException as error:  # noqa: BLE001 - raised when the child has ended
        return error
    return None


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


def can_grow() -> bool:
    """Whether a run that we attach can be asked to end while its stdin carries units."""
    return not _is_ignored(signal.SIGTERM)


def _is_ignored(signum: int) -> bool:
    """Whether this process ignores a signal, even if code outside of Python set that."""
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

    def __init__(self, feed: Feed, cancel_token: Optional[CancelToken] = None) -> None:
        child = boot.start_own_child(feed.format_arguments())
        cancel_token = cancel_token or CancelToken()
        lines = _list_lines(feed, cancel_token)
        if feed.grows:
            cancel_token._attach(child)

        def cancel() -> None:
            _stop(child, is_asked=feed.grows and cancel_token.is_cancelled)

        super().__init__(
            child,
            lines,
            feed.called_off,
            relay=len,
            cancel=cancel,
            aside=feed.grows,
            on_over=cancel_token.note_over,
        )
        if not feed.grows:
            cancel_token._attach(child)

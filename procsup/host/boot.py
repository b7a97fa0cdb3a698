"""Starts another process of this same procsup: its command line, its start, its announcement."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from importlib.machinery import PathFinder
from typing import IO, Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from procsup import __version__
from procsup.errors import UsageError

READY = "procsup-is-ready"  # marks an announcement: other code may print JSON as well
_LAST_WORDS_S = 2.0
_SAID_LIMIT_BYTES = 1 << 16
# It imports this same package from its folder. The folder is then removed from the search path, so
# units do not inherit it. The current folder is not searched. Folders in which only this program
# found procsup's requirements come before the packages of that interpreter.
_BOOT = """\
import sys
if sys.path and sys.path[0] == "": del sys.path[0]
sys.argv[0] = "procsup"
home, end = sys.argv[1], sys.argv.index("--")
more = [path for path in sys.argv[2:end] if path not in sys.path]
del sys.argv[1:end + 1]
sys.path.insert(0, home)
import procsup
sys.path.remove(home)
sites = [n for n, path in enumerate(sys.path) if path.endswith("-packages")]
n = min(sites, default=len(sys.path))
sys.path[n:n] = more
"""
# For an interpreter that the user named: its own procsup must have the same version.
_NAMED_BOOT = """\
import os, sys
if sys.path and sys.path[0] == "": del sys.path[0]
sys.argv[0] = "procsup"
version = sys.argv.pop(1)
del os.environ["PROCSUP_PYTHON"]
try:
    from procsup import __version__ as found
except ImportError:
    found = "none"
if found != version:
    said = "PROCSUP_PYTHON names %s, whose procsup is %s: install procsup %s there"
    error = {"type": "UsageError", "message": said % (sys.executable, found, version)}
    import json
    print(json.dumps({"error": dict(error, exit_code=2)}))
    sys.exit(2)
"""
PYTHON = "PROCSUP_PYTHON"
NEEDS = ("click", "msgspec", "psutil", "rich", "tomli", "typing_extensions")
_PYTHON_NAMES = ("python", "pypy", "graalpy")
# What it does then: it carries out the request that it reads from stdin.
HOSTED = "from procsup.__main__ import program\nsys.exit(program(hosted=True))\n"
HOSTED_APART = (
    "from procsup.__main__ import program\nsys.exit(program(hosted=True, detached=True))\n"
)


def make_command_line(arguments: Sequence[str], *, entry: str) -> List[str]:
    """Return the argv that starts a procsup process with this interpreter and package.

    `entry` is the Python text that it executes once the package is found. UsageError if this
    program is not a Python interpreter, or a frozen program: it would start itself. The environment
    variable PROCSUP_PYTHON names another interpreter, which has procsup.
    """
    options = _list_interpreter_options()
    named = os.environ.get(PYTHON)
    if named:
        return [named, *options, "-c", _NAMED_BOOT + entry, __version__, *arguments]
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    homes = [home, *_find_needs()]
    return [_find_interpreter(), *options, "-c", _BOOT + entry, *homes, "--", *arguments]


def _find_interpreter() -> str:
    program = sys.executable
    if not program:
        problem = "it has no `sys.executable`"
    elif getattr(sys, "frozen", False):
        problem = "it is frozen, and would start itself"
    else:
        for path in (program, os.path.realpath(program)):
            if any(name in os.path.basename(path).lower() for name in _PYTHON_NAMES):
                return program
        problem = f"its `sys.executable` is no Python: {program}"
    raise UsageError(
        f"this program cannot start the supervisor of a run: {problem}. Set the environment"
        f" variable {PYTHON} to the path of a Python in which procsup {__version__} is installed"
    )


def _find_needs() -> List[str]:
    """Return the folders from which this program loads procsup's requirements."""
    found: Dict[str, None] = {}
    for name in NEEDS:
        spec = getattr(sys.modules.get(name), "__spec__", None) or PathFinder.find_spec(name)
        if spec is not None and spec.origin:
            folder = os.path.dirname(os.path.abspath(spec.origin))
            is_package = spec.submodule_search_locations is not None
            found[os.path.dirname(folder) if is_package else folder] = None
    return list(found)


def start_own_child(
    arguments: Sequence[str],
    *,
    entry: str = HOSTED_APART,
    stderr: Optional[int] = subprocess.PIPE,
    environment: Optional[Mapping[str, str]] = None,
) -> "subprocess.Popen[bytes]":
    """Start a procsup process in its own session; its stdin and stdout are pipes.

    `environment` is by default `os.environ`. OSError if it cannot be started.
    """
    options: Dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        options = {"creationflags": flags}
    return subprocess.Popen(
        make_command_line(arguments, entry=entry),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment,
        **options,
    )


class Announcing:
    """A procsup that `start_own_child` started, from its start until it is ready or has ended.

    It gets the `lines` by `write_lines`. `ready` is the line of JSON that it announces on its
    stdout; None: it ended before, with `exit_code`. `said` is its stderr until then, which also
    goes to `relay` line by line. An exception meanwhile (Ctrl-C) calls `cancel`. If the lines are
    many and made meanwhile (`aside`), a thread writes them; if they raise, it calls `cancel`, and
    `problem` is that exception. `on_over` is called when the process has ended.
    """

    def __init__(
        self,
        child: "subprocess.Popen[bytes]",
        lines: Iterable[bytes],
        called_off: bytes = b"",
        *,
        relay: Callable[[bytes], object],
        cancel: Callable[[], object],
        aside: bool = False,
        on_over: Callable[[], object] = bool,
    ) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._child = child
        self._relay = relay
        self._said: List[bytes] = []
        self.problem: Optional[BaseException] = None
        self._over = threading.Event()
        self._on_over = on_over
        listener = threading.Thread(target=self._listen, daemon=True)
        try:
            listener.start()
            with child.stdout:
                if aside:
                    write = partial(self._write, child.stdin, lines, called_off, cancel)
                    writer = threading.Thread(target=write, name="procsup-units", daemon=True)
                    writer.start()
                else:
                    write_lines(child.stdin, lines, called_off)
                self.ready = _read_announcement(child.stdout)
        except BaseException:
            cancel()
            raise
        finally:
            # It reaps the process, so that no zombie is left in a program that lives longer.
            threading.Thread(target=self._reap, daemon=True).start()
        if self.ready is None or "error" in self.ready:
            self._over.wait()
            if aside:
                writer.join(_LAST_WORDS_S)
        # A ready child has closed the pipe. If it ended, other processes may still hold it.
        listener.join(_LAST_WORDS_S)

    @property
    def exit_code(self) -> Optional[int]:
        """Its exit code once it has ended (negative: the signal)."""
        return self._child.returncode

    @property
    def said(self) -> str:
        """Its stderr until it was ready."""
        return b"".join(self._said).decode("utf-8", "replace")

    def wait(self, timeout_s: Optional[float] = None) -> bool:
        """Return when it has ended, its guard too: no process of the run is left; False if late."""
        return self._over.wait(timeout_s)

    def _write(
        self,
        stdin: IO[bytes],
        lines: Iterable[bytes],
        called_off: bytes,
        cancel: Callable[[], object],
    ) -> None:
        def note_problem() -> Iterator[bytes]:
            try:
                yield from lines
            except GeneratorExit:
                raise  # the reader has ended, and the lines are closed
            except (
                BaseException
            ) as error:  # set before the other process gets the line that ends the plan
                self.problem = error
                raise

        try:
            write_lines(stdin, note_problem(), called_off, at_once=True)
        except BaseException:  # noqa: BLE001 - raised where the run is awaited
            cancel()

    def _reap(self) -> None:
        self._child.wait()
        if self._child.stdin is not None:
            close_pipe(self._child.stdin)
        self._over.set()
        self._on_over()

    def _listen(self) -> None:
        assert self._child.stderr is not None
        with self._child.stderr as stderr:
            size = 0
            for line in stderr:
                if size < _SAID_LIMIT_BYTES:
                    self._said.append(line)
                    size += len(line)
                self._relay(line)


def _read_announcement(stdout: IO[bytes]) -> Optional[Dict[str, Any]]:
    for line in stdout:
        try:
            ready = json.loads(line)
        except ValueError:
            continue  # the output of other code
        if isinstance(ready, dict) and (ready.pop(READY, False) or "error" in ready):
            return ready
    return None


def relay_to_stderr(line: bytes) -> None:
    """Write a line from the stderr of another procsup process to our own stderr."""
    try:
        os.write(2, line)
    except OSError:
        pass  # closed: our terminal is gone


def try_write(pipe: IO[bytes], line: bytes = b"") -> bool:
    """Write a line, or flush if there is none; false if the reader has closed the pipe.

    A program that keeps SIGPIPE's default action does not die of it either.
    """
    try:
        with _without_sigpipe():
            if line:
                pipe.write(line)
            else:
                pipe.flush()
    except (BrokenPipeError, ConnectionResetError):
        return False
    except ValueError:
        if not pipe.closed:
            raise
        return False  # the reader has ended, and the pipe was closed
    except OSError as error:
        if sys.platform != "win32" or error.errno != 22:  # EINVAL: a broken pipe on Windows
            raise
        return False
    return True


def write_lines(
    pipe: IO[bytes], lines: Iterable[bytes], called_off: bytes = b"", *, at_once: bool = False
) -> None:
    """Write lines, as long as the pipe has a reader: one that ends early reports the reason itself.

    With `at_once` each line is sent as it comes. If the iterator raises, `called_off` is written as
    the last line and the exception continues, even if the reader has ended.
    """
    try:
        for line in lines:
            if not try_write(pipe, line) or (at_once and not try_write(pipe)):
                return
    except BaseException:
        try_write(pipe, called_off)
        try_write(pipe)
        raise
    try_write(pipe)


@contextmanager
def _without_sigpipe() -> Iterator[None]:
    """Block SIGPIPE in this thread, to which a broken pipe sends it, and discard a pending one."""
    if sys.platform == "win32" or signal.getsignal(signal.SIGPIPE) is not signal.SIG_DFL:
        yield
        return
    held = {signal.SIGPIPE}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        if signal.SIGPIPE not in before:
            if signal.SIGPIPE in signal.sigpending():
                signal.sigwait(held)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def close_pipe(pipe: IO[bytes]) -> None:
    """Close a pipe to a child, which may have ended."""
    try:
        with _without_sigpipe():
            pipe.close()
    except OSError:
        pass  # the rest has no reader any more


def _list_interpreter_options() -> List[str]:
    """Return the options that affect the module search: the new process must find the same."""
    if sys.flags.isolated:
        return ["-I"]
    options = ["-E"] if sys.flags.ignore_environment else []
    return [*options, "-s"] if sys.flags.no_user_site else options

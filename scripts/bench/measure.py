"""What one command costs, and nothing left of it: the workshop in which all is measured.

Each command runs in a session of its own, with a limit in time, in a new empty folder. On Linux
what a command leaves behind becomes our child (a subreaper's), so that a daemon's CPU time is
counted with the command that started it, and it is ended before the next one starts.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

import _setup

from bench.processes import Watch, become_subreaper, end_strays, kill_group, own_peak_bytes

PROGRAMS = Path(__file__).resolve().parent / "programs"
SETTLING_S = 5.0
NAME = "bench"  # of every run of procsup here


class Command(NamedTuple):
    """What is run: `argv` in `room`, with `stdin` from a file and `env` on top of the usual."""

    argv: List[str]
    room: Path
    stdin: Optional[Path] = None
    env: Optional[Dict[str, str]] = None


class Cost(NamedTuple):
    """What a command took: wall time, CPU time of it and all that it started, peak memory.

    `largest_bytes` is the largest single process (high-water mark), `tree_bytes` the sum over all
    of its processes at one moment, as sampled; 0 where the system does not tell.
    """

    wall_s: float
    cpu_s: float
    largest_bytes: int
    tree_bytes: int


class CommandFailed(Exception):
    """A command ended badly, or had to be ended; the message holds its last lines."""

    def __init__(self, problem: str, room: Path) -> None:
        words = last_words(room)
        super().__init__(f"{problem}: {words}" if words else problem)


class Workshop:
    """Where things are measured: a folder in the repository's build/, and the Python to use.

    Nothing is deleted before all is measured: deletions make the file system slower for whoever
    creates files after them.
    """

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.python = python
        self.procsup = [python, "-m", "procsup"]
        self.env = _setup.clean_environ(PYTHONPATH=str(PROGRAMS), HOME=str(folder))
        self.env["XDG_CACHE_HOME"] = str(folder / "cache")
        self._count = 0

    def room(self) -> Path:
        """Return a new empty folder."""
        self._count += 1
        room = self.folder / f"{self._count:04d}"
        room.mkdir()
        return room

    def cost(self, command: Command, limit_s: float = 600.0) -> Cost:
        """Run a command to its end and return what it took; CommandFailed unless it exits 0."""
        code, cost, overdue = self.outcome(command, limit_s)
        if overdue:
            raise CommandFailed(f"ended by us after {limit_s:.0f} s", command.room)
        if code != 0:
            ended = f"exit code {code}" if code > 0 else f"signal {-code}"
            raise CommandFailed(ended, command.room)
        return cost

    def outcome(self, command: Command, limit_s: float) -> "Outcome":
        """Run a command to whatever end it comes to, and clear away what it leaves."""
        before = time.perf_counter()
        with self.started(command) as child, Watch(limit_s, child.pid) as watch:
            _, status, usage = os.wait4(child.pid, 0)
            wall_s = time.perf_counter() - before
            child.returncode = code_of(status)
        cpu_s = usage.ru_utime + usage.ru_stime + end_strays()
        largest = usage.ru_maxrss * (1 if _counts_bytes() else 1024)
        if largest <= own_peak_bytes():  # a child's mark begins at its parent's: says nothing
            largest = watch.largest_bytes
        cost = Cost(wall_s, cpu_s, max(largest, watch.largest_bytes), watch.tree_bytes)
        return Outcome(child.returncode, cost, watch.overdue)

    @contextlib.contextmanager
    def started(self, command: Command, **streams: int) -> Iterator["subprocess.Popen[bytes]"]:
        """Start a command; when the block is left, it and all of its session are ended.

        What it says goes to said.txt in its room, unless `streams` say otherwise.
        """
        source = command.stdin if command.stdin is not None else Path(os.devnull)
        with source.open("rb") as given, (command.room / "said.txt").open("ab") as said:
            child = subprocess.Popen(
                command.argv,
                cwd=str(command.room),
                env={**self.env, **(command.env or {})},
                stdin=given,
                stdout=streams.get("stdout", said),
                stderr=streams.get("stderr", said),
                start_new_session=True,
            )
        try:
            yield child
        finally:
            kill_group(child.pid)
            if child.returncode is None:
                child.wait()

    def run_file(self, room: Path, stages: str) -> None:
        """Write a run file into a room."""
        (room / "procsup.toml").write_text(f'name = "{NAME}"\n{stages}', encoding="utf-8")

    def run_folder(self, room: Path) -> Path:
        """Return the run directory of the run in a room."""
        return room / ".procsup" / NAME

    def manifest(self, room: Path) -> Dict[str, Any]:
        """Return the manifest of the run in a room."""
        with (self.run_folder(room) / "manifest.json").open(encoding="utf-8") as stream:
            manifest: Dict[str, Any] = json.load(stream)
        return manifest


class Outcome(NamedTuple):
    """How a command ended: its exit code (minus the signal), its cost, ended by us or not."""

    code: int
    cost: Cost
    overdue: bool


def stage(argv: Sequence[str], units: int, *, jobs: int = 2, name: str = "all") -> str:
    """Return the text of a stage: so many units of a command, each with its number appended.

    What is finished stays so when the run is repeated, though it has no outputs to be kept by.
    """
    command = json.dumps([*argv, "{i}"], ensure_ascii=False)
    return (
        f'jobs = {jobs}\n[stage.{name}]\ncommand = {command}\nkeep = "always"\n'
        f'matrix.i = {{ range = "1..{units}" }}\n'
    )


def last_words(room: Path, lines: int = 3) -> str:
    """Return the last lines that a command said in a room, as one."""
    try:
        text = (room / "said.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    text = text.replace(str(_setup.ROOT) + os.sep, "").replace("\r", "\n")  # ours alone: no news
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(said[-lines:])[-400:]


@contextlib.contextmanager
def workshop() -> Iterator[Workshop]:
    """Make a workshop and clear it away afterwards, interrupted or not; SIGTERM is Ctrl-C."""
    if not hasattr(os, "wait4"):
        raise _setup.SetupFailed("the benchmarks compare with xargs and need a POSIX system")
    python = str(_setup.environment("bench", ["bench"]))
    become_subreaper()
    sys.setswitchinterval(0.0002)  # a sample in another thread must not hold up a clock in this one
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    (_setup.ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=str(_setup.ROOT / "build")))
    try:
        yield Workshop(folder, python)
    finally:
        end_strays()
        shutil.rmtree(str(folder), ignore_errors=True)


def settle() -> None:
    """Let the machine come to rest: what was written and removed before is still being put away.

    Without it the first hundred ends after a large work take twice as long to become durable.
    """
    os.sync()
    time.sleep(SETTLING_S)


def program(name: str, path: Optional[str] = None) -> str:
    """Return a program's full path."""
    found = shutil.which(name, path=path)
    if found is None:
        raise _setup.SetupFailed(f"{name} is not on the PATH: the benchmark needs it")
    return found


def code_of(status: int) -> int:
    """Return an exit code, or minus the signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _counts_bytes() -> bool:
    """Tell whether ru_maxrss is in bytes here, as on macOS, and not in KiB."""
    return os.uname().sysname == "Darwin"

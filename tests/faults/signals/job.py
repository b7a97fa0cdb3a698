"""One procsup started in one of the ways that people start it, and what is seen of it."""

import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, List, Optional

from procsup.host import procfs
from tests.faults import laws
from tests.faults.trees.crowd import HAS_PROC, Crowd
from tests.support.guarded import Told, program
from tests.support.projects import PROGRAMS, PYTHON, Project

LIMIT_S = 15.0
GAP_S = 0.25  # presses closer together are one
PAUSE_S = 0.005
KEYS = {"INT": b"\x03", "QUIT": b"\x1c", "TSTP": b"\x1a"}
CURSOR = b"\x1b[?25"
RUN = """
[stage.s]
command = ["{python}", "-I", "-S", "{program}", "{{shape}}", "0", "{folder}"]
matrix.shape = [{shapes}]
"""


class Job:
    """A run of these shapes as a job; a context manager that leaves nothing behind."""

    def __init__(
        self, folder: Path, way: str, shapes: List[str], more: str = "", other: str = ""
    ) -> None:
        self.folder = folder
        self.way = way
        self.project = Project(folder)
        self.crowd = Crowd(folder)
        self.shown = b""
        (folder / "pids").mkdir(parents=True)
        text = RUN.format(
            python=PYTHON,
            program=PROGRAMS / "shapes.py",
            folder=folder,
            shapes=", ".join(f'"{shape}"' for shape in shapes),
        )
        self.project.write("run.toml", text + more)
        self.project.write("other.py", other)  # another procsup
        self._fds: List[int] = []
        self.reading_fd = -1
        self._terminal_fd = -1
        self._told: Optional[Told] = None
        self.guard = -1
        self._pressed_at = 0.0

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        for pid in (self.guard, self.supervisor):
            if pid > 0:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # as it should be
        if self._told is not None:
            self._told.__exit__()
        self.crowd.end()
        for fd in (*self._fds, self.reading_fd):
            if fd >= 0:
                os.close(fd)

    # --- starting ---------------------------------------------------------------------------

    def start(self, point: str = "none", times: int = 1) -> None:
        """Start the job, to be held at a point; its pid is then `guard`."""
        argv = [sys.executable, str(PROGRAMS / "paused_procsup.py"), point, str(times)]
        self.start_program([*argv, str(self.folder), "run", "run.toml", "--jobs", "2"])

    def start_program(self, argv: List[str]) -> None:
        """Start any program as the job; its pid is then `guard`."""
        shell = program("job_shell.py", self.way, *self._streams(), *argv)
        options: Any = {"cwd": str(self.folder), "start_new_session": True}
        self._told = Told(shell, **options)
        self.guard = int(self._told.wait_for("job"))

    def _streams(self) -> List[str]:
        if self.way in ("pty", "background"):
            self.reading_fd, self._terminal_fd = os.openpty()
            self._fds.append(self._terminal_fd)
            name = os.ttyname(self._terminal_fd)
            self.settings_before = self.settings()
            return [name if self.way == "pty" else os.devnull, name, name]
        out = str(self.folder / "said")
        if self.way == "pipe":
            os.mkfifo(out)
            self.reading_fd = os.open(out, os.O_RDONLY | os.O_NONBLOCK)
        return [os.devnull, out, out]

    # --- doing ------------------------------------------------------------------------------

    def press(self, name: str) -> None:
        """Send a signal as people do: by the keyboard, to the group, or to the process."""
        if self.way == "pty" and name in KEYS:
            os.write(self.reading_fd, KEYS[name])
            return
        signum = signal.Signals[f"SIG{name}"]
        try:
            if self.way == "nohup":
                os.killpg(self.guard, signum)
            else:
                os.kill(self.guard, signum)
        except ProcessLookupError:
            pass  # an earlier press was enough

    def type(self, line: str) -> None:
        """Type a line at the terminal."""
        os.write(self.reading_fd, line.encode() + b"\n")

    def pressed(self) -> None:
        """Note when that was."""
        self._pressed_at = time.monotonic()

    def since_press_s(self) -> float:
        """Return how long ago the last press was."""
        return time.monotonic() - self._pressed_at

    def continue_group(self) -> None:
        """Continue all of it, as the shell's ``fg`` does."""
        os.killpg(self.guard, signal.SIGCONT)

    def go(self) -> None:
        """Let it go on from where it is held."""
        (self.folder / "go").touch()

    def release(self) -> None:
        """Let the units end well."""
        (self.folder / "release").touch()

    def lose_reader(self) -> None:
        """Close the other end of its stdout and stderr."""
        os.close(self.reading_fd)
        self.reading_fd = -1

    # --- looking ----------------------------------------------------------------------------

    @property
    def supervisor(self) -> int:
        """The supervisor's pid, as the journal or the held one tells it; -1 if nobody does."""
        begun = self.records("begin")
        if begun:
            self.crowd.run_id = begun[-1]["run_id"]
            return int(begun[-1]["pid"])
        try:
            return int((self.folder / "paused").read_text())
        except FileNotFoundError:
            return -1

    def records(self, kind: str) -> List[Any]:
        """Return the journal's records of a type."""
        found = laws.records(self.project.rundir)
        return [record for record in found if record["t"] == kind]

    def settings(self) -> List[Any]:
        """Return the terminal's settings."""
        import termios

        return termios.tcgetattr(self._terminal_fd)

    def wait_until(self, what: str, is_so: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
        """Wait until something is so; what is shown meanwhile is read."""
        deadline = time.monotonic() + limit_s
        while not is_so():
            self.read_what_is_shown()
            assert time.monotonic() < deadline, f"not {what}; shown: {self.shown[-800:]!r}"
            laws.pause(PAUSE_S)

    def wait_until_held(self) -> None:
        """Wait until it has come to the point where it is held."""
        self.wait_until("at that point", (self.folder / "paused").exists)

    def wait_until_ready(self, *shapes: str) -> None:
        """Wait until these units are there."""
        for shape in shapes:
            self.wait_until(f"ready: {shape}", lambda shape=shape: self.crowd.is_ready(shape))

    def wait_until_stopped(self) -> None:
        """Wait until guard and supervisor are both stopped."""
        self._wait_for_states("T")
        assert self._told is not None
        self._told.wait_for("stopped")

    def wait_until_continued(self) -> None:
        """Wait until neither is stopped any more."""
        assert self._told is not None
        self._told.wait_for("continued")
        self._wait_for_states("SRD")

    def _wait_for_states(self, letters: str) -> None:
        for pid in (self.guard, self.supervisor) if HAS_PROC else ():
            self.wait_until(f"in state {letters}: {pid}", lambda pid=pid: state_of(pid) in letters)

    def end(self) -> str:
        """Wait for the end of the job; return its exit code or its signal's name."""
        assert self._told is not None
        deadline = time.monotonic() + LIMIT_S
        while not any(line.startswith("over") for line in self._told.lines):
            self.read_what_is_shown()
            fd = self._told.process.stdout
            if select.select([fd], [], [], PAUSE_S)[0]:
                self._told.read(deadline)
            assert time.monotonic() < deadline, f"it does not end; shown: {self.shown[-800:]!r}"
        self.read_what_is_shown()
        return self._told.wait_for("over")

    def read_what_is_shown(self) -> None:
        """Take what the terminal or the pipe has: a full one would hold the writer."""
        while self.reading_fd >= 0 and select.select([self.reading_fd], [], [], 0)[0]:
            try:
                data = os.read(self.reading_fd, 1 << 16)
            except OSError:
                return
            if not data:
                return
            self.shown += data

    def said(self) -> str:
        """Return all that it has written."""
        self.read_what_is_shown()
        if self.way == "nohup":
            return (self.folder / "said").read_text()
        return self.shown.decode("utf-8", "replace")

    def is_in_front(self) -> bool:
        """Tell whether the run has the terminal."""
        return os.tcgetpgrp(self.reading_fd) == os.getpgid(self.supervisor)

    def lives(self, pid: int) -> bool:
        """Tell whether a process is there, and no zombie."""
        return state_of(pid) not in "-ZX"

    def check_terminal(self) -> None:
        """The terminal is as it was: its settings, and its cursor can be seen."""
        if self._terminal_fd < 0:
            return
        assert self.settings() == self.settings_before, "the terminal has other settings"
        self.check_cursor()

    def check_cursor(self) -> None:
        """The cursor can be seen; the settings are the shell's own business while it edits."""
        self.read_what_is_shown()
        assert not cursor_is_hidden(self.shown), "the cursor is hidden"


def cursor_is_hidden(shown: bytes) -> bool:
    """Tell what the last word on the cursor was."""
    at = shown.rfind(CURSOR)
    return at >= 0 and shown[at + len(CURSOR) : at + len(CURSOR) + 1] == b"l"


def state_of(pid: int) -> str:
    """Return the letter of a process' state; ``-`` if it is gone."""
    process = procfs.look(pid)
    return "-" if process is None else process.state

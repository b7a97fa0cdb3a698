"""Starts test programs that fork a guard, reads what they say, and leaves none of them behind."""

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from procsup.host import procfs

PROGRAMS = Path(__file__).resolve().parent / "programs"
ROOT = PROGRAMS.parent.parent.parent
LIMIT_S = 20.0
_PIDS = ("child", "guard", "stranger", "supervisor")


def program(name: str, *args: str) -> List[str]:
    """Return the argv of a program of tests/support/programs."""
    return [sys.executable, "-S", str(PROGRAMS / name), *args]


class Told:
    """A process and the lines that it and all that it started say on its stdout."""

    def __init__(self, argv: Sequence[str], **options: Any) -> None:
        environment: Dict[str, str] = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, env=environment, bufsize=0, **options
        )
        self.lines: List[str] = []
        self._partial = b""
        self._seen: List[procfs.Process] = []

    def __enter__(self) -> "Told":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._seen:
            procfs.send_signal(process, 9)
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def wait_for(self, start: str, *, times: int = 1) -> str:
        """Read until so many lines start like this; return the rest of the last one."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            found = [line for line in self.lines if line.startswith(start)]
            if len(found) >= times:
                return found[-1][len(start) :].strip()
            assert self.read(deadline), f"no {start!r} among {self.lines}"

    def wait_until_all_gone(self, *, within_s: float = LIMIT_S) -> None:
        """Return when every process that inherited stdout is gone."""
        deadline = time.monotonic() + within_s
        while self.read(deadline):
            pass

    def wait(self) -> int:
        """Return the exit code of the process itself: negative for a signal."""
        return self.process.wait(LIMIT_S)

    def pid_of(self, role: str) -> int:
        """Wait until ``guard``, ``supervisor`` or ``child`` has told its pid; return it."""
        return int(self.wait_for(role).split()[0])

    def read(self, deadline: float) -> bool:
        """Take what is said; False at the end of it."""
        stdout = self.process.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
        assert readable, f"nothing more within the limit; so far: {self.lines}"
        data = os.read(stdout.fileno(), 1 << 16)
        *whole, self._partial = (self._partial + data).split(b"\n")
        for line in whole:
            self._take(line.decode())
        return bool(data)

    def _take(self, line: str) -> None:
        self.lines.append(line)
        words = line.split()
        seen: Optional[procfs.Process] = None
        if len(words) > 1 and words[0] in _PIDS and words[1].isdigit():
            seen = procfs.look(int(words[1]))
        if seen is not None:
            self._seen.append(seen)


def guarded(*args: str, before: Sequence[str] = (), **options: Any) -> Told:
    """Start guard_supervisor.py with these arguments, by the program `before` if there is one."""
    return Told([*before, *program("guard_supervisor.py", *args)], **options)


def press(pid: int, signal_name: str, times: int, gap_s: float) -> None:
    """Send a signal so many times, so far apart."""
    args = [str(pid), signal_name, str(times), str(gap_s)]
    subprocess.run(program("guard_presser.py", *args), check=True, timeout=LIMIT_S)

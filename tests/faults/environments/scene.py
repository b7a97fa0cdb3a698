"""What every part of the harness is given, and how it starts procsup in earnest."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence, Set

from tests.faults import laws
from tests.faults.system_calls.starting import Case, Seam, complete, obey_the_laws
from tests.faults.trial import Trial
from tests.support.projects import ROOT

LIMIT_S = 30.0
RUN_WORDS = ("run", "run.toml", "--jobs", "2")
PROGRAM = (sys.executable, "-m", "procsup")


class Scene(NamedTuple):
    """The trial, a start program, and what an undisturbed run says and leaves."""

    trial: Trial
    seam: Seam
    clean: Dict[str, Any]
    clean_case: Case

    def case(self, name: str) -> Case:
        """Make a folder with the run in it."""
        plain = "".join(letter if letter.isalnum() else "-" for letter in name)
        return Case(self.trial.folder / plain[:80], f"{plain}-{self.trial.seed}")

    def judge(self, case: Case, code: int, right: Set[int]) -> None:
        """What must hold after a run under bad conditions, and of the next one under good ones."""
        assert code in right, f"exit {code}, not of {sorted(right)}: {case.said()[-500:]}"
        obey_the_laws(case, self.clean, code)
        complete(self.seam, case, self.clean)


def environment(case: Case, **more: str) -> Dict[str, str]:
    """Return what a procsup is started with; all that it starts can be known by it."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "FAULTS_CASE": case.mark, **more}


def start(
    case: Case,
    *words: str,
    prefix: Sequence[str] = (),
    program: Sequence[str] = PROGRAM,
    env: Optional[Mapping[str, str]] = None,
    before: Optional[Callable[[], None]] = None,
    **streams: Any,
) -> "subprocess.Popen[bytes]":
    """Start procsup as a process of its own, in its own session; it writes to err.N."""
    folder = case.project.folder
    with open(str(folder / f"err.{len(list(folder.glob('err.*')))}"), "wb") as err:
        return subprocess.Popen(
            [*prefix, *program, *(words or RUN_WORDS)],
            cwd=str(folder),
            env=dict(environment(case) if env is None else env),
            preexec_fn=before,
            start_new_session=True,
            **{"stdin": subprocess.DEVNULL, "stdout": err, "stderr": err, **streams},
        )


def finish(case: Case, child: "subprocess.Popen[bytes]", limit_s: float = LIMIT_S) -> int:
    """Wait for the end; AssertionError if it does not come, and then nothing is left."""
    try:
        return child.wait(limit_s)
    except subprocess.TimeoutExpired:
        for pid in {*laws.session(child.pid), *laws.living(case.cookie)}:
            os.kill(pid, signal.SIGKILL)
        child.wait()
        raise AssertionError(f"not over after {limit_s:g} s: {case.said()[-500:]}") from None


def run(case: Case, *words: str, **settings: Any) -> int:
    """Start procsup and wait for its end."""
    return finish(case, start(case, *words, **settings))


def contents(folder: Path) -> Dict[str, Any]:
    """Return all that lies in a folder: to see that nothing of it was touched."""
    found: Dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        text = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        found[str(path)] = (status.st_mode, text)
    return found


class Door:
    """A FIFO by which a unit is held until the harness lets it go on (``read x < go``)."""

    def __init__(self, path: str) -> None:
        self._path = path

    @classmethod
    def made(cls, case: Case) -> "Door":
        """Make the FIFO in the case's folder."""
        path = str(case.project.folder / "go")
        os.mkfifo(path)
        return cls(path)

    def open(self) -> None:
        """Let go of the unit; returns when it reads, AssertionError if it never does."""
        deadline = time.monotonic() + LIMIT_S
        laws.until(self._try_open, "no unit came to the door", deadline - time.monotonic())

    def _try_open(self) -> bool:
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False  # nobody reads yet
        os.write(fd, b"go\n")
        os.close(fd)
        return True

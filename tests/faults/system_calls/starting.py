"""The seam's other side: a folder with a small run, and procsup on it with a call that fails."""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from procsup.host import procfs
from tests.faults import laws
from tests.support.projects import ROOT, Project

LIMIT_S = 30.0
CROWD_LIMIT_S = 120.0
RUN_WORDS = ("run", "run.toml", "--jobs", "2")

# Units with outputs, one that leaves a process behind, a stage that needs another's outputs, and
# every kind of file that tells of completion.
RUN = """
stamp = "done.stamp"
manifest = "shown.json"

[stage.make]
command = ["/bin/sh", "-c", "echo {n} > {outputs[0]}"]
matrix.n = ["1", "2"]
outputs = ["out/{n}.txt"]
stamp = "make.stamp"

[stage.leave]
linger = "100ms"
command = ["/bin/sh", "-c", "sleep 61 & echo left > {outputs[0]}"]
outputs = ["out/left.txt"]

[stage.join]
after = ["make"]
inputs = { from = "make" }
command = ["/bin/sh", "-c", "cat $0 $1 > {outputs[0]}"]
args = ["{inputs}"]
outputs = ["joined.txt"]
"""


class Cell(NamedTuple):
    """One fault: `first` and `last` number the calls that fail (None: all from there on).

    `by`: only calls count that this function of procsup's makes, itself or through others.
    """

    call: str
    error: str
    first: int = 1
    last: Optional[int] = 1
    by: str = ""

    def __str__(self) -> str:
        when = {1: "first", None: "always"}.get(self.last, f"{self.first}th")
        return f"{self.call} {self.error} {when}"


class Hit(NamedTuple):
    """A call that failed: Python's name for it, and what it was about."""

    function: str
    target: str
    by: Tuple[str, ...]  # procsup's functions, the innermost first


class Case:
    """A folder with the run in it; `mark` is in the environment of all its units."""

    def __init__(self, folder: Path, mark: str) -> None:
        folder.mkdir(parents=True)
        self.project = Project(folder, RUN)
        self.mark = f"{mark}-{os.getpid()}"  # two suites may be at work on one host
        self.rundir = self.project.rundir

    @property
    def cookie(self) -> bytes:
        return f"FAULTS_CASE={self.mark}".encode()

    def said(self) -> str:
        """What procsup has written to stderr, of all its sittings here."""
        return "".join(
            path.read_text(errors="replace") for path in self.project.folder.glob("err.*")
        )


class Seam:
    """A start program that is up: it makes one procsup after the other, without loading it."""

    def __init__(self, *breakages: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
        self._child = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("seam.py")), *breakages],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._crowded = False

    def __enter__(self) -> "Seam":
        return self

    def __exit__(self, *_reason: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        while self._crowded and self._child.poll() is None:  # a failed case has left a crowd
            procfs.list_descendants(self._child.pid, signum=signal.SIGKILL)
        self._child.wait()
        self._child.stdout.close()

    def run(
        self,
        case: Case,
        cell: Optional[Cell] = None,
        arguments: Sequence[str] = RUN_WORDS,
        **more: Any,
    ) -> Tuple[int, List[Hit]]:
        """Run procsup to its end; return its exit code (minus a signal) and what has failed.

        `more` stands in the order, too: other files for what it says, words for a breakage.
        """
        order = {**_order(case, cell, arguments), **more}
        code = _code_of(self._carry_out(order))
        with open(order["told"], encoding="utf-8") as file:
            hits = [json.loads(line) for line in file]
        return code, [Hit(hit["function"], hit["target"], tuple(hit["by"])) for hit in hits]

    @contextmanager
    def under_way(self, case: Case, arguments: Sequence[str], **more: Any) -> Iterator[int]:
        """Start procsup and yield its pid; at the end its supervisors are killed, if any lives."""
        self._send({**_order(case, None, arguments), **more})
        pid = self._answer()["pid"]
        try:
            yield pid
        finally:
            if not self._answers_within(0):
                for number in laws.session(pid):
                    if number != pid:  # that is the guard, which ends what they have left
                        with suppress(ProcessLookupError):
                            os.kill(number, signal.SIGKILL)
            assert self._answers_within(LIMIT_S), "the guard does not end"
            self._answer()

    def crowd(self, case: Case, copies: int, arguments: Sequence[str]) -> Iterator[int]:
        """Start so many at one instant; the iterator gives their exit codes as they end."""
        self._send({**_order(case, None, arguments), "copies": copies})
        self._crowded = True
        return self._ends(copies)

    def _ends(self, copies: int) -> Iterator[int]:
        for _ in range(copies):
            assert self._answers_within(CROWD_LIMIT_S), "a crowd that does not end"
            yield _code_of(self._answer()["status"])
        self._crowded = False

    def _send(self, order: Dict[str, Any]) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        self._child.stdin.flush()

    def _carry_out(self, order: Dict[str, Any]) -> int:
        self._send(order)
        pid = self._answer()["pid"]
        if not self._answers_within(LIMIT_S):
            for number in laws.session(pid):
                os.kill(number, signal.SIGKILL)
            self._answer()
            raise AssertionError(f"procsup hangs: not over after {LIMIT_S:g} s")
        status: int = self._answer()["status"]
        return status

    def _answers_within(self, limit_s: float) -> bool:
        return bool(select.select([self._child.stdout], [], [], limit_s)[0])

    def _answer(self) -> Dict[str, Any]:
        assert self._child.stdout is not None
        line = b""
        while not line.endswith(b"\n"):  # unbuffered: what `select` sees is all that there is
            part = os.read(self._child.stdout.fileno(), 1)
            assert part, "the start program died"
            line += part
        answer: Dict[str, Any] = json.loads(line)
        return answer


def _order(case: Case, cell: Optional[Cell], arguments: Sequence[str]) -> Dict[str, Any]:
    folder = case.project.folder
    number = len(list(folder.glob("err.*")))
    fault = (cell or Cell("", "none"))._asdict()
    return {
        **fault,
        "call": None if cell is None else cell.call,
        "folder": str(folder),
        "mark": case.mark,
        "arguments": list(arguments),
        **{name: str(folder / f"{name}.{number}") for name in ("out", "err", "told")},
    }


def _code_of(status: int) -> int:
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def counts(seam: Seam, case: Case, calls: Sequence[str]) -> Dict[str, int]:
    """Return how often an undisturbed run makes each kind of call, and leave the run finished."""
    found = {}
    for number, call in enumerate(calls):
        other = Case(case.project.folder.parent / f"count-{call}", f"{case.mark}-{number}")
        code, hits = seam.run(other, Cell(call, "none"))
        assert code == 0, other.said()
        found[call] = len(hits)
    return found


def obey_the_laws(case: Case, clean: Dict[str, Any], code: int) -> None:
    """What holds after a sitting that a fault has struck, whatever it ended with."""
    laws.no_traceback(case.said())
    laws.nothing_lives(case.cookie)
    laws.journal_and_manifest_agree(case.rundir)
    laws.no_unit_finished_twice(case.rundir)
    if code == 0:
        laws.final_manifest_equals(clean, case.rundir)
    if code == 1:
        assert laws.story(case.rundir)["status"] == "failed"


def complete(seam: Seam, case: Case, clean: Dict[str, Any]) -> None:
    """Resume without the fault: the end is that of an undisturbed run, to the last file."""
    code, _ = seam.run(case)
    assert code == 0, f"the resume ends with {code}: {case.said()[-600:]}"
    obey_the_laws(case, clean, 0)
    folder = case.project.folder
    assert (folder / "joined.txt").read_text() == "1\n2\n"
    for name in ("done.stamp", "make.stamp", "shown.json"):
        assert (folder / name).exists(), f"{name} is missing after the resume"
    assert (folder / "shown.json").read_bytes() == (case.rundir / "manifest.json").read_bytes()

"""One run of all shapes at once, brought to one kind of end, and what became of its processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from procsup.host import procfs
from tests.faults import laws
from tests.faults.trees.crowd import HAS_PROC, Crowd
from tests.support.projects import PROGRAMS, PYTHON, ROOT, Project, finish

LIMIT_S = 15.0
GONE_S = 1.0
LIVE_ON = "of its processes live on"
TIMEOUTS_S = (1.5, 6.0)  # if not all is ready by the first one, the case proves nothing
PAUSE_S = 0.01
STOPS = {"stop": 3, "ctrl-c": -2, "second ctrl-c": -2, "on-failure": 1}  # with their exit codes
ENDS = ("exit 0", "exit 7", "timeout", *STOPS, "supervisor killed", "guard killed")
VERDICTS = {"exit 0": "succeeded", "exit 7": "failed", "timeout": "timed-out"}
NEIGHBOURS = "neighbours"
WRITERS = ("holding", "renaming", "appending", "mapping")
TALKATIVE = "log-holder"  # without declared outputs, a log that still grows is a fault
BESIDE = ("neighbour", "failing")
PRESS_S = 0.3  # nearer together two presses are one
RUN = """
[stage.s]
command = ["{python}", "-I", "-S", "{program}", "{{shape}}", "{code}", "{folder}"]
matrix.shape = [{shapes}]
grace = "0.3s"
linger = "0.5s"
{timeout}
[stage.n]
command = ["{python}", "-I", "-S", "{program}", "neighbour", "stay", "{folder}", "attended"]
grace = "0.3s"
linger = "0.2s"
"""
WRITING = """
[stage.w]
command = ["{python}", "-I", "-S", "{program}", "{{shape}}", "{code}", "{folder}", "{{outputs[0]}}"]
matrix.shape = [{writers}]
outputs = ["out/{{shape}}"]
grace = "0.3s"
{timeout}
"""
FAILING = """
[stage.f]
command = ["{python}", "-I", "-S", "{program}", "failing", "stay", "{folder}"]
"""


class BackEnd(NamedTuple):
    """A way to end trees; `lacking` is what the system then has not."""

    name: str
    lacking: str
    adopts: bool  # the supervisor knows at once, and exactly, what a unit left behind


class Party:
    """A run of these shapes under a back end; `play` brings it to its end."""

    def __init__(
        self, folder: Path, back_end: BackEnd, shapes: Sequence[str], seed: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self._seed = seed  # of a worse procsup
        self._back_end = back_end
        self._shapes = list(shapes)
        self._project = Project(folder)
        self._crowd = Crowd(folder)
        self._problems: Dict[str, str] = {}
        (folder / "pids").mkdir(parents=True)
        self._guard = -1
        self._stranger: Optional[procfs.Process] = None

    # --- the run ---------------------------------------------------------------------------

    def play(self, end: str, timeout_s: float = 0.0) -> Dict[str, str]:
        """Play one kind of end; return what was wrong, by shape."""
        code = end.rpartition(" ")[2] if end.startswith("exit") else "stay"
        self._write(code, timeout_s, on_failure=end == "on-failure")
        child = self._start()
        try:
            self._begun()
            if end in VERDICTS:
                self._each_ends(end)
                (self.folder / "release").touch()
            else:
                self._all_ready()
                self._check_back_end()
                self._break_off(end, child)
            self._whole_end(end, child)
        finally:
            self._clear(child)
        return self._problems

    def missed(self) -> List[str]:
        """Return the shapes that were not ready in time."""
        return [shape for shape in self._shapes if not self._crowd.is_ready(shape)]

    def _write(self, code: str, timeout_s: float, *, on_failure: bool) -> None:
        names = [f'"{shape}"' for shape in self._shapes]
        writers = [f'"{shape}"' for shape in WRITERS if shape in self._shapes]
        text = RUN + (WRITING if writers else "")
        if on_failure:
            text = f'on-failure = "stop"{text}{FAILING}'
        text = text.format(
            python=PYTHON,
            program=PROGRAMS / "shapes.py",
            folder=self.folder,
            code=code,
            shapes=", ".join(name for name in names if name not in writers),
            writers=", ".join(writers),
            timeout=f'timeout = "{timeout_s}s"' if timeout_s else "",
        )
        self._project.write("run.toml", text)

    def _start(self) -> "subprocess.Popen[str]":
        lacking = str(Path(__file__).with_name("lacking.py"))
        stranger = str(self.folder / "stranger")
        child = subprocess.Popen(
            [sys.executable, lacking, self._back_end.lacking, "--stranger", stranger,
             *self._seed, "run", "run.toml", "--jobs", str(len(self._shapes) + 2)],
            cwd=str(self.folder), env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        self._guard = child.pid
        return child

    def _begun(self) -> None:
        self._wait("the run has not begun", lambda: bool(self._records("begin")))
        self._crowd.run_id = self._records("begin")[-1]["run_id"]
        self._stranger = procfs.look(int((self.folder / "stranger").read_text()))
        self._wait("the neighbour is not there", lambda: self._crowd.is_ready("neighbour"))

    def _all_ready(self) -> None:
        self._wait("not all units are ready", lambda: not self.missed())

    def _check_back_end(self) -> None:
        """Who adopts a daemon tells which way is taken; else the case would prove nothing."""
        if not HAS_PROC:
            return
        parents = self._crowd.parents("daemonized")  # that of the main process is ours always
        ours = parents.count(self._supervisor())
        assert ours == (2 if self._back_end.adopts else 1), f"another back end: {parents}"

    # --- the ends ----------------------------------------------------------------------------

    def _each_ends(self, end: str) -> None:
        """All units come to their end while their neighbour lives on."""
        number = len(self._shapes)
        self._wait("not all units end", lambda: len(self._records("end")) >= number)
        if self._back_end.adopts:  # the end of a unit is recorded when its tree is empty
            left = self._crowd.living()
            self._note_survivors({s: left[s] for s in left if s not in BESIDE})
        if len(self._crowd.living().get("neighbour", ())) < (2 if HAS_PROC else 1):
            self._problems[NEIGHBOURS] = "the other unit of the run, or its daemon, lives no more"

    def _break_off(self, end: str, child: "subprocess.Popen[str]") -> None:
        if end == "stop":
            done = self._project.call("stop", "run", "--grace", "0.3s")
            assert done.returncode == 0, done.stderr
        elif end.endswith("ctrl-c"):
            os.kill(child.pid, signal.SIGINT)
            if end.startswith("second"):
                laws.pause(PRESS_S)
                os.kill(child.pid, signal.SIGINT)
        elif end == "on-failure":
            (self.folder / "fail").touch()
        elif end == "supervisor killed":
            os.kill(self._supervisor(), 9)
        else:
            os.kill(child.pid, 9)

    def _whole_end(self, end: str, child: "subprocess.Popen[str]") -> None:
        if end in ("supervisor killed", "guard killed"):
            self._note_survivors(self._crowd.wait_until_gone(GONE_S))
        out, err = finish(child, LIMIT_S)
        self._note_survivors(self._crowd.wait_until_gone(GONE_S))
        fails = any(self._verdict(shape, end) != "succeeded" for shape in self._shapes)
        expected = {**STOPS, **{one: int(fails) for one in VERDICTS}}.get(end, -9)
        assert child.returncode == expected, f"exit code {child.returncode}: {out}{err}"
        if end in (*STOPS, *VERDICTS):
            laws.no_traceback(err)
            self._check_tracker(end)
        if end == "guard killed":
            self._wait("the supervisor does not end", lambda: not self._supervisor_lives())
        stranger = self._stranger
        if HAS_PROC and (stranger is None or not same(stranger)):
            self._problems[NEIGHBOURS] = "a process of nobody's does not live any more"
        self._check_records(end)

    def _check_tracker(self, end: str) -> None:
        """Who ignores the stop has a second to clean up, unless all is killed at once."""
        is_there = "tracker" in self._shapes and end != "second ctrl-c"
        if is_there and not (self.folder / "tracker.cleaned").exists():
            self._problems.setdefault("tracker", "it was killed before it could clean up")

    def _verdict(self, shape: str, end: str) -> str:
        if end == "exit 0" and shape == TALKATIVE and self._back_end.adopts:
            return "failed"
        return VERDICTS.get(end, "succeeded")

    def _check_output(self, shape: str) -> None:
        if not (self.folder / "out" / shape).read_bytes().endswith(b"end\n"):
            self._problems.setdefault(shape, "half an output is vouched for")

    def _check_records(self, end: str) -> None:
        manifest = self.folder / ".procsup" / "run" / "manifest.json"
        resumed = end not in VERDICTS
        if resumed:
            is_final = end == "on-failure"  # it has failed, and everything has its verdict
            assert is_final == manifest.exists(), "a run that did not end well has a manifest"
            self._resume()
        laws.journal_and_manifest_agree(manifest.parent)
        verified = self._project.call("verify", "run")
        assert verified.returncode == 0, f"an output is no longer as vouched for: {verified.stderr}"
        for unit, verdict in self._project.verdicts.items():
            shape = unit.rpartition("=")[2]
            if shape in self._shapes:
                if verdict != self._verdict(shape, "resumed" if resumed else end):
                    self._problems.setdefault(shape, f"it is called {verdict}")
                elif verdict == "succeeded" and shape in WRITERS:
                    self._check_output(shape)
            elif verdict != "succeeded":
                self._problems.setdefault(NEIGHBOURS, f"the other unit is called {verdict}")

    def _resume(self) -> None:
        (self.folder / "calm").touch()
        self._project.run()

    # --- looking -------------------------------------------------------------------------------

    def _records(self, kind: str) -> List[Dict[str, object]]:
        found = laws.records(self.folder / ".procsup" / "run")
        return [record for record in found if record["t"] == kind]

    def _supervisor(self) -> int:
        return int(str(self._records("begin")[-1]["pid"]))

    def _supervisor_lives(self) -> bool:
        process = procfs.look(self._supervisor())
        return process is not None and not process.dead

    def _note_survivors(self, left: Dict[str, "set[int]"]) -> None:
        for shape, pids in left.items():
            text = f"{len(pids)} {LIVE_ON}"
            self._problems.setdefault(NEIGHBOURS if shape == "neighbour" else shape, text)

    def _wait(self, problem: str, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not is_so():
            assert time.monotonic() < deadline, f"{problem}; living: {self._crowd.living()}"
            laws.pause(PAUSE_S)

    def _clear(self, child: "subprocess.Popen[str]") -> None:
        child.kill()
        child.communicate()
        self._crowd.end()
        if self._stranger is not None:
            procfs.send_signal(self._stranger, 9)


def same(process: procfs.Process) -> bool:
    """Tell whether this very process lives."""
    now = procfs.look(process.pid)
    return now is not None and not now.dead and now.start_ticks == process.start_ticks

"""A folder with a run file, and procsup run on it for real."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from tests.faults.laws import until

LIMIT_S = 60.0
PROGRAMS = Path(__file__).parent / "programs"
ROOT = Path(__file__).resolve().parents[2]


def slashed(path: Any) -> str:
    """Return a path as it may stand in any string of a run file: ``\\`` would be an escape."""
    return str(path).replace("\\", "/")


PYTHON = slashed(sys.executable)


class Project:
    """A folder with a run file named ``run.toml``; its run is called ``run``."""

    program: "tuple[str, ...]" = ("-m", "procsup")

    def __init__(self, folder: Path, text: str = "", **files: str) -> None:
        self.folder = folder
        self.rundir = folder / ".procsup" / "run"
        if text:
            self.write("run.toml", text)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    # --- procsup -------------------------------------------------------------------------

    def start(self, *args: str, **settings: Any) -> "subprocess.Popen[str]":
        """Start ``procsup ARGS`` here; its stdout and stderr are pipes."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings.pop("env", {})}
        environment.pop("PROCSUP_RUN", None)
        settings.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            [sys.executable, *self.program, *args],
            cwd=str(self.folder),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **settings,
        )

    def call(self, *args: str, **settings: Any) -> "subprocess.CompletedProcess[str]":
        """Run ``procsup ARGS`` here to its end."""
        child = self.start(*args, **settings)
        try:
            out, err = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            raise AssertionError(f"procsup {args} hangs\n{out}\n{err}") from None
        return subprocess.CompletedProcess(args, child.returncode, out, err)

    def run(self, *args: str, expect: Optional[int] = 0) -> "subprocess.CompletedProcess[str]":
        done = self.call("run", "run.toml", *args)
        assert expect in (None, done.returncode), f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        if done.returncode in (0, 1):
            from tests.support.schemas import check

            check((self.folder / "run.toml").read_text())
        return done

    # --- what is there afterwards --------------------------------------------------------

    @property
    def manifest(self) -> Dict[str, Any]:
        text = (self.rundir / "manifest.json").read_text()
        manifest: Dict[str, Any] = json.loads(text)
        return manifest

    @property
    def verdicts(self) -> Dict[str, str]:
        return {unit["id"]: unit["verdict"] for unit in self.manifest["units"]}

    def all_records(self) -> List[Dict[str, Any]]:
        """The journal's records, as plain tables."""
        lines = (self.rundir / "journal.jsonl").read_text().splitlines()
        return [json.loads(line.split(" ", 2)[2]) for line in lines]

    def records(self, kind: str) -> List[Dict[str, Any]]:
        """The journal's records of a type."""
        return [record for record in self.all_records() if record["t"] == kind]

    @property
    def supervisor_pid(self) -> int:
        return int(self.records("begin")[-1]["pid"])

    def starts(self) -> List[str]:
        return [f"{r['unit']}#{r['attempt']}" for r in self.records("start")]


class PipedProject(Project):
    """The same with its units behind a pipe."""

    program = (str(PROGRAMS / "piped_procsup.py"),)

    @property
    def far_pids(self) -> "tuple[int, int]":
        """The pids of the other end's guard, and of what it guards, in the sitting that runs."""
        import psutil

        (guard,) = psutil.Process(self.supervisor_pid).children()
        (served,) = guard.children()
        return guard.pid, served.pid


def finish(child: "subprocess.Popen[str]", limit_s: float = LIMIT_S) -> "tuple[str, str]":
    """Read a child to its end; kill it and fail if it does not come."""
    try:
        return child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        raise AssertionError(f"{child.args} hangs\n{out}\n{err}") from None


def wait_for(project: Project, *names: str) -> None:
    """Wait until these files are there."""

    def are_there() -> bool:
        return all((project.folder / name).exists() for name in names)

    until(are_there, f"not all of these are there: {names}", LIMIT_S)


def kill(pid: int, signum: Optional[int] = None) -> None:
    os.kill(pid, signal.SIGKILL if signum is None else signum)  # there is none on Windows

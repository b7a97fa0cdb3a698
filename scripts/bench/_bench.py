"""What the benchmarks share: a workshop to measure in, run files, clocks, medians, the machine."""

import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import _setup

HERE = Path(__file__).resolve().parent


class Cost(NamedTuple):
    """What a command took: wall time, and CPU time of it and all that it waited for."""

    wall_s: float
    cpu_s: float


class Workshop:
    """Where things are measured: a folder beside the repository, and the Python to use.

    Every measurement gets a folder of its own, and nothing is deleted before all are done:
    deletions make the file system slower for whoever creates files after them.
    """

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.python = python
        self.procsup = [python, "-m", "procsup"]
        self.env = _setup.clean_environ(PYTHONPATH=str(HERE))
        self._count = 0

    def room(self) -> Path:
        """Return a new empty folder."""
        self._count += 1
        room = self.folder / f"{self._count:04d}"
        room.mkdir()
        return room

    def cost(self, argv: Sequence[str], room: Path, stdin: Optional[Path] = None) -> Cost:
        """Run a command in a room and return what it took; it must succeed."""
        source = stdin if stdin is not None else Path(os.devnull)
        with source.open("rb") as given, (room / "said.txt").open("wb") as said:
            before = time.perf_counter()
            child = subprocess.Popen(
                list(argv), cwd=str(room), env=self.env, stdin=given, stdout=said, stderr=said
            )
            _, status, usage = os.wait4(child.pid, 0)
            wall_s = time.perf_counter() - before
        child.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
        if child.returncode != 0:
            tail = (room / "said.txt").read_text(encoding="utf-8", errors="replace")[-2000:]
            raise SystemExit(f"{' '.join(argv)} ended with status {status}:\n{tail}")
        return Cost(wall_s, usage.ru_utime + usage.ru_stime)

    def run_file(self, room: Path, stages: str, name: str = "bench") -> Path:
        """Write a run file into a room."""
        path = room / "procsup.toml"
        path.write_text(f'name = "{name}"\n{stages}', encoding="utf-8")
        return path

    def manifest(self, room: Path, name: str = "bench") -> Dict[str, Any]:
        """Return the manifest of the run in a room."""
        path = room / ".procsup" / name / "manifest.json"
        with path.open(encoding="utf-8") as stream:
            manifest: Dict[str, Any] = json.load(stream)
        return manifest


@contextlib.contextmanager
def workshop(purpose: str = "demo", extras: Sequence[str] = ()) -> Iterator[Workshop]:
    """Make a workshop (by default its Python is the demo's), and clear it away afterwards."""
    if not hasattr(os, "wait4"):
        raise _setup.SetupFailed("the benchmarks compare with xargs and need a POSIX system")
    python = str(_setup.environment(purpose, extras))
    (_setup.ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=str(_setup.ROOT / "build")))
    try:
        yield Workshop(folder, python)
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def program(name: str) -> str:
    """Return a program's full path."""
    found = shutil.which(name)
    if found is None:
        raise _setup.SetupFailed(f"{name} is not on the PATH: the benchmark needs it")
    return found


def spread(values: Sequence[float], form: str = "{:.3f}") -> str:
    """Say a median with its range: ``1.083 (1.071 to 1.102, 5 rounds)``."""
    middle, low, high = (
        form.format(v) for v in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({low} to {high}, {len(values)} rounds)"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values lies (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, round(share * len(ranked)) - 1))]


def describe(bench: Workshop) -> List[str]:
    """Describe the machine and the versions, so that a figure can be judged later."""
    code = "import procsup; print(procsup.__version__)"
    version = _output([bench.python, "-c", code])
    xargs = _output([program("xargs"), "--version"]).partition("\n")[0] or "xargs (no version)"
    return [
        f"machine:  {_cpu()}, {len(_usable_cpus())} usable CPUs, {platform.platform()}",
        f"python:   {platform.python_implementation()} {platform.python_version()}",
        f"procsup:  {version}    against: {xargs}",
        "load:     " + ", ".join(f"{load:.2f}" for load in os.getloadavg()) + " before",
    ]


def _output(argv: Sequence[str]) -> str:
    done = subprocess.run(
        list(argv), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    return done.stdout.decode("utf-8", "replace").strip()


def _usable_cpus() -> List[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()

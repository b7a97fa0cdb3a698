#!/usr/bin/env python3
"""Two revisions side by side: CPU and memory of planning, resuming and asking, with the ratios.

    python scripts/bench/revisions.py v0.1.0                  # this tree beside that revision
    python scripts/bench/revisions.py main~40 --units 3000 --rounds 5
    python scripts/bench/revisions.py main~40 --instructions  # of a start and of a unit; valgrind

Both run the same files with this Python, in turn, each in a folder of its own. CPU time is that of
the whole command. POSIX only.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from bench.figures import duration, megabytes, table  # noqa: E402 - beside this folder

COUNTED = 'jobs = 2\n[stage.s]\nmatrix.n = { range = "1..%d" }\ncommand = ["true"]\n'
FEW, MANY = 100, 500
UNITS = '[stage.all]\nkeep = "always"\nmatrix.n = { range = "1..%d" }\ncommand = ["true", "{n}"]\n'
PLANS = {
    "plain": UNITS,
    "files": UNITS + 'outputs = ["out/{n}.txt"]\n',
    "folders": UNITS + 'outputs = ["out/{n}/"]\n',
    "globs": UNITS + 'outputs = ["out/{n}/*.txt"]\n',
}
MADE = """jobs = 2
[stage.make]
matrix.n = { range = "1..%d" }
command = ["touch", "out/{n}"]
outputs = [{ path = "out/{n}", empty = true }]
"""
ASKED = {  # of the finished run
    "resume of the finished run": ("run", "made.toml"),
    "status of it": ("status", "made"),
    "wait for it": ("wait", "made"),
    "dry run of it": ("run", "made.toml", "--dry-run"),
}


class Took(NamedTuple):
    """What one command took: CPU and wall seconds, peak memory in bytes."""

    cpu_s: float
    wall_s: float
    peak_bytes: int


class Tree:
    """One revision, and the folder in which it runs."""

    def __init__(self, name: str, source: Path, room: Path) -> None:
        self.name = name
        self.room = room
        self._environment = {**os.environ, "PYTHONPATH": str(source)}
        for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
            self._environment.pop(name, None)  # each would make every start slower
        (room / "out").mkdir(parents=True)

    def write(self, units: int) -> None:
        """Write the run files."""
        for name, text in {**PLANS, "made": MADE}.items():
            (self.room / f"{name}.toml").write_text(text % units, encoding="utf-8")

    def took(self, arguments: Sequence[str]) -> Took:
        """Run procsup and return what it took; RuntimeError unless it exits with 0."""
        begun = time.perf_counter()
        with open(os.devnull, "wb") as null, (self.room / "said.txt").open("wb") as said:
            argv = [sys.executable, "-m", "procsup", *arguments]
            child = subprocess.Popen(
                argv, cwd=str(self.room), env=self._environment, stdout=null, stderr=said
            )
            _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status  # its status is taken
        if status != 0:
            words = (self.room / "said.txt").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{self.name}: {' '.join(arguments)}: {status:#x}: {words[-400:]}")
        size = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Took(usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, size)

    def count(self, units: int) -> int:
        """Return the instructions of the supervisor of a run of `true`, by valgrind."""
        (self.room / "run.toml").write_text(COUNTED % units, encoding="utf-8")
        procsup = [sys.executable, "-m", "procsup", "run", "--fresh", "--quiet"]
        counted = ["valgrind", "--tool=cachegrind", "--cache-sim=no"]
        counted.append(f"--cachegrind-out-file={self.room}/{units}.%p")
        for argv in (procsup, [*counted, *procsup]):  # the first one compiles
            subprocess.run(
                [*argv, "run.toml"], cwd=str(self.room), env=self._environment,
                stderr=subprocess.DEVNULL, check=True,
            )  # fmt: skip
        found = (path.read_text(encoding="utf-8") for path in self.room.glob(f"{units}.*"))
        return max(int(text.rpartition("summary:")[2].split()[0]) for text in found)


def count_instructions(trees: Sequence[Tree]) -> List[str]:
    """Return a table of the instructions of a start and of a unit, in thousands."""
    few, many = ([tree.count(units) for tree in trees] for units in (FEW, MANY))
    unit = [(after - before) / (MANY - FEW) for before, after in zip(few, many)]
    start = [count - FEW * one for count, one in zip(few, unit)]
    rows = [
        [what, *(f"{value / 1000:,.0f}" for value in (*of, of[1] - of[0]))]
        for what, of in (("a start", start), ("a unit", unit))
    ]
    return table(["thousands of", *(tree.name for tree in trees), "difference"], rows)


def measure(trees: Sequence[Tree], rounds: int) -> Dict[str, List[List[Took]]]:
    """Return what each tree took, by what was done: one list a tree, with an entry a round."""
    works = {"make them": ("run", "made.toml", "--progress", "none"), **ASKED}
    works.update({f"plan: {name}": ("run", f"{name}.toml", "--dry-run") for name in PLANS})
    found: Dict[str, List[List[Took]]] = {}
    for what, arguments in works.items():
        found[what] = [[] for _ in trees]
        for number in range(1 if what == "make them" else rounds):
            for index in range(len(trees))[:: -1 if number % 2 else 1]:
                found[what][index].append(trees[index].took(arguments))
        print(f"revisions: {what}: done", file=sys.stderr, flush=True)
    return found


def report(found: Dict[str, List[List[Took]]], names: Sequence[str]) -> List[str]:
    """Return a table of medians, and the ratio of the second tree to the first."""
    rows = []
    for what, (before, after) in found.items():
        cpu = [statistics.median([took.cpu_s for took in of]) for of in (before, after)]
        memory = [max(took.peak_bytes for took in of) for of in (before, after)]
        least = [min(took.cpu_s for took in of) for of in (before, after)]
        rows.append([
            what, *map(duration, cpu), f"{cpu[1] / cpu[0]:.3f}", f"{least[1] / least[0]:.3f}",
            *map(megabytes, memory), f"{memory[1] / memory[0]:.3f}",
        ])  # fmt: skip
    before, after = names
    head = ["CPU of", before, after, "ratio", "ratio of the least", "peak", "peak", "ratio"]
    return table(head, rows)


def unpack(revision: str, folder: Path) -> Path:
    """Put the files of a revision into a folder."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision, "procsup"],
        cwd=str(ROOT), stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(str(folder))
    return folder


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revision", help="what this tree is compared with, as git names it")
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instructions", action="store_true", help="count those of a run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="revisions-") as folder:
        source = unpack(options.revision, Path(folder, "source"))
        trees = [
            Tree(options.revision, source, Path(folder, "before")),
            Tree("this tree", ROOT, Path(folder, "after")),
        ]
        if options.instructions:
            print("\n".join(count_instructions(trees)))
            return 0
        for tree in trees:
            tree.write(options.units)
        found = measure(trees, options.rounds)
    version = sys.version.split()[0]
    print(f"CPython {version}, {options.units:,} units, medians of {options.rounds} rounds\n")
    print("\n".join(report(found, [tree.name for tree in trees])))
    return 0


if __name__ == "__main__":
    sys.exit(main())

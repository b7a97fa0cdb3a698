"""Measures `procsup map` and xargs on inputs that come through a pipe, for several numbers of them.

    python scripts/bench/piped.py [--inputs COUNT,COUNT] [--source yes|seq] [--jobs N]

Each runs `true` for each input. Prints the wall time, and the peak memory of the largest process of
each, which of procsup is the supervisor.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Took(NamedTuple):
    """What one program took: seconds, and its peak memory in bytes."""

    wall_s: float
    peak_bytes: int


def measure(source: str, count: int, argv: List[str]) -> Took:
    """Run it with so many inputs, in an empty folder."""
    maker = {"yes": ["yes"], "seq": ["seq", str(count)]}[source]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        with subprocess.Popen(maker, stdout=subprocess.PIPE) as made, subprocess.Popen(
            ["head", "-n", str(count)], stdin=made.stdout, stdout=subprocess.PIPE
        ) as inputs:
            assert made.stdout is not None
            made.stdout.close()  # else `yes` would not end with `head`
            child = subprocess.Popen(
                argv, stdin=inputs.stdout, cwd=folder, env=environment, stderr=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        took_s = time.monotonic() - begun
    if child.returncode:
        raise SystemExit(f"{argv[0]} ended with {child.returncode}")
    return Took(took_s, usage.ru_maxrss * 1024)


def main() -> int:
    """Measure, and print a line for each number of inputs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", default="10000,50000", help="numbers of inputs, with commas")
    parser.add_argument("--source", choices=("yes", "seq"), default="yes")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    jobs = str(options.jobs)
    ours = [sys.executable, "-m", "procsup", "map", "-q", "-j", jobs, "true"]
    print(f"CPython {sys.version.split()[0]}, {options.source}, {jobs} at once, largest process")
    for count in map(int, options.inputs.split(",")):
        theirs = measure(options.source, count, ["xargs", "-n1", "-P", jobs, "true"])
        own = measure(options.source, count, ours)
        print(
            f"{count:9,} inputs: procsup {own.wall_s:7.1f} s, {own.peak_bytes / 1e6:5.1f} MB;"
            f" xargs {theirs.wall_s:7.1f} s, {theirs.peak_bytes / 1e6:5.1f} MB;"
            f" ratio {own.wall_s / theirs.wall_s:.1f}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

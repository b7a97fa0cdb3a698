#!/usr/bin/env python3
"""What the parts of an attempt cost the supervisor: the CPU of each, a unit.

    python scripts/bench/parts.py              # 2,000 units that write a file each
    python scripts/bench/parts.py --units 500 --rounds 3

It times the functions of each part during a whole run (CPU time of the thread that runs them,
minus the cost of the timing itself). Linux only.
"""

import argparse
import atexit
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

ROOT = Path(__file__).resolve().parents[2]
RUN = """
[stage.s]
command = ["/bin/sh", "-c", "echo made > out/{n}"]
outputs = ["out/{n}"]
matrix.n = { range = "1..%d" }
"""
# Part, module, class (or none), function. No function calls another one of its part.
TIMED = (
    ("identity: mark put on", "procsup.host.marks", "Marker", "put_on"),
    ("identity: mark taken off", "procsup.host.marks", "Marker", "take_off"),
    ("identity: clock around the start, twice", "procsup.host.posix", "", "read_proc_clock"),
    ("identity: lock shared with the unit", "procsup.host.units_lock", "UnitsLock", "share"),
    ("start: Popen", "procsup.host.processes", "Launch", "open"),
    ("end: main process has ended", "procsup.attempt.attempt", "Attempt", "note_main_end"),
    ("end: nothing is left", "procsup.attempt.attempt", "Attempt", "advance"),
    ("end: read lease on the output", "procsup.host.leases", "", "is_written"),
    ("publishing: in the loop", "procsup.store.publishing", "PublishingQueue", "drain"),
    ("publishing: beside it", "procsup.store.publishing", "PublishingQueue", "_do"),
)


class Timer:
    """Adds up the CPU seconds of one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.cpu_s = 0.0
        self.calls = 0

    def bound(self) -> Callable[..., Any]:
        """Return a timed version of the function."""

        def timed(*args: Any, **settings: Any) -> Any:
            begun = time.thread_time()
            try:
                return self.function(*args, **settings)
            finally:
                self.cpu_s += time.thread_time() - begun
                self.calls += 1

        return timed


def own_cost_s() -> float:
    """Return the CPU seconds that a timer adds to each call."""
    timer = Timer(lambda: None)
    timed = timer.bound()
    for _ in range(20_000):
        timed()
    return timer.cpu_s / timer.calls


def run_timed(result: str) -> int:
    """Run procsup here; at its end the supervisor writes the seconds of each part to a file."""
    import importlib

    timers: Dict[str, Timer] = {}
    for part, module_name, class_name, name in TIMED:
        module = importlib.import_module(module_name)
        home = getattr(module, class_name) if class_name else module
        timers[part] = Timer(getattr(home, name))
        setattr(home, name, timers[part].bound())
    own_s = own_cost_s()

    def keep() -> None:
        took = {part: timer.cpu_s - own_s * timer.calls for part, timer in timers.items()}
        took["all of the supervisor"] = time.process_time()
        Path(result).write_text(json.dumps(took), encoding="utf-8")

    atexit.register(keep)
    from procsup.__main__ import program

    sys.argv = ["procsup", "run", "run.toml", "--progress", "none"]
    return program()


def measure(units: int) -> Dict[str, float]:
    """Return the CPU seconds of each part in a run of so many units."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "run.toml").write_text(RUN % units, encoding="utf-8")
        Path(folder, "out").mkdir()
        result = Path(folder, "parts.json")
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, str(Path(__file__).resolve()), "--be-procsup", str(result)]
        subprocess.run(argv, cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)
        took: Dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
        return took


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--units", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--be-procsup", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be_procsup:
        return run_timed(options.be_procsup)
    rounds: List[Dict[str, float]] = [measure(options.units) for _ in range(options.rounds)]
    print(f"CPython {sys.version.split()[0]}, {options.units} units, {options.rounds} rounds")
    for part in rounds[0]:
        values = sorted(one[part] / options.units * 1e6 for one in rounds)
        middle = statistics.median(values)
        print(f"  {part:42} {middle:7.1f} us a unit ({values[0]:.1f} to {values[-1]:.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How soon others know: ``python scripts/bench/latency.py``.

* wait: from the moment a stage's manifest appears under its name to the end of a
  ``procsup wait`` process that was blocked on it, the exit of its interpreter included.
* shown: from a unit's exit, as recorded, to its line on procsup's output, which is printed once
  the record is on disk; with many live units.
"""

import argparse
import os
import subprocess
import sys
import time
from typing import List

import _bench
import _setup
from startup import seconds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="waits")
    parser.add_argument("--units", type=int, default=100, help="units of the stage waited for")
    parser.add_argument("--live", type=int, default=100, help="live units while exits are timed")
    options = parser.parse_args()
    with _bench.workshop() as bench:
        print("\n".join(_bench.describe(bench)))
        waits_ms = [one_wait(bench, options.units) * 1e3 for _ in range(options.rounds)]
        print(f"final -> wait returns ({options.units} units)  {said(waits_ms)}")
        shown_ms = [late * 1e3 for late in lines_shown(bench, options.live)]
        print(f"exit -> durable and shown ({options.live} live)  {said(shown_ms)}")
    return 0


def said(values_ms: List[float]) -> str:
    """Say a distribution in short."""
    shares = [(0.5, "p50"), (0.99, "p99"), (1.0, "max")]
    parts = [f"{name} {_bench.percentile(values_ms, share):.1f}" for share, name in shares]
    return f"{', '.join(parts)} ms ({len(values_ms)} times)"


def one_wait(bench: _bench.Workshop, units: int) -> float:
    """Return the seconds from a stage's manifest to the end of a waiter blocked on it."""
    room = bench.room()
    gate = room / "gate"
    os.mkfifo(str(gate))
    # The last unit reads from the gate until we open and close it.
    bench.run_file(
        room,
        f'jobs = 2\n[stage.all]\ncommand = ["{_bench.program("sh")}", "-c", '
        f'"test $0 -lt {units} || cat gate", "{{i}}"]\n'
        f'matrix.i = {{ range = "1..{units}" }}\n',
    )
    quiet = {"cwd": str(room), "env": bench.env, "stderr": subprocess.DEVNULL}
    started = subprocess.run(
        [*bench.procsup, "run", "--detach"], stdout=subprocess.PIPE, check=True, **quiet
    )
    run = started.stdout.decode().strip()
    waiter = subprocess.Popen([*bench.procsup, "wait", run, "--stage", "all"], **quiet)
    with gate.open("wb"):  # opens when the last unit reads
        time.sleep(0.5)  # the waiter imports, finds the run and blocks
    code = waiter.wait()
    returned = time.time()
    if code != 0:
        raise SystemExit(f"procsup wait {run} said {code}")
    manifest = room / ".procsup" / "bench" / "stages" / "all.json"
    appeared = manifest.stat().st_ctime_ns / 1e9  # a rename sets it
    subprocess.run([*bench.procsup, "wait", run], check=True, **quiet)
    return returned - appeared


def lines_shown(bench: _bench.Workshop, live: int) -> List[float]:
    """Return, for each of many units, the seconds from its exit to its line."""
    room = bench.room()
    units = live * 5
    bench.run_file(
        room,
        f'jobs = {live}\n[stage.all]\ncommand = ["{_bench.program("sleep")}", "0.{{i}}"]\n'
        f'matrix.i = {{ range = "{1000}..{1000 + units - 1}" }}\n',
    )
    seen = {}
    child = subprocess.Popen(
        [*bench.procsup, "run"],
        cwd=str(room),
        env=bench.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert child.stderr is not None
    for line in child.stderr:
        at = time.time()
        for word in line.decode("utf-8", "replace").split():
            if word.startswith("all/"):
                seen.setdefault(word.rstrip(":,"), at)
    if child.wait() != 0:
        raise SystemExit("procsup run failed")
    records = bench.manifest(room)["units"]
    return [seen[unit["id"]] - seconds(unit["ended"]) for unit in records if unit["id"] in seen]


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

"""Threads, multiprocessing, joblib or processes: ``python scripts/bench/pools.py [--quick]``.

First the same CPU-bound work on each of them, on two slots, in alternating rounds: seconds, and
the ratio to doing it one by one. Then what each of them says and leaves when one worker of eight
is killed, or has a segmentation fault: `pool_runner.py` is the whole program in each case.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple

import _bench
import _setup
from pool_runner import KINDS

RUNNER = Path(__file__).resolve().with_name("pool_runner.py")
PATIENCE_S = 20.0
VICTIM = 2


class Outcome(NamedTuple):
    """What a runner said, and left: `took_s` is None if it had to be ended after `PATIENCE_S`."""

    took_s: float
    exit_code: int
    last_words: str
    finished: int
    ended_by_us: bool


def start(
    bench: _bench.Workshop, kind: str, *words: str, patience_s: float = PATIENCE_S
) -> Outcome:
    """Run one kind in a room of its own, for so long at most."""
    room = bench.room()
    out = room / "out"
    out.mkdir()
    units, limit, victim, how = words
    argv = [bench.python, str(RUNNER), kind, units, limit, str(out), victim, how]
    said = room / "said.txt"
    began = time.perf_counter()
    with said.open("wb") as stream:
        child = subprocess.Popen(
            argv, cwd=str(room), env=bench.env, stdin=subprocess.DEVNULL, stdout=stream,
            stderr=stream, start_new_session=True,
        )  # fmt: skip
        try:
            code, ended = child.wait(timeout=patience_s), False
        except subprocess.TimeoutExpired:
            code, ended = 0, True
        took_s = time.perf_counter() - began
        _end_session(child)
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Outcome(took_s, code, _telling(lines), len(list(out.glob("*.txt"))), ended)


def _end_session(child: "subprocess.Popen[bytes]") -> None:
    """End what is left of a session that we started: a pool's workers may outlive it."""
    try:
        os.killpg(child.pid, 9)
    except ProcessLookupError:
        pass  # nothing is left
    child.wait()


def _telling(lines: List[str]) -> str:
    """Return the line of an output that says most: the exception, and which unit it names."""
    named = [line.strip() for line in lines if "crunch.py" not in line and "Error" in line]
    failed = [line.strip() for line in lines if "signal" in line or "SIG" in line]
    chosen = failed[-1:] or named[-1:] or lines[-1:]
    return chosen[0][:150] if chosen else "(not a word)"


def measure_speed(bench: _bench.Workshop, units: int, limit: int, rounds: int) -> None:
    """Measure and print how long each takes for the same work."""
    took: Dict[str, List[float]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind in sorted(KINDS, reverse=number % 2 == 1):
            words = (str(units), str(limit), "-1", "kill")
            outcome = start(bench, kind, *words, patience_s=600.0)
            if outcome.exit_code != 0 or outcome.finished != units:
                raise SystemExit(f"{kind} failed: {outcome.last_words}")
            took[kind].append(outcome.took_s)
        _setup.say(f"round {number + 1} of {rounds}")
    alone = statistics.median(took["one by one"])
    print(f"\n{units} units of about {alone / units:.2f} s CPU each, 2 at a time")
    for kind, values in took.items():
        ratio = statistics.median(values) / alone
        print(f"  {kind:<22} {_bench.spread(values, '{:.2f}')} s   {ratio:.2f} of one by one")


def show_deaths(bench: _bench.Workshop, limit: int) -> None:
    """Print what each says, how soon, and how many of the other seven units were finished."""
    for how in ("kill", "segfault"):
        print(f"\none unit of 8 dies ({how}), 2 at a time")
        for kind in KINDS:
            if kind == "one by one":
                continue
            outcome = start(bench, kind, "8", str(limit), str(VICTIM), how)
            ended = f"hangs: ended by us after {PATIENCE_S:.0f} s"
            told = ended if outcome.ended_by_us else f"exit {outcome.exit_code}"
            print(f"  {kind:<22} {told}, {outcome.finished} of the other 7 finished")
            print(f"  {'':<22}   {outcome.last_words}")


def main() -> int:
    """Measure speed, then deaths."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--units", type=int, default=24)
    about = "a unit counts the primes below N (default: 60000, then 200000)"
    parser.add_argument("--limit", type=int, action="append", metavar="N", help=about)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="6 smaller units, 1 round")
    options = parser.parse_args()
    if options.quick:
        options.units, options.limit, options.rounds = 6, [20_000], 1
    with _bench.workshop("bench", ["bench"]) as bench:
        print("\n".join(_bench.describe(bench)))
        for limit in options.limit or (60_000, 200_000):
            measure_speed(bench, options.units, limit, options.rounds)
        show_deaths(bench, 20_000)
    return 0


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

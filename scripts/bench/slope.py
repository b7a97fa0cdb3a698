"""What a unit costs, against ``xargs -P2``: ``python scripts/bench/slope.py [--quick]``.

Slope = (time for many units - time for few), so that start-up falls out. Ratio = the slope of
procsup with full records, durability on, over that of xargs, which keeps none. Both run the
same programs with the same Python and environment on two slots, in alternating order.
"""

import argparse
import statistics
import sys
from typing import Dict, List, NamedTuple

import _bench
import _setup


class Work(NamedTuple):
    """One kind of unit: for a run file, and for xargs."""

    name: str
    keys: str
    argv: List[str]


def works(bench: _bench.Workshop) -> List[Work]:
    """Return what can be measured."""
    true = _bench.program("true")
    return [
        Work("true", f'command = ["{true}"]\n', [true]),
        Work("noop", 'module = "noop"\n', [bench.python, "-m", "noop"]),
    ]


def time_procsup(bench: _bench.Workshop, work: Work, units: int) -> float:
    """Return the seconds that procsup takes for so many units."""
    room = bench.room()
    bench.run_file(
        room,
        f"jobs = 2\n[stage.all]\n{work.keys}"
        f'args = ["{{i}}"]\nmatrix.i = {{ range = "1..{units}" }}\n',
    )
    return bench.cost([*bench.procsup, "run"], room).wall_s


def time_xargs(bench: _bench.Workshop, work: Work, units: int) -> float:
    """Return the seconds that xargs takes for so many units."""
    room = bench.room()
    numbers = room / "numbers.txt"
    numbers.write_text("".join(f"{i}\n" for i in range(1, units + 1)), encoding="ascii")
    argv = [_bench.program("xargs"), "-P2", "-n1", *work.argv]
    return bench.cost(argv, room, stdin=numbers).wall_s


def measure(bench: _bench.Workshop, work: Work, few: int, many: int, rounds: int) -> None:
    """Measure one kind of unit and print what came out."""
    runners = {"procsup": time_procsup, "xargs": time_xargs}
    slopes: Dict[str, List[float]] = {name: [] for name in runners}
    for number in range(rounds):
        order = sorted(runners, reverse=number % 2 == 1)
        for name in order:
            small = runners[name](bench, work, few)
            large = runners[name](bench, work, many)
            slopes[name].append((large - small) / (many - few))
        ratio = slopes["procsup"][-1] / slopes["xargs"][-1]
        _setup.say(f"{work.name}: round {number + 1} of {rounds}: {ratio:.3f}")
    ratios = [ours / theirs for ours, theirs in zip(slopes["procsup"], slopes["xargs"])]
    print(f"{work.name} ({few} and {many} units)")
    for name, values in slopes.items():
        in_us = [value * 1e6 for value in values]
        print(f"  {name:<8} {_bench.spread(in_us, '{:.0f}')} us per unit")
    medians = statistics.median(slopes["procsup"]) / statistics.median(slopes["xargs"])
    print(f"  ratio    {_bench.spread(ratios)}; of the medians {medians:.3f}")


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", nargs="*", help="true, noop (default: both)")
    parser.add_argument("--few", type=int, default=1000, help="units of the short runs")
    parser.add_argument("--many", type=int, default=5000, help="units of the long runs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="200 and 1000 units, 3 rounds")
    options = parser.parse_args()
    few, many, rounds = (200, 1000, 3) if options.quick else (0, 0, 0)
    with _bench.workshop() as bench:
        known = {work.name: work for work in works(bench)}
        unknown = set(options.work) - set(known)
        if unknown:
            parser.error(f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(known)}")
        print("\n".join(_bench.describe(bench)))
        for name in options.work or known:
            measure(
                bench,
                known[name],
                few or options.few,
                many or options.many,
                rounds or options.rounds,
            )
    return 0


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

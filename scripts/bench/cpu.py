"""CPU time of the supervisor per unit, beyond a bare `Popen`: ``python scripts/bench/cpu.py``.

The CPU time of procsup and all that it started, minus that of a loop which only calls `Popen`
and `wait4` for the same children; both as slopes, so that start-up falls out.
"""

import argparse
import sys
from typing import Dict, List

import _bench
import _setup


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--many", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cpu_us: Dict[str, List[float]] = {"procsup": [], "popen": []}
    with _bench.workshop() as bench:
        print("\n".join(_bench.describe(bench)))
        for number in range(options.rounds):
            for name in sorted(cpu_us, reverse=number % 2 == 1):
                few = cpu_of(bench, name, options.few)
                many = cpu_of(bench, name, options.many)
                cpu_us[name].append((many - few) / (options.many - options.few) * 1e6)
    beyond = [ours - bare for ours, bare in zip(cpu_us["procsup"], cpu_us["popen"])]
    for name, values in cpu_us.items():
        print(f"{name:<8} {_bench.spread(values, '{:.0f}')} us of CPU per unit, its own included")
    print(f"beyond   {_bench.spread(beyond, '{:.0f}')} us of CPU per unit")
    return 0


def cpu_of(bench: _bench.Workshop, name: str, units: int) -> float:
    """Return the CPU seconds of so many units of `true`."""
    true, room = _bench.program("true"), bench.room()
    if name == "popen":
        loop = str(_bench.HERE / "floor_loop.py")
        return bench.cost([bench.python, loop, str(units), true], room).cpu_s
    bench.run_file(
        room,
        f'jobs = 2\n[stage.all]\ncommand = ["{true}", "{{i}}"]\n'
        f'matrix.i = {{ range = "1..{units}" }}\n',
    )
    return bench.cost([*bench.procsup, "run"], room).cpu_s


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

"""From the start of procsup to the start of its first unit: ``python scripts/bench/startup.py``."""

import argparse
import sys
import time
from datetime import datetime
from typing import List

import _bench
import _setup


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    to_first_ms: List[float] = []
    whole_ms: List[float] = []
    bare_ms: List[float] = []
    with _bench.workshop() as bench:
        print("\n".join(_bench.describe(bench)))
        for _ in range(options.rounds):
            bare_ms.append(bench.cost([bench.python, "-c", ""], bench.room()).wall_s * 1e3)
            room = bench.room()
            bench.run_file(room, f'[stage.one]\ncommand = ["{_bench.program("true")}"]\n')
            before = time.time()
            whole_ms.append(bench.cost([*bench.procsup, "run"], room).wall_s * 1e3)
            started = bench.manifest(room)["units"][0]["started"]
            to_first_ms.append((seconds(started) - before) * 1e3)
    print(f"python -c ''               {_bench.spread(bare_ms, '{:.1f}')} ms")
    print(f"start to first unit        {_bench.spread(to_first_ms, '{:.1f}')} ms")
    print(f"a whole run of one `true`  {_bench.spread(whole_ms, '{:.1f}')} ms")
    return 0


def seconds(text: str) -> float:
    """Return an RFC 3339 time as seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

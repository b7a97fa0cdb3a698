"""``python scripts/nightly/deliver.py --day DAY --sources CSV --out FOLDER``: plays the sources.

Writes what each source of the list delivers on that day, the same every time: a CSV of orders.
"""

import argparse
import csv
import random
from pathlib import Path
from typing import List, Optional


def main(argv: Optional[List[str]] = None) -> int:
    """Write one file per source."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--day", required=True, help="such as 2026-11-20")
    parser.add_argument("--sources", required=True, type=Path, help="list of sources (CSV)")
    parser.add_argument("--out", required=True, type=Path, help="folder of that day's deliveries")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    with options.sources.open(encoding="utf-8", newline="") as stream:
        names = [row["source"] for row in csv.DictReader(stream)]
    for name in names:
        dice = random.Random(f"{name} {options.day}")
        lines = ["order,amount"]
        lines += [
            f"{name}-{number},{dice.randint(500, 20_000) / 100:.2f}"
            for number in range(dice.randint(20, 60))
        ]
        (options.out / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(names)} deliveries in {options.out}")
    return 0


if __name__ == "__main__":
    main()

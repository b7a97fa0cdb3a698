"""``python -m sweep.table --list FILE --out TABLE BEST``: all results, and the best configuration.

The table (CSV) has the mean error of each configuration over its seeds, the best one first;
the other file is that one as JSON.
"""

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from sweep.train import write

CONFIGURATION = ("degree", "epochs", "rate", "penalty")


def main(argv: Optional[List[str]] = None) -> int:
    """Read the results and write both files; 2 if there are none."""
    parser = argparse.ArgumentParser(prog="sweep.table")
    parser.add_argument("--list", type=Path, required=True, help="file that names the results")
    parser.add_argument("--out", nargs=2, type=Path, required=True, help="files to write")
    options = parser.parse_args(argv)
    paths = options.list.read_text(encoding="utf-8").splitlines()
    rows = compared([json.loads(Path(path).read_text(encoding="utf-8")) for path in paths])
    if not rows:
        print("sweep.table: no results", file=sys.stderr)
        return 2
    table, best = options.out
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write(best, json.dumps(rows[0], indent=1) + "\n")
    print(f"best of {len(rows)}: {json.dumps(rows[0])}")
    return 0


def compared(results: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return a row per configuration, the smallest mean error first."""
    errors: Dict[Any, List[float]] = {}
    for result in results:
        errors.setdefault(tuple(result[name] for name in CONFIGURATION), []).append(result["error"])
    rows = []
    for values, found in errors.items():
        row = dict(zip(CONFIGURATION, values))
        row.update(seeds=len(found), error=round(statistics.mean(found), 6))
        rows.append(row)
    # One that failed with some of its seeds is not better for having fewer of them.
    return sorted(rows, key=lambda row: (-row["seeds"], row["error"]))


if __name__ == "__main__":
    sys.exit(main())

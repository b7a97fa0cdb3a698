"""``python merge.py [XML...] --interpreters CSV --shards N --out TABLE``: versions by shards.

Each XML is named ``VERSION-SHARD.xml``. A shard without one has failed: its log says why.
"""

import argparse
import csv
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Dict, List, Optional


def main(argv: Optional[List[str]] = None) -> int:
    """Print the table and write it as CSV."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", nargs="*", type=Path, help="of the shards that succeeded")
    parser.add_argument("--interpreters", required=True, type=Path, help="what was tested (CSV)")
    parser.add_argument("--shards", required=True, type=int, help="how many each should have")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(argv)
    passed = {path.stem: str(tests_in(path)) for path in options.results}
    with options.interpreters.open(encoding="utf-8", newline="") as stream:
        versions = [row["version"] for row in csv.DictReader(stream)]
    rows = [["version", *(f"shard {shard}" for shard in range(1, options.shards + 1))]]
    rows += [[version, *shards_of(version, options.shards, passed)] for version in versions]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    for row in rows:
        print("".join(cell.ljust(10) for cell in row).rstrip())
    return 0


def tests_in(path: Path) -> int:
    """Return how many tests a JUnit XML tells of."""
    return len(ElementTree.parse(str(path)).getroot().findall("testcase"))


def shards_of(version: str, shards: int, passed: Dict[str, str]) -> List[str]:
    """Return a version's cells: the number of tests that passed, or that the shard failed."""
    return [passed.get(f"{version}-{shard}", "FAILED") for shard in range(1, shards + 1)]


if __name__ == "__main__":
    sys.exit(main())

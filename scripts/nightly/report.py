"""``python -m nightly.report [JSON...] --sources CSV --out CSV``: the day, source by source.

A source that is missing stands in the table too, as missing: whoever reads it next morning sees it.
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import List, Optional

from nightly.load import write


def main(argv: Optional[List[str]] = None) -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="nightly.report")
    parser.add_argument("loaded", nargs="*", type=Path, help="what nightly.load wrote")
    parser.add_argument("--sources", required=True, type=Path, help="list of sources (CSV)")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(argv)
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in options.loaded]
    by_source = {report["source"]: report for report in reports}
    lines = ["source,orders,total,currency"]
    with options.sources.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found = by_source.get(row["source"], {"orders": "missing", "total": ""})
            lines.append(
                ",".join([row["source"], str(found["orders"]), found["total"], row["currency"]])
            )
    write(options.out, "\n".join(lines) + "\n")
    print(f"{len(by_source)} of {len(lines) - 1} sources")
    return 0


if __name__ == "__main__":
    sys.exit(main())

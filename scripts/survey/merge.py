"""``python -m survey.merge [FILE...] [--list FILE] --out TABLE``: one table of all measurements.

The table is CSV, the largest module first. It also says what no single measurement can: how
many of the surveyed modules import this one.
"""

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from survey.files import fail, written_whole

COLUMNS = (
    "module",
    "kind",
    "files",
    "unparsed",
    "lines",
    "code",
    "comment",
    "docstring",
    "blank",
    "functions",
    "classes",
    "max_nesting",
    "longest_function_lines",
    "docstring_share",
    "imports",
    "imported_by",
)


def main(argv: Optional[List[str]] = None) -> int:
    """Read all measurements and write the table; 2 if one cannot be used."""
    parser = argparse.ArgumentParser(prog="survey.merge", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="measurements (JSON)")
    parser.add_argument("--list", type=Path, help="a file that names measurements, one a line")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(argv)
    paths = list(options.files)
    if options.list is not None:
        paths += [Path(line) for line in options.list.read_text(encoding="utf-8").splitlines()]
    if not paths:
        return fail("no measurements given")
    try:
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    except (OSError, ValueError) as error:
        return fail(f"not a measurement: {error}")
    rows = table(reports)
    with written_whole(options.out, newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    totals = {name: sum(row[name] for row in rows) for name in ("files", "unparsed", "lines")}
    print(
        "{0} modules, {files} files ({unparsed} unparsed), {lines} lines".format(
            len(rows), **totals
        )
    )
    return 0


def table(reports: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Return one row per measurement, the one with the most lines first."""
    importers: Dict[str, int] = {}
    for report in reports:
        for name in report["imports"]:
            if name != report["module"]:
                importers[name] = importers.get(name, 0) + 1
    rows = []
    for report in reports:
        row = {name: report.get(name) for name in COLUMNS}
        row["imports"] = len(report["imports"])
        row["imported_by"] = importers.get(report["module"], 0)
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["lines"], row["module"]))


if __name__ == "__main__":
    sys.exit(main())

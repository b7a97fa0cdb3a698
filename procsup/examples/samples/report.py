"""Report how many lines of each sample are distinct: report.py SORTED... OUTPUT."""

import csv
import sys
from pathlib import Path

*paths, output = sys.argv[1:]
with open(output, "w", encoding="utf-8", newline="") as report:
    rows = csv.writer(report)
    rows.writerow(["sample", "lines", "distinct"])
    for path in paths:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        rows.writerow([Path(path).name.split(".")[0], len(lines), len(set(lines))])

"""Put the totals of the day into one table: report.py TOTALS... OUTPUT."""

import csv
import json
import sys
from pathlib import Path

*totals, output = sys.argv[1:]
with open(output, "w", encoding="utf-8", newline="") as report:
    rows = csv.DictWriter(report, ["source", "currency", "cents"])
    rows.writeheader()
    for path in totals:
        rows.writerow(json.loads(Path(path).read_text(encoding="utf-8")))

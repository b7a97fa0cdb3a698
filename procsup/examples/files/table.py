"""Put all counts into one table: table.py COUNTS... OUTPUT."""

import csv
import json
import sys

*counts, output = sys.argv[1:]
with open(output, "w", encoding="utf-8", newline="") as table:
    rows = csv.writer(table)
    rows.writerow(["file", "words"])
    for path in counts:
        with open(path, encoding="utf-8") as file:
            count = json.load(file)
        rows.writerow([count["file"], count["words"]])

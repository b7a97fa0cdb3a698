"""Add up the orders of one source: load.py ORDERS CURRENCY OUTPUT."""

import csv
import json
import sys
from pathlib import Path

orders, currency, output = sys.argv[1:]
with open(orders, encoding="utf-8", newline="") as file:
    total = sum(int(row["cents"]) for row in csv.DictReader(file))
data = {"source": Path(orders).stem, "currency": currency, "cents": total}
Path(output).write_text(json.dumps(data) + "\n", encoding="utf-8")

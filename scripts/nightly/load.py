"""``python -m nightly.load CSV --source NAME --currency CUR --out JSON``: check one delivery."""

import argparse
import csv
import json
import os
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Dict, List, Optional


def main(argv: Optional[List[str]] = None) -> int:
    """Check and sum up; 1 if the delivery cannot be used."""
    parser = argparse.ArgumentParser(prog="nightly.load")
    parser.add_argument("orders", type=Path, help="what was delivered (CSV)")
    parser.add_argument("--source", required=True, help="who delivered it")
    parser.add_argument("--currency", required=True, help="of its amounts")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(argv)
    try:
        report = summed(options.orders)
    except ValueError as error:
        print(f"nightly.load: {options.orders}: {error}", file=sys.stderr)
        return 1
    report.update(source=options.source, currency=options.currency)
    write(options.out, json.dumps(report, sort_keys=True) + "\n")
    print("{source}: {orders} orders, {total} {currency}".format(**report))
    return 0


def summed(path: Path) -> Dict[str, Any]:
    """Return the number of orders and their sum; ValueError says what is wrong in which line."""
    total, seen = Decimal(0), set()
    with path.open(encoding="utf-8", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream), 2):
            try:
                total += Decimal(row["amount"])
            except (KeyError, TypeError, InvalidOperation):
                raise ValueError(f"line {number}: expected an amount in {row}") from None
            if row["order"] in seen:
                raise ValueError(f"line {number}: order {row['order']} stands there twice")
            seen.add(row["order"])
    return {"orders": len(seen), "total": str(total)}


def write(path: Path, text: str) -> None:
    """Write a file that appears under its name once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    sys.exit(main())

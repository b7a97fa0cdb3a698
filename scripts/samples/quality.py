"""``python -m samples.quality R1 R2 --out JSON``: figures about a pair's reads."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional

from samples.files import Broken, Read, fail, reads, written_whole


def main(argv: Optional[List[str]] = None) -> int:
    """Measure and write; 2 if a file is broken."""
    parser = argparse.ArgumentParser(prog="samples.quality")
    parser.add_argument("reads", nargs=2, type=Path, help="the pair's two files")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(argv)
    try:
        report = figures(read for path in options.reads for read in reads(path))
    except Broken as error:
        return fail("quality", error)
    with written_whole(options.out) as out:
        json.dump(report, out, sort_keys=True)
        out.write("\n")
    print("{reads} reads, {bases} bases, GC {gc}".format(**report))
    return 0


def figures(all_reads: Iterable[Read]) -> Dict[str, Any]:
    """Count reads and bases; the share of G and C."""
    count = bases = gc = 0
    for read in all_reads:
        count += 1
        bases += len(read.bases)
        gc += read.bases.count("G") + read.bases.count("C")
    return {"reads": count, "bases": bases, "gc": round(gc / bases, 4) if bases else None}


if __name__ == "__main__":
    sys.exit(main())

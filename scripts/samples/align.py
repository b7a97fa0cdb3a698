"""``python -m samples.align R1 R2 --reference FASTA --out TSV``: where each read belongs.

A read is placed where one of its 20-base words stands in the reference exactly once; one line a
read: name, place (from 0), bases as the reference's strand has them.
"""

import argparse
import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from samples.files import Broken, fail, reads, reference, written_whole

WORD = 20
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def main(argv: Optional[List[str]] = None) -> int:
    """Place all reads; 2 if a file is broken."""
    parser = argparse.ArgumentParser(prog="samples.align")
    parser.add_argument("reads", nargs=2, type=Path, help="the pair's two files")
    parser.add_argument("--reference", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(argv)
    placed = total = 0
    try:
        index = words(reference(options.reference))
        with written_whole(options.out) as out:
            for path in options.reads:
                for read in reads(path):
                    total += 1
                    found = place(read.bases, index)
                    if found is not None:
                        placed += 1
                        out.write(f"{read.name}\t{found[0]}\t{found[1]}\n")
    except Broken as error:
        return fail("align", error)
    print(f"{placed} of {total} reads placed")
    return 0


def words(genome: str) -> Dict[str, int]:
    """Return where each word stands, -1 if in several places."""
    index: Dict[str, int] = {}
    for start in range(len(genome) - WORD + 1):
        word = genome[start : start + WORD]
        index[word] = -1 if word in index else start
    return index


def place(bases: str, index: Dict[str, int]) -> Optional[Tuple[int, str]]:
    """Return a read's place and its bases on the reference's strand; None if it has none."""
    for strand in (bases, bases.translate(COMPLEMENT)[::-1]):
        for start in range(0, len(strand) - WORD + 1, WORD // 2):
            found = index.get(strand[start : start + WORD], -1)
            if found >= start:
                return found - start, strand
    return None


if __name__ == "__main__":
    sys.exit(main())

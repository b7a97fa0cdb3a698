"""``python -m samples.trim R1 R2 --out R1 R2``: cut the bad ends of both reads of each pair.

A pair of which one read becomes too short is dropped whole, so that the two files stay in step.
"""

import argparse
import sys
from itertools import zip_longest
from pathlib import Path
from typing import List, Optional

from samples.files import Broken, Read, fail, reads, written_whole

SHORTEST = 30


def main(argv: Optional[List[str]] = None) -> int:
    """Trim; 2 if a file is broken or the two are not in step."""
    parser = argparse.ArgumentParser(prog="samples.trim")
    parser.add_argument("reads", nargs=2, type=Path, help="the pair's two files")
    parser.add_argument("--out", required=True, nargs=2, type=Path, help="files to write")
    options = parser.parse_args(argv)
    kept = total = 0
    try:
        with written_whole(options.out[0]) as one, written_whole(options.out[1]) as two:
            for pair in zip_longest(*map(reads, options.reads)):
                if None in pair or pair[0].name != pair[1].name:
                    raise Broken(f"{options.reads[0]} and {options.reads[1]} are not in step")
                total += 1
                good = [trimmed(read) for read in pair]
                if min(len(read.bases) for read in good) >= SHORTEST:
                    kept += 1
                    one.write(text(good[0]))
                    two.write(text(good[1]))
    except Broken as error:
        return fail("trim", error)
    print(f"{kept} of {total} pairs kept")
    return 0


def trimmed(read: Read, worst: str = "5") -> Read:
    """Return the read without its end of bases that are worse than `worst` (Phred 20)."""
    length = len(read.bases)
    while length and read.qualities[length - 1] < worst:
        length -= 1
    return Read(read.name, read.bases[:length], read.qualities[:length])


def text(read: Read) -> str:
    """Return a read as FASTQ."""
    return f"@{read.name}\n{read.bases}\n+\n{read.qualities}\n"


if __name__ == "__main__":
    sys.exit(main())

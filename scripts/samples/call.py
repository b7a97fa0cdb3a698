"""``python -m samples.call PLACED --quality JSON --reference FASTA --out TSV``: the differences.

One line for each place where most reads have another base than the reference: place (from 1),
base of the reference, base of the sample, reads that say so, reads there. How many reads a place
needs hangs on how many there are at all, which is why this step waits for two others.
"""

import argparse
import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from samples.files import Broken, fail, reference, written_whole


def main(argv: Optional[List[str]] = None) -> int:
    """Write the differences; 2 if a file is broken."""
    parser = argparse.ArgumentParser(prog="samples.call")
    parser.add_argument("placed", type=Path, help="what samples.align wrote")
    parser.add_argument("--quality", required=True, type=Path, help="what samples.quality wrote")
    parser.add_argument("--reference", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(argv)
    try:
        genome = reference(options.reference)
        bases = json.loads(options.quality.read_text(encoding="utf-8"))["bases"]
        depths = pile(options.placed, len(genome))
    except (Broken, OSError, ValueError, KeyError) as error:
        return fail("call", error)
    found = list(differences(genome, depths, least=max(3, bases // len(genome) // 4)))
    with written_whole(options.out) as out:
        out.writelines("\t".join(map(str, line)) + "\n" for line in found)
    print(f"{len(found)} differences")
    return 0


def pile(placed: Path, length: int) -> Dict[int, "Counter[str]"]:
    """Return, for each place, how often each base was read there."""
    depths: Dict[int, Counter[str]] = {}
    with gzip.open(placed, "rt", encoding="ascii") as stream:
        for line in stream:
            _, start, bases = line.rstrip("\n").split("\t")
            for offset, base in enumerate(bases[: length - int(start)]):
                depths.setdefault(int(start) + offset, Counter())[base] += 1
    return depths


def differences(
    genome: str, depths: Dict[int, "Counter[str]"], least: int
) -> Iterator[Tuple[int, str, str, int, int]]:
    """Yield the places where most of at least `least` reads differ from the reference."""
    for place in sorted(depths):
        there = depths[place]
        ((base, times),) = there.most_common(1)
        total = sum(there.values())
        if base != genome[place] and total >= least and times * 2 > total:
            yield place + 1, genome[place], base, times, total


if __name__ == "__main__":
    sys.exit(main())

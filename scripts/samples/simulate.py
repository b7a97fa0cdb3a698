"""``python scripts/samples/simulate.py --out FOLDER [--samples N]``: data for paired-samples.

Writes ``reference.fa`` and N pairs ``S001_R1.fastq.gz``, ``S001_R2.fastq.gz``, the same every
time. Each sample differs from the reference in a few bases, which the last step should find again.
"""

import argparse
import gzip
import random
from pathlib import Path
from typing import Iterator, List, Optional

LENGTH = 1_000
READ = 60
INSERT = 150
PAIRS = 120
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def main(argv: Optional[List[str]] = None) -> int:
    """Write the reference and the pairs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", required=True, type=Path, help="folder for the data")
    parser.add_argument("--samples", type=int, default=12, help="how many pairs (default 12)")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    genome = "".join(random.Random("reference").choices("ACGT", k=LENGTH))
    (options.out / "reference.fa").write_bytes(f">ref\n{genome}\n".encode("ascii"))
    for number in range(1, options.samples + 1):
        name = f"S{number:03d}"
        one, two = pairs(genome, random.Random(name))
        write(options.out / f"{name}_R1.fastq.gz", one)
        write(options.out / f"{name}_R2.fastq.gz", two)
    print(f"{options.samples} pairs in {options.out}")
    return 0


def pairs(genome: str, dice: random.Random) -> Iterator[str]:
    """Return the two files' texts for one sample."""
    sample = list(genome)
    for place in dice.sample(range(INSERT, LENGTH - INSERT), 3):
        sample[place] = dice.choice([base for base in "ACGT" if base != sample[place]])
    own = "".join(sample)
    sides: List[List[str]] = [[], []]
    for number in range(PAIRS):
        start = dice.randrange(LENGTH - INSERT)
        fragment = own[start : start + INSERT]
        backwards = fragment.translate(COMPLEMENT)[::-1]
        for side, strand in zip(sides, (fragment, backwards)):
            good = dice.randrange(45, READ + 1)  # the end of a read is its bad part
            qualities = "I" * good + "#" * (READ - good)
            side.append(f"@r{number}\n{strand[:READ]}\n+\n{qualities}\n")
    return map("".join, sides)


def write(path: Path, text: str) -> None:
    """Write a compressed file with no time in it: the same text gives the same bytes."""
    path.write_bytes(gzip.compress(text.encode("ascii"), compresslevel=1, mtime=0))


if __name__ == "__main__":
    main()

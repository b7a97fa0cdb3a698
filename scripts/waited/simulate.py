"""``python simulate.py --seed N --walks W --out FILE``: random walks, a stand-in for real work.

Writes one line a walk: how far from its beginning it was after 100 steps.
"""

import argparse
import os
import random
from pathlib import Path

STEPS = 100


def main() -> None:
    """Walk and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--walks", type=int, required=True, help="how many")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    far = [abs(sum(dice.choices((-1, 1), k=STEPS))) for _ in range(options.walks)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    partial = options.out.with_name(f".{options.out.name}.{os.getpid()}.part")
    partial.write_text("".join(f"{distance}\n" for distance in far), encoding="utf-8")
    os.replace(partial, options.out)


if __name__ == "__main__":
    main()

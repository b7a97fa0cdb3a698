"""``python -m sweep.train --rate R --penalty P --degree D --epochs E --seed S --out FILE``.

Fits a polynomial to noisy points by gradient descent with a penalty (ridge regression), and
writes the configuration with its error on points that it has not seen, as JSON. A rate that is
too high makes the weights grow without end: that is an error (1), and no result.
"""

import argparse
import json
import math
import os
import random
import sys
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

POINTS = 60
Points = List[Tuple[List[float], float]]  # powers of x, and y


def main(argv: Optional[List[str]] = None) -> int:
    """Train and write; 1 if the training diverges."""
    parser = argparse.ArgumentParser(prog="sweep.train")
    parser.add_argument("--rate", type=float, required=True, help="length of a step")
    parser.add_argument("--penalty", type=float, required=True, help="against large weights")
    parser.add_argument("--degree", type=int, required=True, help="of the polynomial")
    parser.add_argument("--epochs", type=int, required=True, help="steps")
    parser.add_argument("--seed", type=int, required=True, help="of the points and their noise")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    options = parser.parse_args(argv)
    dice = random.Random(options.seed)
    seen, unseen = (points(dice, options.degree) for _ in range(2))
    weights = [0.0] * (options.degree + 1)
    for _ in range(options.epochs):
        weights = step(weights, seen, options.rate, options.penalty)
    error = mean_square(weights, unseen)
    if not math.isfinite(error) or error > 1e6:
        print("sweep.train: diverges: the rate is too high", file=sys.stderr)
        return 1
    result = {key: value for key, value in vars(options).items() if key != "out"}
    result.update(error=round(error, 6), weights=[round(weight, 4) for weight in weights])
    write(options.out, json.dumps(result, sort_keys=True) + "\n")
    print(f"error {error:.4f}")
    return 0


def points(dice: random.Random, degree: int) -> Points:
    """Return noisy points of a sine, each x as its powers."""
    made = []
    for _ in range(POINTS):
        x = dice.uniform(-1, 1)
        made.append(
            ([x**power for power in range(degree + 1)], math.sin(3 * x) + dice.gauss(0, 0.1))
        )
    return made


def step(weights: Sequence[float], data: Points, rate: float, penalty: float) -> List[float]:
    """Return the weights one step further down."""
    slope = [2 * penalty * weight for weight in weights]
    for powers, y in data:
        off = predicted(weights, powers) - y
        for index, power in enumerate(powers):
            slope[index] += 2 * off * power / len(data)
    return [weight - rate * down for weight, down in zip(weights, slope)]


def mean_square(weights: Sequence[float], data: Points) -> float:
    """Return the mean of the squared errors; infinite if a number does not fit."""
    try:
        return sum((predicted(weights, powers) - y) ** 2 for powers, y in data) / len(data)
    except OverflowError:
        return math.inf


def predicted(weights: Sequence[float], powers: Sequence[float]) -> float:
    """Return the polynomial's value."""
    return sum(weight * power for weight, power in zip(weights, powers))


def write(path: Path, text: str) -> None:
    """Write a file that appears under its name once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    sys.exit(main())

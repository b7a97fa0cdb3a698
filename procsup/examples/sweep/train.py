"""Fit a polynomial to noisy points by gradient descent, and write down how well it fits."""

import argparse
import json
import math
import random

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--degree", type=int, required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--out", required=True)
given = parser.parse_args()

noise = random.Random(given.seed)
points = [(x / 10, math.sin(x / 5) + noise.gauss(0, 0.1)) for x in range(-10, 11)]
weights = [0.0] * (given.degree + 1)
for _ in range(given.steps):
    for x, y in points:
        error = sum(weight * x**power for power, weight in enumerate(weights)) - y
        weights = [weight - given.rate * error * x**power for power, weight in enumerate(weights)]
loss = sum(
    (sum(weight * x**power for power, weight in enumerate(weights)) - y) ** 2 for x, y in points
)
with open(given.out, "w", encoding="utf-8") as file:
    json.dump({"rate": given.rate, "degree": given.degree, "seed": given.seed, "loss": loss}, file)

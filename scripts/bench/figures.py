"""The arithmetic of the benchmarks, and how figures are written."""

import math
import statistics
from typing import Dict, List, NamedTuple, Optional, Sequence

Rounds = List[Dict[str, Dict[str, float]]]  # per round: of each runner, what it took


class Spread(NamedTuple):
    """A median and the range that it is the middle of."""

    median: float
    low: float
    high: float
    count: int

    def text(self, form: str = "{:.2f}") -> str:
        """Say it: ``1.08 (1.07 to 1.10)``."""
        middle, low, high = (form.format(value) for value in self[:3])
        return middle if self.count == 1 else f"{middle} ({low} to {high})"


def spread(values: Sequence[float]) -> Optional[Spread]:
    """Return the spread of some values; None if there are none."""
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))


def measured(rounds: Rounds, name: str, key: str) -> Optional[Spread]:
    """Return what one runner took, over the rounds it was in."""
    return spread([took[name][key] for took in rounds if name in took])


def ratio(rounds: Rounds, name: str, to: str, key: str = "wall_s") -> Optional[Spread]:
    """Return one runner's ratio to another: paired, one of each round in which both were."""
    pairs = [(took[name][key], took[to][key]) for took in rounds if name in took and to in took]
    return spread([ours / theirs for ours, theirs in pairs if theirs > 0])


def beyond(rounds: Rounds, name: str, floor: str, key: str = "cpu_s") -> Optional[Spread]:
    """Return how much more one runner took than the floor, paired by round."""
    both = [took for took in rounds if name in took and floor in took]
    return spread([took[name][key] - took[floor][key] for took in both])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below or at which that share of the values lies (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def exponent(sizes: Sequence[float], values: Sequence[float]) -> Optional[float]:
    """Return k of the best ``value = c * size ** k`` (least squares of the logarithms)."""
    pairs = [(math.log(x), math.log(y)) for x, y in zip(sizes, values) if x > 0 and y > 0]
    if len({x for x, _ in pairs}) < 2:
        return None
    mean_x = statistics.mean(x for x, _ in pairs)
    mean_y = statistics.mean(y for _, y in pairs)
    across = sum((x - mean_x) * (y - mean_y) for x, y in pairs)
    return across / sum((x - mean_x) ** 2 for x, _ in pairs)


def duration(seconds: float) -> str:
    """Say a duration in the unit that suits it: ``850 us``, ``12.3 ms``, ``4.20 s``."""
    if abs(seconds) < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if abs(seconds) < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def megabytes(size: Optional[float]) -> str:
    """Say a size in MB (10 ** 6 bytes); a hyphen if it could not be had."""
    if size is None:
        return "-"
    return f"{size / 1e6:.1f} MB" if size < 10e6 else f"{size / 1e6:.0f} MB"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> List[str]:
    """Return a Markdown table, its columns aligned so that it reads in a terminal too."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [head, *rows]]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        for row in cells
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return [lines[0], rule, *lines[1:]]

"""Where to kill: the lines that undisturbed runs execute, by phase, from what `traced` recorded."""

import os
import random
from collections import Counter
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

# The first line that belongs to a phase, by file and function; each phase lasts to the next one.
PHASES = (
    ("plans", "", ""),
    ("takes the directory", "store/sitting.py", "open"),
    ("opens the journal", "store/journal.py", "open"),
    ("runs units", "loop.py", "supervise"),
    ("publishes the run", "store/manifest.py", "publish_run"),
    ("lets go", "store/sitting.py", "close"),
)
WEIGHTS = {"plans": 1, "takes the directory": 3, "opens the journal": 3, "runs units": 8,
           "publishes the run": 4, "lets go": 2}  # fmt: skip


class Point(NamedTuple):
    """The `nth` time that this line is executed."""

    file: str
    line: int
    nth: int
    phase: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}#{self.nth}"


def read_points(record: Path) -> List[Point]:
    """Return the points of a recorded run in the order of execution."""
    executed = [line.rsplit(" ", 2) for line in record.read_text().splitlines()]
    points, phase = [], 0
    seen: Counter[Tuple[str, str]] = Counter()
    for file, line, function in executed:
        phase = _phase(phase, file, function)
        seen[file, line] += 1
        points.append(Point(file, int(line), seen[file, line], PHASES[phase][0]))
    return points


def _phase(phase: int, file: str, function: str) -> int:
    following = PHASES[phase + 1 : phase + 2]
    if following and (file.replace(os.sep, "/"), function) == following[0][1:]:
        return phase + 1
    return phase


def sample(points: Sequence[Point], number: int, generator: random.Random) -> List[Point]:
    """Draw that many, from each phase by its weight, spread over its lines: in order, no repeats.

    A line counts once, however often it is executed: else loops would take all.
    """
    by_phase: Dict[str, List[Point]] = {}
    for point in points:
        by_phase.setdefault(point.phase, []).append(point)
    whole = sum(WEIGHTS[phase] for phase in by_phase)
    drawn: List[Point] = []
    for phase, within in by_phase.items():
        share = max(1, round(number * WEIGHTS[phase] / whole))
        drawn += _spread(within, share, generator)
    others = sorted(set(points).difference(drawn))
    drawn += generator.sample(others, min(len(others), max(0, number - len(drawn))))
    return drawn if len(drawn) <= number else generator.sample(drawn, number)


def thin_out(points: Sequence[Point], most: int) -> List[Point]:
    """Leave of each line only the first times that it is executed, and the last one."""
    totals = Counter((point.file, point.line) for point in points)
    return [p for p in points if p.nth < most or p.nth == totals[p.file, p.line]]


def _spread(points: Sequence[Point], number: int, generator: random.Random) -> List[Point]:
    lines: Dict[Tuple[str, int], List[Point]] = {}
    for point in points:
        lines.setdefault((point.file, point.line), []).append(point)
    choices = [generator.choice(same) for same in lines.values()]
    number = min(number, len(choices))
    step = len(choices) / max(number, 1)
    return [choices[int((at + generator.random()) * step)] for at in range(number)]

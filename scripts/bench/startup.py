"""What each verb costs before it has done anything much: wall and CPU time, process by process.

And from the start of procsup to the start of its first unit, as its manifest has it.
"""

import time
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List

import _setup

from bench.figures import duration, percentile
from bench.measure import Command, Workshop, program, stage

TIMES = {"quick": 2, "default": 15, "long": 40}
VERBS = (
    ("--version",),
    ("--help",),
    ("run", "--help"),
    ("wait", "bench"),
    ("status", "bench"),
    ("logs", "bench", "all/i=1"),
    ("list",),
    ("verify", "bench"),
    ("run", "--dry-run"),
    ("run",),
)


def measure(bench: Workshop, form: str) -> Dict[str, Any]:
    """Return, per verb on a finished run of one unit, lists of wall and CPU seconds."""
    room = _finished(bench)
    wall_s: Dict[str, List[float]] = {}
    cpu_s: Dict[str, List[float]] = {}
    interpreter = [bench.python, "-c", ""]
    first = [_to_first_unit(bench) for _ in range(TIMES[form])]
    _setup.say(f"startup: to the first unit: {duration(percentile(first, 0.5))}")
    for _ in range(TIMES[form]):
        for verb in (None, *VERBS):
            argv = interpreter if verb is None else [*bench.procsup, *verb]
            name = "python -c ''" if verb is None else f"procsup {' '.join(verb)}"
            cost = bench.cost(Command(argv, room))
            wall_s.setdefault(name, []).append(cost.wall_s)
            cpu_s.setdefault(name, []).append(cost.cpu_s)
    for name, values in cpu_s.items():
        _setup.say(f"startup: {name}: {duration(percentile(values, 0.5))} of CPU")
    return {"first_unit_s": first, "wall_s": wall_s, "cpu_s": cpu_s}


def _finished(bench: Workshop) -> Path:
    """Return a room with a finished run of one unit."""
    room = bench.room()
    bench.run_file(room, stage([program("true")], 1))
    bench.cost(Command([*bench.procsup, "run"], room))
    return room


def _to_first_unit(bench: Workshop) -> float:
    before = time.time()
    started = bench.manifest(_finished(bench))["units"][0]["started"]
    return seconds(started) - before


def seconds(text: str) -> float:
    """Return an RFC 3339 time as seconds since 1970."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

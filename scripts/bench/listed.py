"""Units that a program lists: when the first one starts, and the memory of both processes."""

import json
from typing import Any, Dict, List, Optional, Sequence

import _setup

from bench.figures import duration, megabytes
from bench.measure import PROGRAMS, Command, CommandFailed, Workshop, program

SIZES = {"quick": (1000,), "default": (10_000, 100_000), "long": (10_000, 100_000, 1_000_000)}
LIMIT_S = 3600.0
WAYS = ("list", "generator")


def measure(
    bench: Workshop, form: str, sizes: Optional[Sequence[int]] = None
) -> List[Dict[str, Any]]:
    """Return the figures of each way and size (those of the form, if none are given)."""
    found = []
    for size in sizes or SIZES[form]:
        for way in WAYS:
            room = bench.room()
            words = [str(PROGRAMS / "listed.py"), way, str(size), program("true")]
            bench.cost(Command([bench.python, *words], room), LIMIT_S)
            said = (room / "said.txt").read_text(encoding="utf-8").splitlines()
            figures = {"way": way, "units": size, **json.loads(said[-1])}
            if figures["succeeded"] != size:
                raise CommandFailed(f"{figures['succeeded']} of {size} units succeeded", room)
            found.append(figures)
            _setup.say(
                f"listed: {way} of {size:,} units: the first started after"
                f" {duration(figures['started_s'])}, all in {duration(figures['wall_s'])}; program"
                f" {megabytes(figures['host_bytes'])}, supervisor"
                f" {megabytes(figures['supervisor_bytes'])}"
            )
    return found

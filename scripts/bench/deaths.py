"""What each says, and leaves undone, when one unit of eight dies in the middle of its work."""

import re
from pathlib import Path
from typing import Any, Dict, List

import _setup

from bench.measure import PROGRAMS, Workshop
from bench.peers import Runner

UNITS, VICTIM = 8, 2
PATIENCE_S = {"quick": 12.0}


def measure(bench: Workshop, form: str, runners: Dict[str, Runner]) -> Dict[str, Any]:
    """Return, per runner, its exit code, how many of the other units it did, its last words."""
    found: Dict[str, Any] = {"units": UNITS, "outcomes": {}}
    for name, runner in runners.items():
        if runner.peer.only and not runner.peer.calls:
            continue
        _setup.say(f"deaths: {name}")
        found["outcomes"][name] = _one(bench, runner, PATIENCE_S.get(form, 20.0))
    return found


def _one(bench: Workshop, runner: Runner, patience_s: float) -> Dict[str, Any]:
    argv = [bench.python, str(PROGRAMS / "crunch.py"), "TALLY"]
    command = runner.command(bench, argv, UNITS)
    env = {**(command.env or {}), "BENCH_VICTIM": f"{VICTIM}:kill", "BENCH_TENTHS": "1"}
    code, cost, overdue = bench.outcome(command._replace(env=env), patience_s)
    done: List[str] = []
    tally = command.room / "tally.txt"
    if tally.exists():
        done = tally.read_text(encoding="ascii").split()
    return {
        "code": None if overdue else code,
        "others_done": len(set(done) - {str(VICTIM)}),
        "words": telling(command.room),
        "took_s": cost.wall_s,
    }


def telling(room: Path) -> str:
    """Return the line that says most of what was said in a room: the failure, and of which unit."""
    text = (room / "said.txt").read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    signals = [line for line in lines if "signal" in line.lower() or "SIG" in line]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|BrokenProcessPool)\b", line)]
    chosen = errors[-1:] or signals[-1:] or lines[-1:]
    words = [word for word in chosen[0].split() if str(room.parent) not in word] if chosen else []
    return " ".join(words)[:150]

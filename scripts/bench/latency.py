"""How soon others know.

* durable: from a unit's own last act (it writes the time and ends) until the journal's sync that
  covers the record of its end has returned, with 100 live units.
* wait: from the moment a stage is final (its manifest is under its name, and that is on disk:
  the sync of the folder after the replacement has returned) until a `procsup wait` process that
  was blocked on it has ended, the exit of its interpreter included.
* killed: from SIGKILL of the supervisor until such a waiter has ended, with exit code 3.

The moments inside procsup come from ``programs/probed.py``, which notes when its syncs and
replacements return; both clocks are the system's.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import _setup

from bench.figures import duration, percentile
from bench.measure import (
    PROGRAMS,
    Command,
    CommandFailed,
    Workshop,
    code_of,
    program,
    stage,
)
from bench.processes import Watch, end_strays

LIVE = 100
PATIENCE_S = 60.0
BLOCKED_S = 0.7  # by then a waiter has been imported, has found the run and blocks
# How often each is measured: waits at 100 and 1,000 units, kills, exits per live unit.
TIMES = {"quick": (3, 1, 2, 2), "default": (20, 5, 10, 5), "long": (50, 20, 30, 10)}


class Probed:
    """A run of procsup that notes its syncs and replacements."""

    def __init__(self, bench: Workshop, argv: List[str], units: int, jobs: int = 2) -> None:
        self.bench, self.room = bench, bench.room()
        self.notes = self.room / "notes.txt"
        bench.run_file(self.room, stage(argv, units, jobs=jobs))
        program = str(PROGRAMS / "probed.py")
        self.command = Command([bench.python, program, str(self.notes), "run", "-q"], self.room)

    def noted(self) -> Iterator[Tuple[str, str, float]]:
        """Yield what was noted: ``sync`` or ``final``, what of it, and when."""
        for line in self.notes.read_text(encoding="utf-8").splitlines():
            what, _, rest = line.partition(" ")
            which, _, at = rest.rpartition(" ")
            yield what, which, float(at)


def measure(bench: Workshop, form: str) -> Dict[str, Any]:
    """Return lists of seconds: durable, wait_100, wait_1000, killed."""
    few, many, kills, exits = TIMES[form]
    found = {
        "durable": durable(bench, LIVE, LIVE * exits),
        "wait_100": _repeated(few, lambda: waited(bench, 100)),
        "wait_1000": _repeated(many, lambda: waited(bench, 1000)),
        "killed": _repeated(kills, lambda: killed(bench)),
    }
    for name, values in found.items():
        _setup.say(f"latency: {name}: {said(values)}")
    return {"live": LIVE, **found}


def said(values: List[float]) -> str:
    """Say a distribution in short."""
    shares = ((0.5, "p50"), (0.99, "p99"), (1.0, "max"))
    return ", ".join(f"{name} {duration(percentile(values, share))}" for share, name in shares)


def _repeated(times: int, once: Callable[[], float]) -> List[float]:
    return [once() for _ in range(times)]


def durable(bench: Workshop, live: int, units: int) -> List[float]:
    """Return, for each of many units, the seconds from its last act to its durable record."""
    naps = [
        program("sh"),
        "-c",
        f"sleep 1.$(($0 * 7919 % 900 + 100)); exec {program('date')} +%s.%N",
    ]
    probed = Probed(bench, naps, units, jobs=live)
    bench.cost(probed.command, 600.0)
    syncs = [(int(which), at) for what, which, at in probed.noted() if what == "sync"]
    folder = bench.run_folder(probed.room)
    late = []
    for unit, ends_at in ends(folder / "journal.jsonl"):
        said_at = _last_act(folder, unit)
        synced = next((at for size, at in syncs if size >= ends_at and at >= said_at), None)
        if synced is not None:
            late.append(synced - said_at)
    return late


def ends(journal: Path) -> Iterator[Tuple[str, int]]:
    """Yield each unit whose end is in a journal, and where in the file that record ends."""
    position = 0
    with journal.open("rb") as lines:
        for line in lines:
            position += len(line)
            record = json.loads(line.split(b" ", 2)[2])
            if record["t"] == "end":
                yield record["unit"], position


def _last_act(folder: Path, unit: str) -> float:
    log = next((folder / "logs" / "all").glob(f"{unit.partition('/')[2]}.1.out"))
    return float(log.read_text(encoding="ascii"))


def waited(
    bench: Workshop, units: int, *, gated: bool = True, limit_s: float = PATIENCE_S
) -> float:
    """Return the seconds from a stage's manifest to the end of a waiter blocked on it.

    Without `gated`, the run must be long enough for the waiter to block.
    """
    # The last unit reads from the gate until we have opened and closed it.
    guarded = [program("sh"), "-c", f"test $0 -lt {units} || cat gate"]
    probed = Probed(bench, guarded if gated else [program("true")], units)
    gate = probed.room / "gate"
    os.mkfifo(str(gate))
    waiter = _waiter(bench, probed.room, "--stage", "all", "--start-timeout", "20")
    with bench.started(probed.command), bench.started(waiter) as waiting:
        if gated:
            _open_gate(gate, limit_s)
        code, returned = _ended(waiting, probed.room, limit_s)
        if code != 0:
            raise CommandFailed(f"procsup wait said {code}", probed.room)
        final = _final(probed)
    end_strays()
    return returned - final


def _final(probed: Probed) -> float:
    """Return when the stage's manifest was in place and on disk."""
    in_place = False
    for what, which, at in probed.noted():
        in_place = in_place or which == "all.json"
        if in_place and what == "folder":
            return at
    raise CommandFailed("the stage's manifest was never put in place", probed.room)


def killed(bench: Workshop) -> float:
    """Return the seconds from SIGKILL of a supervisor to the end of a waiter, which says 3."""
    room = bench.room()
    gate = room / "gate"
    os.mkfifo(str(gate))
    bench.run_file(room, stage([program("sh"), "-c", "cat gate; exec sleep 1000"], 1))
    run = Command([*bench.procsup, "run", "-q"], room)
    waiter = _waiter(bench, room, "--start-timeout", "20")
    with bench.started(run), bench.started(waiter) as waiting:
        _open_gate(gate, PATIENCE_S)
        owner = json.loads((bench.run_folder(room) / "run.lock").read_text(encoding="utf-8"))
        before = time.time()
        os.kill(owner["pid"], signal.SIGKILL)
        code, returned = _ended(waiting, room, PATIENCE_S)
    end_strays()
    if code != 3:
        raise CommandFailed(f"procsup wait said {code} when the supervisor was killed", room)
    return returned - before


def _waiter(bench: Workshop, room: Path, *words: str) -> Command:
    return Command([*bench.procsup, "wait", "bench", *words], room)


def _open_gate(gate: Path, limit_s: float) -> None:
    """Let the unit that reads from the gate go on, once it does and the waiter is blocked."""
    deadline = time.monotonic() + limit_s
    fd = _try_open(gate)
    while fd is None:
        if time.monotonic() > deadline:
            raise CommandFailed("the last unit did not start", gate.parent)
        time.sleep(0.02)
        fd = _try_open(gate)
    try:
        time.sleep(BLOCKED_S)
    finally:
        os.close(fd)


def _try_open(gate: Path) -> Optional[int]:
    try:
        return os.open(str(gate), os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None  # nobody reads yet


def _ended(waiting: "subprocess.Popen[bytes]", room: Path, limit_s: float) -> Tuple[int, float]:
    """Return the exit code of a waiter, and when it had ended; no busy wait stands in between."""
    with Watch(limit_s, waiting.pid, sampling=False) as watch:
        _, status, _ = os.wait4(waiting.pid, 0)
        returned = time.time()
    waiting.returncode = code_of(status)
    if watch.overdue:
        raise CommandFailed(f"procsup wait did not return in {limit_s:.0f} s", room)
    return waiting.returncode, returned

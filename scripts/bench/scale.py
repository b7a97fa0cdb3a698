"""How it grows: time, memory and files against the number of units of `true`; and what follows.

Each finished run of procsup is waited for and resumed, and once more it is run with a `procsup
wait` that is blocked on it while it goes: what those take at that number stands with it. So does
the planning of units from as many files, with files and with globs as outputs.
"""

import os
from typing import Any, Dict, List, Optional, Sequence

import _setup

from bench.compare import WORKS, run_counted
from bench.figures import duration, exponent, megabytes
from bench.latency import Probed, waited
from bench.measure import Command, CommandFailed, Workshop
from bench.peers import PROCSUP, Runner

SIZES = {
    "quick": (300, 1000, 3000),
    "default": (1000, 3000, 10_000, 30_000, 100_000),
    "long": (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
}
PEERS_TO = {"xargs -P": 100_000, "make -j": 100_000, "HyperQueue": 10_000}
LIMIT_S = 3600.0
ALL_TO = 100_000  # beyond it, waiters and planning are left out
OUTPUTS = {"plan": "out/{name}.txt", "plan_globs": "out/{name}-*.txt"}


def measure(
    bench: Workshop, form: str, runners: Dict[str, Runner], sizes: Optional[Sequence[int]] = None
) -> Dict[str, Any]:
    """Return what each took at each size (those of the form, if none are given), and the exponents
    that fit."""
    points: Dict[str, List[Dict[str, float]]] = {}
    failures: Dict[str, str] = {}
    for name in [PROCSUP, *PEERS_TO]:
        for size in sizes or SIZES[form]:
            if name not in runners or size > PEERS_TO.get(name, size):
                continue
            try:
                point = (
                    _ours(bench, size) if name == PROCSUP else _theirs(bench, runners[name], size)
                )
            except CommandFailed as problem:
                failures[name] = str(problem)
                _setup.say(f"scale: {name} failed at {size:,}: {problem}")
                break
            points.setdefault(name, []).append({"units": size, **point})
            _setup.say(
                f"scale: {name}: {size:,} units in {duration(point['wall_s'])}, "
                f"largest process {megabytes(point['largest_bytes'])}"
            )
    return {"points": points, "failures": failures, "exponents": _exponents(points)}


def _exponents(points: Dict[str, List[Dict[str, float]]]) -> Dict[str, Dict[str, float]]:
    fitted: Dict[str, Dict[str, float]] = {}
    for name, found in points.items():
        sizes = [point["units"] for point in found]
        for key in found[0]:
            known = [(n, point[key]) for n, point in zip(sizes, found) if key in point]
            power = exponent(*zip(*known))
            if key != "units" and power is not None:
                fitted.setdefault(name, {})[key] = power
    return fitted


def _theirs(bench: Workshop, runner: Runner, size: int) -> Dict[str, float]:
    return dict(run_counted(bench, runner, WORKS[0].argv(bench), size, LIMIT_S)._asdict())


def _ours(bench: Workshop, size: int) -> Dict[str, float]:
    probed = Probed(bench, WORKS[0].argv(bench), size)
    point = dict(bench.cost(probed.command, LIMIT_S)._asdict())
    folder = bench.run_folder(probed.room)
    point["journal_bytes"] = os.path.getsize(str(folder / "journal.jsonl"))
    point["manifest_bytes"] = os.path.getsize(str(folder / "manifest.json"))
    _must_have(bench, probed, "succeeded", size)
    for key, argv in (("wait_s", ["wait", "bench"]), ("resume_s", ["run"])):
        room = probed.room
        cost = bench.cost(Command([*bench.procsup, *argv], room), LIMIT_S)
        point[key], point[key.replace("_s", "_cpu_s")] = cost.wall_s, cost.cpu_s
        point[key.replace("_s", "_bytes")] = cost.largest_bytes
    _must_have(bench, probed, "kept", size)
    if size <= ALL_TO:
        point["woken_s"] = waited(bench, size, gated=False, limit_s=LIMIT_S)
        point.update(_planned(bench, size))
    return point


def _planned(bench: Workshop, size: int) -> Dict[str, float]:
    """Return CPU seconds and memory of planning units from files, for each kind of outputs."""
    room = bench.room()
    (room / "in").mkdir()
    for number in range(size):
        (room / "in" / f"{number:07}.txt").touch()
    found: Dict[str, float] = {}
    for key, outputs in OUTPUTS.items():
        bench.run_file(
            room,
            '[stage.all]\nmatrix.file.glob = "in/{name:*}.txt"\ninputs = ["{file}"]\n'
            f'command = ["true", "{{file}}"]\noutputs = ["{outputs}"]\n',
        )
        cost = bench.cost(Command([*bench.procsup, "run", "--dry-run"], room), LIMIT_S)
        found[f"{key}_cpu_s"], found[f"{key}_bytes"] = cost.cpu_s, cost.largest_bytes
    return found


def _must_have(bench: Workshop, probed: Probed, what: str, size: int) -> None:
    counts = bench.manifest(probed.room)["stages"]["all"]
    if counts[what] != size:
        raise CommandFailed(f"the manifest says {counts}, not {what} {size}", probed.room)

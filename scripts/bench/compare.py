"""The works that all are compared at: first everyone proves that it runs every unit.

Where units are short a slope is measured, (time for many units - time for few) / (many - few),
so that the start of a runner falls out; where they are long, the whole time from start to end.
Runners take turns in rotated order, so that what the machine does meanwhile hits all alike.
"""

from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import _setup

from bench.measure import PROGRAMS, CommandFailed, Cost, Workshop, program
from bench.peers import Runner

LIMIT_S = 900.0
PROOF_UNITS, PROOF_LIMIT_S = 20, 120.0


class Sizes(NamedTuple):
    """How much of a work is done in one form: units (few, many) or (0, all), and rounds."""

    few: int
    many: int
    rounds: int  # of procsup, xargs and the floor
    other_rounds: int  # of these, how many the others take part in


class Work(NamedTuple):
    """One kind of unit; TALLY in its command is the file that each unit appends to."""

    name: str
    about: str
    argv: Callable[[Workshop], List[str]]
    quick: Sizes
    default: Sizes
    long: Sizes

    def sizes(self, form: str) -> Sizes:
        """Return how much is done in a form: quick, default or long."""
        sizes: Sizes = getattr(self, form)
        return sizes


WORKS = (
    Work("true", "the smallest process", lambda _: [program("true")],
         Sizes(100, 500, 1, 1), Sizes(1000, 5000, 5, 2), Sizes(1000, 5000, 9, 5)),
    Work("noop", "the smallest Python: `python -m noop`",
         lambda bench: [bench.python, "-m", "noop"],
         Sizes(5, 25, 1, 1), Sizes(100, 500, 5, 1), Sizes(200, 1000, 7, 3)),
    Work("imports", "Python that imports numpy and pandas",
         lambda bench: [bench.python, str(PROGRAMS / "imports.py"), "TALLY"],
         Sizes(0, 4, 1, 1), Sizes(0, 24, 3, 1), Sizes(0, 48, 5, 3)),
    Work("cpu", "CPU-bound Python of 0.1 to 2 s, uneven",
         lambda bench: [bench.python, str(PROGRAMS / "crunch.py"), "TALLY"],
         Sizes(0, 4, 1, 1), Sizes(0, 16, 3, 1), Sizes(0, 48, 5, 3)),
)  # fmt: skip


class Comparison:
    """One work being measured: the rounds so far, and who failed at it (and is left out)."""

    def __init__(
        self,
        bench: Workshop,
        work: Work,
        runners: List[Runner],
        form: str,
        rounds: Optional[int] = None,
    ) -> None:
        self.bench, self.work = bench, work
        self.sizes = work.sizes(form)
        if rounds is not None:  # asked for: all take part in all of them
            self.sizes = self.sizes._replace(rounds=rounds, other_rounds=rounds)
        self.runners = [r for r in runners if not r.peer.only or work.name in r.peer.only]
        self.failures: Dict[str, str] = {}
        self.rounds: List[Dict[str, Dict[str, float]]] = []

    def measure(self) -> None:
        """Go through all rounds."""
        for number in range(self.sizes.rounds):
            wanted = [r for r in self.runners if r.peer.core or number < self.sizes.other_rounds]
            turn = number % len(wanted)
            self.rounds.append({})
            for runner in wanted[turn:] + wanted[:turn]:
                if runner.peer.name not in self.failures:
                    self._take_turn(runner, number)

    def _take_turn(self, runner: Runner, number: int) -> None:
        name = runner.peer.name
        try:
            took = self._slope(runner) if self.sizes.few else self._whole(runner)
        except CommandFailed as problem:
            self.failures[name] = str(problem)
            _setup.say(f"{self.work.name}: {name} failed: {problem}")
            return
        self.rounds[-1][name] = took
        _setup.say(
            f"{self.work.name}: round {number + 1} of {self.sizes.rounds}: {name}: "
            f"{took['wall_s'] * 1e3:.3f} ms a unit"
        )

    def _slope(self, runner: Runner) -> Dict[str, float]:
        few, many = (max(2, round(n * runner.peer.share)) for n in self.sizes[:2])
        many = max(many, few * 3)
        small, large = self._run(runner, few), self._run(runner, many)
        return {
            "wall_s": (large.wall_s - small.wall_s) / (many - few),
            "cpu_s": (large.cpu_s - small.cpu_s) / (many - few),
            "largest_bytes": large.largest_bytes,
            "tree_bytes": large.tree_bytes,
        }

    def _whole(self, runner: Runner) -> Dict[str, float]:
        cost = self._run(runner, self.sizes.many)
        took: Dict[str, float] = dict(cost._asdict())
        took["wall_s"] /= self.sizes.many
        took["cpu_s"] /= self.sizes.many
        return took

    def _run(self, runner: Runner, units: int) -> Cost:
        argv = self.work.argv(self.bench)
        return run_counted(self.bench, runner, argv, units, LIMIT_S)

    def result(self) -> Dict[str, Any]:
        """Return what came out, as plain data."""
        return {
            "about": self.work.about,
            "few": self.sizes.few,
            "many": self.sizes.many,
            "rounds": self.rounds,
            "failures": self.failures,
        }


def run_counted(
    bench: Workshop, runner: Runner, argv: List[str], units: int, limit_s: float
) -> Cost:
    """Let a runner do a job; CommandFailed unless it says 0 and each unit was run just once."""
    command = runner.command(bench, argv, units)
    forked = forks()
    cost = bench.cost(command, limit_s)
    problem = ""
    if "TALLY" in argv:
        problem = wrong_tally(command.room / "tally.txt", units)
    elif forked is not None and (forks() or 0) - forked < units:
        problem = f"exit code 0, but there were fewer than {units} new processes"
    if problem:
        raise CommandFailed(problem, command.room)
    return cost


def wrong_tally(path: Path, units: int) -> str:
    """Say what is wrong with a tally of so many units; nothing if each is there just once."""
    try:
        told = sorted(int(line) for line in path.read_text(encoding="ascii").split())
    except OSError:
        told = []
    if told == list(range(1, units + 1)):
        return ""
    return f"exit code 0, but of {units} units {len(set(told))} were run, {len(told)} times in all"


def forks() -> Optional[int]:
    """Return how many processes and threads this system has made so far; None if unknown."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("processes")), None)


def prove(bench: Workshop, runners: List[Runner]) -> Tuple[List[Runner], Dict[str, str]]:
    """Return who runs each of a few units just once, and what is wrong with the others."""
    able, failures = [], {}
    argv = [bench.python, str(PROGRAMS / "tally.py"), "TALLY"]
    for runner in runners:
        if runner.peer.calls:
            able.append(runner)  # its units are counted where it is measured
            continue
        try:
            run_counted(bench, runner, argv, PROOF_UNITS, PROOF_LIMIT_S)
        except CommandFailed as problem:
            failures[runner.peer.name] = str(problem)
            _setup.say(f"{runner.peer.name}: left out: {problem}")
        else:
            able.append(runner)
            _setup.say(f"{runner.peer.name} {runner.version}: ran {PROOF_UNITS} units")
    return able, failures

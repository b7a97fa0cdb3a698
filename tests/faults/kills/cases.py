"""Which deaths are tried: of whom, at which lines, and what follows them."""

from typing import List, NamedTuple, Optional

from tests.faults.kills.points import Point, sample, thin_out
from tests.faults.kills.recording import Recorded
from tests.faults.kills.worker import Plan
from tests.faults.trial import Trial

# How many of each kind the forms for the tests and for every change try; the long form: all.
NUMBERS = {
    "supervisor": (2, 110),
    "guard": (1, 50),
    "both": (0, 30),
    "both while units run": (1, 40),
    "twice": (1, 40),
    "guard's own": (0, 10),
    "while ending": (1, 20),
    "cold": (0, 10),
}
EACH_LONG = 3  # of a line in a loop: the first ones and the last one


class Case(NamedTuple):
    """A story of deaths, one for each plan, ended by a sitting that nobody disturbs.

    `phase` is that of the (last) death.
    """

    name: str
    kind: str
    phase: str
    plans: List[Plan]
    stage: Optional[str] = None  # which the waiter waits for
    cold: bool = False


def cases_of(trial: Trial, recorded: Recorded) -> List[Case]:
    """Return the cases of this form, in an order that the seed gives."""
    source = {
        "supervisor": recorded.supervisor,
        "guard": [point for point in recorded.supervisor if point.phase != "plans"],
        "both": recorded.supervisor,
        "both while units run": _late(recorded),
        "twice": recorded.resumed,
        "guard's own": recorded.guard,
        "while ending": recorded.ending,
        "cold": recorded.cold,
    }
    held = frozenset(recorded.until_held)
    cases = []
    for kind, points in source.items():
        smoke, quick = NUMBERS[kind]
        if trial.form == "long":
            drawn = thin_out(points, EACH_LONG) if kind != "both while units run" else []
        else:
            drawn = sample(points, trial.choose(smoke, quick, 0), trial.random)
        cases += [_case(trial, recorded, kind, point, held) for point in drawn]
    trial.random.shuffle(cases)
    return cases


def _case(
    trial: Trial, recorded: Recorded, kind: str, point: Point, held: "frozenset[Point]"
) -> Case:
    stage = trial.random.choice([None, None, "make", "use"])
    name = f"{kind} at {point}"
    if kind == "twice":
        first = trial.random.choice(recorded.until_held)
        whom = trial.random.choice(["self", "both"])
        plans = [_plan(first, whom, held), Plan({"S": _death(point, "self")})]
        return Case(f"{name}, first {whom} at {first}", kind, point.phase, plans, stage)
    if kind == "while ending":
        first = trial.random.choice(_late(recorded))
        deaths = {"S": _death(first, "self"), "G": _death(point, "self")}
        return Case(f"{name}, first at {first}", kind, point.phase, [Plan(deaths, True)], stage)
    if kind == "guard's own":
        return Case(name, kind, point.phase, [Plan({"G": _death(point, "self")})], stage)
    first = kind.split()[0]
    whom = first if first in ("guard", "both") else "self"
    return Case(name, kind, point.phase, [_plan(point, whom, held)], stage, kind == "cold")


def _plan(point: Point, whom: str, held: "frozenset[Point]") -> Plan:
    return Plan({"S": _death(point, whom)}, point in held)


def _death(point: Point, whom: str) -> List[object]:
    return [point.file, point.line, point.nth, whom]


def _late(recorded: Recorded) -> List[Point]:
    """Return the points at which units are alive, most of the time."""
    running = [point for point in recorded.until_held if point.phase == "runs units"]
    return running[len(running) // 4 :]

"""The budgets, each with its figure of this run, and whether it is held."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional

from bench.figures import beyond, duration, exponent, percentile, ratio
from bench.peers import FLOOR, NOT_DURABLE, PROCSUP, XARGS

Result = Dict[str, Any]
Figure = Callable[[Result], Optional[float]]


class Budget(NamedTuple):
    """What must not be more than `limit`; `figure` reads it from a result, if it was measured."""

    what: str
    limit: float
    figure: Figure
    say: Callable[[float], str]


class Held(NamedTuple):
    """A budget with its figure; both are None if it was not measured."""

    what: str
    limit: float
    figure: Optional[float]
    held: Optional[bool]
    say: Callable[[float], str]


def judged(result: Result) -> List[Held]:
    """Return all budgets with their figures."""
    judged = []
    for budget in BUDGETS:
        try:
            figure = budget.figure(result)
        except (KeyError, IndexError, ValueError):
            figure = None  # that work was left out, or failed
        held = None if figure is None else figure <= budget.limit
        judged.append(Held(budget.what, budget.limit, figure, held, budget.say))
    return judged


def slope_to_xargs(work: str) -> Figure:
    """Return the reader of procsup's slope over that of xargs: the median of the rounds."""

    def read(result: Result) -> Optional[float]:
        found = ratio(result["works"][work]["rounds"], PROCSUP, XARGS)
        return None if found is None else found.median

    return read


def beyond_floor(result: Result) -> Optional[float]:
    """Return the CPU seconds per unit that procsup takes beyond the bare loop."""
    found = beyond(result["works"]["true"]["rounds"], PROCSUP, FLOOR)
    return None if found is None else found.median


def durability(result: Result) -> Optional[float]:
    """Return by how much syncing makes a unit slower."""
    found = ratio(result["works"]["true"]["rounds"], PROCSUP, NOT_DURABLE)
    return None if found is None else found.median - 1


def p99(name: str) -> Figure:
    """Return the reader of a latency's 99th percentile."""
    return lambda result: percentile(result["latency"][name], 0.99)


def median(*keys: str) -> Figure:
    """Return the reader of the median of a list of seconds."""

    def read(result: Result) -> float:
        found: Any = result
        for key in keys:
            found = found[key]
        return percentile(found, 0.5)

    return read


def at_scale(key: str, size: int = 100_000) -> Figure:
    """Return the reader of something about procsup's run of so many units."""

    def read(result: Result) -> Optional[float]:
        points = result["scale"]["points"][PROCSUP]
        return next((point[key] for point in points if point["units"] == size), None)

    return read


def growth(result: Result) -> Optional[float]:
    """Return the exponent of time against units, from 1,000 to at least 100,000 units."""
    points = [p for p in result["scale"]["points"][PROCSUP] if p["units"] >= 1000]
    if points[-1]["units"] < 100_000:
        return None
    return exponent([p["units"] for p in points], [p["wall_s"] for p in points])


def share(value: float) -> str:
    """Say a share in percent."""
    return f"{value:.2%}"


def factor(value: float) -> str:
    """Say a ratio or an exponent."""
    return f"{value:.3f}"


def size(value: float) -> str:
    """Say a size."""
    return f"{value / 1e6:.0f} MB"


_CPU, _WAIT = "startup", "procsup wait bench"
BUDGETS = (
    Budget("`true`: slope to xargs -P", 1.15, slope_to_xargs("true"), factor),
    Budget("`true`: slope to xargs -P, the goal", 1.10, slope_to_xargs("true"), factor),
    Budget("`python -m noop`: slope to xargs -P", 1.03, slope_to_xargs("noop"), factor),
    Budget("CPU per unit beyond the bare `Popen`", 100e-6, beyond_floor, duration),
    Budget("start of procsup to its first unit (median)", 0.12, median(_CPU, "first_unit_s"),
           duration),
    Budget("exit to durable record, 100 live units (p99)", 0.02, p99("durable"), duration),
    Budget("stage final to `wait` returns, 100 units (p99)", 0.005, p99("wait_100"), duration),
    Budget("stage final to `wait` returns, 1,000 units (p99)", 0.005, p99("wait_1000"), duration),
    Budget("stage final to `wait` returns, 100,000 units", 1.0, at_scale("woken_s"), duration),
    Budget("supervisor idle, 1,000 live units (of one CPU)", 0.01,
           lambda result: result["idle"]["cpu_share"][PROCSUP], share),
    Budget("time against units: exponent", 1.05, growth, factor),
    Budget("100,000 units: peak memory", 150e6, at_scale("largest_bytes"), size),
    Budget("100,000 units: resume of the finished run", 5.0, at_scale("resume_s"), duration),
    Budget("durability on against off, time per unit", 0.03, durability, share),
    Budget("`procsup --version`: CPU (median)", 0.06, median(_CPU, "cpu_s", "procsup --version"),
           duration),
    Budget("`procsup wait` on a finished run: CPU (median)", 0.1, median(_CPU, "cpu_s", _WAIT),
           duration),
)  # fmt: skip

"""What came out, as Markdown that reads in a terminal too."""

from typing import Any, Dict, List

from bench.budgets import Result, judged
from bench.figures import (
    Rounds,
    beyond,
    duration,
    measured,
    megabytes,
    percentile,
    ratio,
    spread,
    table,
)
from bench.peers import FLOOR, PROCSUP, XARGS


def report(result: Result) -> str:
    """Return the whole report of a result, whatever was measured."""
    parts = [
        machine(result),
        overview(result),
        *(one_work(name, work) for name, work in result.get("works", {}).items()),
        budgets(result),
        *(show(result[name]) for name, show in _PARTS.items() if name in result),
        failures(result),
        [f"{name}: {note}." for name, note in result["notes"].items()],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def machine(result: Result) -> List[str]:
    """Say on what it was measured, and by what command."""
    lines = [f"`python scripts/bench.py {' '.join(result['arguments'])}`".replace(" `", "`"), ""]
    lines += [f"* {name}: {text}" for name, text in result["machine"].items()]
    return lines


def overview(result: Result) -> List[str]:
    """Return the table of all runners over all works: time per unit as a ratio to xargs."""
    works: Dict[str, Any] = result.get("works", {})
    if not works:
        return []
    names = list(dict.fromkeys(name for work in works.values() for name in _runners(work)))
    true: Rounds = works.get("true", {}).get("rounds", [])
    rows = []
    for name in names:
        ratios = [ratio(work["rounds"], name, XARGS) for work in works.values()]
        cpu = beyond(true, name, FLOOR)
        largest = measured(true, name, "largest_bytes")
        rows.append([
            name,
            *("-" if found is None else found.text() for found in ratios),
            "-" if cpu is None else duration(cpu.median),
            megabytes(None if largest is None else largest.high),
        ])  # fmt: skip
    heads = [f"`{name}`" for name in works]
    return [
        "Time per unit as a ratio to xargs -P, 2 at a time: median (range) of the rounds' ratios.",
        "",
        *table(["", *heads, "CPU per `true` beyond the floor", "largest process"], rows),
    ]


def one_work(name: str, work: Dict[str, Any]) -> List[str]:
    """Return the table of one work in full."""
    rounds: Rounds = work["rounds"]
    rows = []
    for runner in _runners(work):
        took = measured(rounds, runner, "wall_s")
        largest = measured(rounds, runner, "largest_bytes")
        tree = measured(rounds, runner, "tree_bytes")
        both = [ratio(rounds, runner, other) for other in (XARGS, FLOOR)]
        cpu = beyond(rounds, runner, FLOOR)
        rows.append([
            runner,
            "-" if took is None else duration(took.median),
            *("-" if found is None else found.text("{:.3f}") for found in both),
            "-" if cpu is None else _range(cpu),
            megabytes(None if largest is None else largest.high),
            megabytes(None if tree is None else tree.high),
            "-" if took is None else str(took.count),
        ])  # fmt: skip
    how = (
        f"slope between {work['few']:,} and {work['many']:,} units (slow runners: fewer)"
        if work["few"]
        else f"{work['many']} units, from start to end"
    )
    head = ["", "per unit", "to xargs -P", "to bare Popen", "CPU beyond bare Popen",
            "largest process", "whole tree", "rounds"]  # fmt: skip
    return [f"**{name}**: {work['about']}; {how}.", "", *table(head, rows)]


def budgets(result: Result) -> List[str]:
    """Return the table of the budgets."""
    rows = []
    for budget in judged(result):
        figure = "not measured" if budget.figure is None else budget.say(budget.figure)
        held = {None: "-", True: "yes", False: "**no**"}[budget.held]
        rows.append([budget.what, f"≤ {budget.say(budget.limit)}", figure, held])
    return table(["what", "budget", "figure", "held?"], rows)


def scale(found: Dict[str, Any]) -> List[str]:
    """Return the table of growth."""
    rows = []
    for name, points in found["points"].items():
        rows += [_scale_row(name, point) for point in points]
        powers = found["exponents"].get(name, {})
        rows.append([
            f"{name}: ~ n^k",
            "k",
            *(f"{powers[key]:.2f}" if key in powers else "-" for key in _SCALE),
        ])  # fmt: skip
    return [
        "How it grows, with units of `true`:",
        "",
        *table(["", "units", *_SCALE.values()], rows),
    ]


_SCALE = {
    "wall_s": "time",
    "largest_bytes": "largest process",
    "tree_bytes": "whole tree",
    "journal_bytes": "journal",
    "manifest_bytes": "manifest",
    "wait_s": "`wait` afterwards",
    "resume_s": "resume",
    "woken_s": "final to `wait` returns",
    "plan_cpu_s": "planning from files (CPU)",
    "plan_bytes": "its memory",
    "plan_globs_cpu_s": "with globs as outputs (CPU)",
    "plan_globs_bytes": "its memory",
}


def _scale_row(name: str, point: Dict[str, float]) -> List[str]:
    def said(key: str) -> str:
        if key not in point:
            return "-"
        return megabytes(point[key]) if key.endswith("_bytes") else duration(point[key])

    return [name, f"{point['units']:,.0f}", *map(said, _SCALE)]


def latency(found: Dict[str, Any]) -> List[str]:
    """Return the table of latencies."""
    told = {
        "durable": f"a unit's last act → the record of its end is on disk ({found['live']} live)",
        "wait_100": "stage final (manifest on disk) → `procsup wait` has ended (100 units)",
        "wait_1000": "the same, 1,000 units",
        "killed": "SIGKILL of the supervisor → `procsup wait` has ended, with 3",
    }
    rows = [
        [text, *(duration(percentile(found[key], share)) for share in (0.5, 0.99, 1.0)),
         str(len(found[key]))]
        for key, text in told.items()
    ]  # fmt: skip
    return table(["how soon others know", "p50", "p99", "max", "times"], rows)


def startup(found: Dict[str, Any]) -> List[str]:
    """Return the table of start-up times."""
    first = spread(found["first_unit_s"])
    rows = [["from start to the first unit", "-" if first is None else _range(first), ""]]
    for name, walls in found["wall_s"].items():
        both = [spread(walls), spread(found["cpu_s"][name])]
        rows.append([f"`{name}`", *("-" if one is None else _range(one) for one in both)])
    return table(["start-up, on a run of one unit", "wall", "CPU"], rows)


def idle(found: Dict[str, Any]) -> List[str]:
    """Return the table of idle costs."""
    rows = [
        [name, f"{share:.3%}", megabytes(found["memory_bytes"][name])]
        for name, share in found["cpu_share"].items()
    ]
    head = [f"{found['sleepers']:,} sleeping units", f"of one CPU, over {found['window_s']:.0f} s",
            "memory of the watching processes"]  # fmt: skip
    return table(head, rows)


def stream(found: Dict[str, Any]) -> List[str]:
    """Say how stages overlapped."""
    starts = f"{found['starts']:,} units in three `for-each` stages"
    return [
        f"{starts}: the last stage's first unit was start number {found['position']:,}; of the"
        f" first stage's {found['first_in_all']:,} units {found['first_ended']:,} had ended then."
    ]


def listed(found: List[Dict[str, Any]]) -> List[str]:
    """Return the table of units that a program lists."""
    head = ["`true`, 2 at a time, listed by a program", "units", "last one made",
            "first one started", "time", "the program's memory", "the supervisor's"]  # fmt: skip
    rows = [
        [
            one["way"],
            f"{one['units']:,}",
            *(duration(one[key]) for key in ("made_s", "started_s", "wall_s")),
            *(megabytes(one[key]) for key in ("host_bytes", "supervisor_bytes")),
        ]
        for one in found
    ]
    return table(head, rows)


def deaths(found: Dict[str, Any]) -> List[str]:
    """Return the table of what each says of a unit that was killed."""
    others = found["units"] - 1
    rows = []
    for name, ended in found["outcomes"].items():
        code = ended["code"]
        said = "hangs (ended by us)" if code is None else f"exit code {code}"
        rows.append([name, said, f"{ended['others_done']} of {others}", ended["words"][:110]])
    head = [f"one unit of {found['units']} dies by signal 9", "ends with", "others done",
            "last words"]  # fmt: skip
    return table(head, rows)


_PARTS = {
    "scale": scale,
    "latency": latency,
    "startup": startup,
    "idle": idle,
    "stream": stream,
    "listed": listed,
    "deaths": deaths,
}


def failures(result: Result) -> List[str]:
    """Say who is not in the tables, and why."""
    lines = [f"* {name}: not there ({what})" for name, what in result["missing"].items()]
    lines += [f"* {name}: left out: {why}" for name, why in result["left_out"].items()]
    works = {**result.get("works", {}), "scale": result.get("scale", {})}
    for work, found in works.items():
        lines += [f"* {work}: {n}: {why}" for n, why in found.get("failures", {}).items()]
    lines += [f"* {name}: {why}" for name, why in result["problems"].items()]
    return ["Not measured:", "", *lines] if lines else []


def _runners(work: Dict[str, Any]) -> List[str]:
    """Return who took part in a work: procsup first, then from the fastest to the slowest."""
    rounds: Rounds = work["rounds"]
    medians = {}
    for name in dict.fromkeys(name for took in rounds for name in took):
        took = measured(rounds, name, "wall_s")
        medians[name] = 0.0 if took is None else took.median
    return sorted(medians, key=lambda name: (name != PROCSUP, medians[name]))


def _range(found: Any) -> str:
    if found.count == 1:
        return duration(found.median)
    return f"{duration(found.median)} ({duration(found.low)} to {duration(found.high)})"

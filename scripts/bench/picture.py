"""The picture of a result: ``python picture.py RESULT.json FIGURE.svg`` (or .png).

Drawn without a background and in colours that can be read on white and on black.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any, Dict, List

import matplotlib

matplotlib.use("agg")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.budgets import Result, judged
from bench.figures import Rounds, beyond, measured, ratio
from bench.peers import FLOOR, NOT_DURABLE, PROCSUP, XARGS

LEAST = 0.1  # a slope below this part of xargs's is noise: too few units
INK, OURS, THEIRS, BAD = "#808890", "#2f81f7", "#9aa4af", "#e5534b"
LINES = {PROCSUP: OURS, XARGS: "#e08e3c", "make -j": "#57ab5a", "HyperQueue": "#b083f0"}
STYLE = {
    "svg.hashsalt": "procsup",  # the same figures give the same file
    "svg.fonttype": "none",  # text stays text: a third of the size
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "grid.color": INK,
    "grid.alpha": 0.25,
}


def draw(result: Result, path: Path) -> None:
    """Draw a result into a file whose suffix says the format."""
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(3, 2, figsize=(11, 13), layout="constrained")
        works: Dict[str, Any] = result.get("works", {})
        per_unit(axes[0][0], works.get("true"), "Time per `true`, to xargs -P (log)")
        cpu_beyond(axes[0][1], works.get("true"))
        ratios(axes[1][0], works)
        used_of_budgets(axes[1][1], result)
        growth(axes[2][0], result, "wall_s", 1.0, "Seconds for n units of `true` (log, log)")
        growth(
            axes[2][1],
            result,
            "largest_bytes",
            1e6,
            "Largest process, MB, at n of `true` (log, log)",
        )
        figure.suptitle(f"2 at a time, {result['machine']['CPU']}, {result['machine']['Python']}")
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(str(path), transparent=True, dpi=80, metadata=metadata)
        pyplot.close(figure)


def per_unit(axes: Axes, work: Any, title: str) -> None:
    """Draw bars: everybody's time per unit as a ratio to xargs, with the range of the rounds."""
    rounds: Rounds = [] if work is None else work["rounds"]
    found = {name: ratio(rounds, name, XARGS) for name in _names(rounds)}
    ranked = sorted((s.median, name, s) for name, s in found.items() if s and s.median >= LEAST)
    names = [name for _, name, _ in ranked]
    medians = [median for median, _, _ in ranked]
    ranges = [[s.median - s.low for _, _, s in ranked], [s.high - s.median for _, _, s in ranked]]
    axes.barh(names, [median - 1 for median in medians], left=1, color=_colors(names),
              xerr=ranges, ecolor=INK)  # fmt: skip
    _plain_log(axes)
    axes.axvline(1, color=INK, linewidth=0.8)
    _finish(axes, title, [f"{value:.2f}" for value in medians])


def cpu_beyond(axes: Axes, work: Any) -> None:
    """Draw bars: CPU time per unit of `true` beyond the bare loop of Popen."""
    rounds: Rounds = [] if work is None else work["rounds"]
    found = {name: beyond(rounds, name, FLOOR) for name in _names(rounds) if name != FLOOR}
    ranked = sorted((s.median * 1e6, name) for name, s in found.items() if s)
    names = [name for _, name in ranked]
    values = [value for value, _ in ranked]
    axes.barh(names, values, color=_colors(names))
    axes.set_xscale("symlog", linthresh=100)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([-100, 0, 100, 1000, 10_000], ["-100", "0", "100", "1,000", "10,000"])
    axes.axvline(0, color=INK, linewidth=0.8)
    title = "CPU per `true` beyond bare Popen, µs (log)"
    _finish(axes, title, [f"{value:.0f}" for value in values])


def ratios(axes: Axes, works: Dict[str, Any]) -> None:
    """Draw points: time per unit to xargs, by work; procsup's in colour, the others as strokes."""
    for row, work in enumerate(works.values()):
        for peer in _names(work["rounds"]):
            found = ratio(work["rounds"], peer, XARGS)
            if found is None or peer == XARGS or found.median < LEAST:
                continue
            ours = peer == PROCSUP
            axes.plot(
                found.median, row + (0 if ours else 0.18), "D" if ours else "|",
                color=OURS if ours else THEIRS, markersize=7 if ours else 10,
            )  # fmt: skip
            if ours:
                axes.annotate(f"{found.median:.2f}", (found.median, row - 0.22), color=OURS,
                              ha="center")  # fmt: skip
    axes.set_yticks(range(len(works)), list(works))
    axes.set_ylim(len(works) - 0.5, -0.6)
    _plain_log(axes)
    axes.axvline(1, color=INK, linewidth=0.8)
    _finish(axes, "Time per unit of each work, to xargs -P (log): ◆ procsup, | others", [])


def used_of_budgets(axes: Axes, result: Result) -> None:
    """Draw bars: how much of each budget is used up."""
    rows = [budget for budget in judged(result) if budget.figure is not None][::-1]
    shares = [(row.figure or 0.0) / row.limit for row in rows]
    colors = [OURS if row.held else BAD for row in rows]
    # The range up to three times a budget is shown; the figure stands beside the bar.
    axes.barh([row.what for row in rows], [max(0.0, min(s, 3.0)) for s in shares], color=colors)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.tick_params(axis="y", labelsize=7)
    said = [row.say(row.figure or 0.0) for row in rows]
    _finish(axes, "Budgets: used / allowed (red: missed)", said)


def growth(axes: Axes, result: Result, key: str, per: float, title: str) -> None:
    """Draw lines: what grows with the number of units."""
    found = result.get("scale", {"points": {}, "exponents": {}})
    for name, points in found["points"].items():
        power = found["exponents"].get(name, {}).get(key)
        label = name if power is None else f"{name}: ~ n^{power:.2f}"
        axes.plot(
            [point["units"] for point in points], [point[key] / per for point in points],
            "o-", color=LINES.get(name, THEIRS), label=label, markersize=4,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    axes.set_xlabel("n")
    if found["points"]:
        axes.legend()
    axes.grid(visible=True)
    axes.set_title(title)


def _plain_log(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _names(rounds: Rounds) -> List[str]:
    """Return who took part, but for the measuring of what durability costs."""
    names = dict.fromkeys(name for took in rounds for name in took)
    return [name for name in names if name != NOT_DURABLE and measured(rounds, name, "wall_s")]


def _colors(names: List[str]) -> List[str]:
    return [OURS if name == PROCSUP else THEIRS for name in names]


def _finish(axes: Axes, title: str, words: List[str]) -> None:
    """Set a title, and write words beside bars."""
    axes.set_title(title)
    axes.xaxis.grid(visible=True)
    axes.set_axisbelow(True)
    for container in axes.containers:
        if hasattr(container, "datavalues") and words:
            axes.bar_label(container, labels=words, padding=4, fontsize=8, color=INK)
    axes.margins(x=0.15)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))

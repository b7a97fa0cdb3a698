"""Sentences about what is kept and why the rest runs."""

from typing import Dict, List, Mapping

from procsup.core.events import Rerun
from procsup.core.plan.summary import StageTally
from procsup.core.spec import RunSpec, StageSpec
from procsup.core.text import count_noun


def make_rerun_after(name: str, *, now: bool) -> Rerun:
    """Return the reason: a unit or stage before it runs `now`, or ran after its last success."""
    word = "runs" if now else "ran since"
    return Rerun(f"after {name.partition('/')[0]}", f"after {name}, which {word}")


def format_reasons(reasons: Dict[str, int]) -> str:
    """Return reasons with their numbers, the most frequent first: ``12 failed before, 10 new``."""
    parts = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {reason}" for reason, number in parts)


def format_stale_line(stage: StageSpec, number: int) -> str:
    """Say that the program changed since kept units ran."""
    program = stage.script or stage.module or stage.name
    shown = program.replace("\\", "/").rsplit("/", 1)[-1]
    kept = count_noun(number, "kept unit")
    return f"{shown} changed since {kept} ran (--fresh runs all, --only picks)"


def format_stale_lines(spec: RunSpec, stale: Mapping[str, int]) -> List[str]:
    """Return a line for each stage with stale units; `stale` has their number, by stage."""
    return [format_stale_line(spec.stage(name), stale[name]) for name in stale if stale[name]]


def format_stage_news(stage: StageSpec, tally: StageTally, reasons: Dict[str, int]) -> List[str]:
    """Describe what is kept of a stage that was expanded during the run."""
    to_run = sum(reasons.values())
    line = f"{stage.name}: kept {tally.kept} of {tally.planned}, {to_run} to run"
    lines = [f"{line}: {format_reasons(reasons)}" if reasons else line]
    if tally.stale:
        lines.append(format_stale_line(stage, tally.stale))
    return lines

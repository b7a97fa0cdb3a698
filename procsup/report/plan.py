"""The dry run as text, as data and as a graph: which units would run, and why."""

from typing import Any, Dict, Iterator, List, Mapping, Optional

from procsup.core.events import Hold, Rerun, Reuse, Standing
from procsup.core.late import restore_placeholders
from procsup.core.plan.rehearsal import RehearsedStage
from procsup.core.spec import RunSpec, StageSpec, UnitSpec, list_upstream, list_whole_upstream
from procsup.core.text import count_noun, make_visible, say_when_known

Stages = Mapping[str, RehearsedStage]


def format_plan(spec: RunSpec, stages: Stages, *, kept_too: bool = True) -> List[str]:
    """Return each stage with its units, one a line; kept units only with `kept_too`."""
    lines = [f"{make_visible(spec.name)}, in {make_visible(spec.directory)}"]
    for stage in spec.stages:
        seen = stages[stage.name]
        lines.append(f"{make_visible(stage.name)}: {make_visible(_format_counts(stage, seen))}")
        lines += [
            f"  {_format_unit(unit, standing)}"
            for unit, standing in zip(seen.units, seen.standings)
            if kept_too or not _is_plainly_kept(standing)
        ]
    return lines


def _format_counts(stage: StageSpec, seen: RehearsedStage) -> str:
    """Return the counts of a stage, or when its units will be known."""
    if seen.known_after is not None:
        whole = list_whole_upstream(stage) if stage.unit_wise else list_upstream(stage)
        names = [name for name in seen.known_after if name in whole] or list(seen.known_after)
        return say_when_known(names)
    if seen.problem:
        return f"cannot be run: {seen.problem}"
    to_run = sum(isinstance(one, Rerun) for one in seen.standings)
    kept = sum(isinstance(one, Reuse) for one in seen.standings)
    left = len(seen.standings) - to_run - kept
    also = f", {left} left as they are" if left else ""
    return f"{count_noun(len(seen.units), 'unit')}: {kept} kept, {to_run} to run{also}"


def _is_plainly_kept(standing: Standing) -> bool:
    return isinstance(standing, Reuse) and not standing.stale


def _format_unit(unit: UnitSpec, standing: Standing) -> str:
    if isinstance(standing, Reuse):
        word = "keep (its program has changed)" if standing.stale else "keep"
    else:
        word = "run"
        if isinstance(standing, Hold):
            word = "leave as it is" if standing.keeps_verdict else "leave aside"
        word += f" ({standing.text})" if standing.text else ""
    return f"{make_visible(word)}  {make_visible(unit.id)}"


# --- as data -----------------------------------------------------------------------------------


def make_plan_data(spec: RunSpec, stages: Stages, **more: Any) -> Dict[str, Any]:
    """Return the plan as plain data; a stage whose units are not known is null.

    ``known_after`` has the stages that it waits for, ``problems`` why stages cannot be run.
    """
    later = {name: list(seen.known_after or ()) for name, seen in stages.items() if _is_later(seen)}
    return {
        "name": spec.name,
        "directory": spec.directory,
        **more,
        "stages": {stage.name: _make_stage_data(stages[stage.name]) for stage in spec.stages},
        "known_after": later,
        "problems": {name: seen.problem for name, seen in stages.items() if seen.problem},
    }


def _is_later(seen: RehearsedStage) -> bool:
    return seen.known_after is not None


def _make_stage_data(seen: RehearsedStage) -> Optional[List[Dict[str, Any]]]:
    if _is_later(seen):
        return None
    return [
        {
            "id": unit.id,
            "keep": standing.keeps_verdict,
            "stale": isinstance(standing, Reuse) and standing.stale,
            "aside": isinstance(standing, Hold) and not standing.keeps_verdict,
            "reason": standing.reason,
            "detail": standing.text,
            "parameters": unit.parameters,
            "argv": list(restore_placeholders(unit.argv)),
            "cwd": unit.cwd,
        }
        for unit, standing in zip(seen.units, seen.standings)
    ]


# --- as a graph --------------------------------------------------------------------------------


def format_graph(spec: RunSpec, stages: Stages, form: str) -> List[str]:
    """Return the stages and those that they wait for: `form` is ``mermaid`` or ``dot``.

    A dashed arrow leads to a stage whose units start one by one, as units of the other end.
    """
    numbers = {stage.name: f"s{number}" for number, stage in enumerate(spec.stages)}
    if form == "mermaid":
        return ["flowchart TD", *(f"  {line}" for line in _format_mermaid(spec, stages, numbers))]
    return ["digraph {", *(f"  {line}" for line in _format_dot(spec, stages, numbers)), "}"]


def _format_mermaid(spec: RunSpec, stages: Stages, numbers: Mapping[str, str]) -> Iterator[str]:
    for stage in spec.stages:
        text = f"{stage.name}<br>{_format_counts(stage, stages[stage.name])}"
        for mark, code in (('"', "#quot;"), ("\n", " ")):
            text = text.replace(mark, code)
        yield f'{numbers[stage.name]}["{make_visible(text)}"]'
    for stage in spec.stages:
        for name in list_upstream(stage):
            arrow = "-.->" if stage.unit_wise and name in stage.for_each else "-->"
            yield f"{numbers[name]} {arrow} {numbers[stage.name]}"


def _format_dot(spec: RunSpec, stages: Stages, numbers: Mapping[str, str]) -> Iterator[str]:
    for stage in spec.stages:
        words = (stage.name, _format_counts(stage, stages[stage.name]))
        text = "\\n".join(
            make_visible(word).replace("\\", "\\\\").replace('"', '\\"') for word in words
        )
        yield f'{numbers[stage.name]} [shape=box, label="{text}"];'
    for stage in spec.stages:
        for name in list_upstream(stage):
            dashed = stage.unit_wise and name in stage.for_each
            style = " [style=dashed]" if dashed else ""
            yield f"{numbers[name]} -> {numbers[stage.name]}{style};"

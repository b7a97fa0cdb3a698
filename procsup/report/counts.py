"""The numbers of stages, as text and as data."""

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from msgspec import Struct

from procsup.core.manifest import StageCounts
from procsup.core.outcome import LeftoverFiles, Verdict
from procsup.core.plan.summary import StageTally
from procsup.core.text import are, count_noun, make_visible
from procsup.report.tables import align

_NAMED = 3  # leftover files
_FIXED = ("planned", "kept", "succeeded")


def make_stage_table(tallies: Iterable[StageTally]) -> List[str]:
    """Return the stages as a table; other verdicts have a column only if they occur."""
    return align(*list_stage_cells(tallies))


def list_stage_cells(tallies: Iterable[StageTally]) -> Tuple[List[str], List[List[object]]]:
    """Return the header and the rows of that table."""
    return _list_cells(
        [
            _StageRow(s.name, s.status.word, s.planned, s.kept, s.verdicts, s.running, s.grows)
            for s in tallies
        ]
    )


def list_final_cells(stages: Mapping[str, StageCounts]) -> Tuple[List[str], List[List[object]]]:
    """Return the same for the stages of a manifest."""
    return _list_cells(
        [
            _StageRow(
                name, counts.status, counts.planned, counts.kept,
                {verdict: counts.get_count(verdict) for verdict in Verdict},
            )
            for name, counts in stages.items()
        ]
    )  # fmt: skip


class _StageRow(Struct, frozen=True):
    name: str
    status: str
    planned: Optional[int]
    kept: int
    verdicts: Mapping[Verdict, int]
    running: int = 0
    grows: bool = False


def _list_cells(stages: Sequence[_StageRow]) -> Tuple[List[str], List[List[object]]]:
    others = [
        verdict
        for verdict in Verdict
        if verdict is not Verdict.SUCCEEDED and any(s.verdicts.get(verdict) for s in stages)
    ]
    live = any(stage.running for stage in stages)
    header = ["stage", "status", *_FIXED, *(verdict.value for verdict in others)]
    rows: List[List[object]] = [
        [
            s.name,
            s.status,
            f"{s.planned}+" if s.grows else s.planned,
            s.kept,
            *(s.verdicts.get(verdict, 0) for verdict in (Verdict.SUCCEEDED, *others)),
            *([s.running] if live else []),
        ]
        for s in stages
    ]
    return [*header, "running"] if live else header, rows


def format_stage_problems(tallies: Iterable[StageTally]) -> List[str]:
    """Return a line for each stage that could not be planned, waits, or needed no more units."""
    said = [
        (stage.name, text)
        for stage in tallies
        for text in (stage.problem, stage.enough, stage.held and f"starts no more: {stage.held}")
    ]
    return [f"{make_visible(name)}: {make_visible(text)}" for name, text in said if text]


def format_stage_remarks(tallies: Iterable[StageTally]) -> List[str]:
    """Return the first remark of each stage: irregularities that are not failures."""
    lines = []
    for stage in tallies:
        if stage.remarks:
            more = len(stage.remarks) - 1
            also = f" (and {count_noun(more, 'more remark')})" if more else ""
            lines.append(f"remark: {make_visible(stage.remarks[0])}{also}")
        if stage.refused:
            starts = count_noun(stage.refused, "start")
            lines.append(
                f"{make_visible(stage.name)}: {starts} put off for a shortage of the system"
            )
    return lines


def format_stage_leftovers(tallies: Iterable[StageTally]) -> List[str]:
    """Return a line for each stage with leftover files in its outputs."""
    return [
        f"{make_visible(stage.name)}: {phrase_leftovers(stage.all_leftover_files)}"
        for stage in tallies
        if stage.leftover_files
    ]


def phrase_leftovers(found: LeftoverFiles) -> str:
    """Return the number of leftover files, with the names of the first ones, in words."""
    names = [make_visible(name) for name in found.names[:_NAMED]]
    shown = ", ".join([*names, "..."] if found.count > len(names) else names)
    files = count_noun(found.count, "leftover file")
    return f"{files} in its outputs {are(found.count)} not vouched for ({shown})"


def make_stage_data(stage: StageTally) -> Dict[str, Any]:
    """Return a stage as plain data, with the names of the manifest's counts."""
    data: Dict[str, Any] = {"status": stage.status.word, "planned": stage.planned}
    data["running"], data["kept"], data["stale"] = stage.running, stage.kept, stage.stale
    data.update((verdict.value, stage.verdicts.get(verdict, 0)) for verdict in Verdict)
    data["remarks"], data["starts_put_off"] = len(stage.remarks), stage.refused
    if stage.leftover_files:
        data["leftover_files"] = stage.all_leftover_files.count
    if stage.grows:
        data["grows"] = True  # `planned` is the number so far
    if stage.problem:
        data["problem"] = stage.problem
    if stage.held:
        data["held"] = stage.held
    if stage.enough:
        data["enough"] = stage.enough
    return data


def summarise_counts(tallies: Iterable[StageTally]) -> str:
    """Return all stages in one phrase: ``209 succeeded (40 kept), 2 failed, 1 timed-out``."""
    stages = list(tallies)
    kept = sum(stage.kept for stage in stages)
    words = []
    for verdict in Verdict:
        number = sum(stage.verdicts.get(verdict, 0) for stage in stages)
        if not number:
            continue
        more = f" ({kept} kept)" if verdict is Verdict.SUCCEEDED and kept else ""
        words.append(f"{number} {verdict.value}{more}")
    return ", ".join(words) or "nothing was done"

"""Failed units, each with its exit, its cause and its last output."""

import os
from typing import List, Optional, Sequence, Tuple

from procsup.core.manifest import StageCounts
from procsup.core.outcome import Part, describe
from procsup.core.quantities import show_duration
from procsup.core.records import End
from procsup.core.text import count_noun, make_visible, take_last_lines
from procsup.host.logfiles import LogPlaces, open_log

MOST_SHOWN = 20
TAIL_LINES = 10
_TAIL_BYTES = 16384
_WIDEST = 400


def format_failures(failures: Sequence[End], total: int, places: LogPlaces) -> List[str]:
    """Return a paragraph per failed unit, at most 20, then the number of the rest."""
    lines: List[str] = []
    for end in failures[:MOST_SHOWN]:
        lines += _format_paragraph(end, places)
    beyond = total - min(len(failures), MOST_SHOWN)
    if beyond > 0:
        lines.append(f"... and {beyond} more")
    return lines


def format_phrase(end: End) -> str:
    """Say how an attempt ended: ``failed, exit 3 (attempt 2, 0.5 s)``."""
    exit_words = describe(end.exit) if end.exit is not None else ""
    words = join_facts(end.verdict.value, exit_words, end.cause)
    if end.attempt > 0 and end.wall_s is not None:
        words += f" (attempt {end.attempt}, {show_duration(end.wall_s)})"
    return words


def join_facts(verdict: str, exit_words: str, cause: str) -> str:
    """Return a verdict with its exit and cause, as visible text without repetitions."""
    facts = [verdict, "" if exit_words in cause else exit_words, cause]
    return make_visible(", ".join(filter(None, facts)))


def _format_paragraph(end: End, places: LogPlaces) -> List[str]:
    return [f"{make_visible(end.unit)}: {format_phrase(end)}", *format_tail(end, places)]


def format_tail(end: End, places: LogPlaces) -> List[str]:
    """Return the last output of an attempt, indented; empty without output."""
    name, tail = read_last_words(end, places)
    if not tail:
        return []
    return [f"  end of {name}:", *(f"    {text[:_WIDEST]}" for text in tail)]


def read_last_words(end: End, places: LogPlaces) -> Tuple[str, Sequence[str]]:
    """Return (``stderr`` or ``stdout``, last lines) of an attempt: of the first that has any."""
    logs = (
        ("stderr", end.stderr_path, end.stderr_part),
        ("stdout", end.stdout_path, end.stdout_part),
    )
    for name, path, part in logs:
        tail = read_tail(path, places, part)
        if tail:
            return name, tail
    return "stderr", []


def read_tail(
    path: Optional[str], places: LogPlaces, part: Optional[Part] = None, count: int = TAIL_LINES
) -> List[str]:
    """Return the last lines of a log, visible; none if it is missing or unreadable."""
    if path is None:
        return []
    try:
        with open_log(path, part, **places._asdict()) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL_BYTES, 0))
            data = file.read(_TAIL_BYTES)
    except OSError:  # removed, or never made: the report omits it
        return []
    if size > _TAIL_BYTES:  # begin with a whole line, if there is one
        data = data.partition(b"\n")[2] or data
    return take_last_lines(data, count)


def count_failed(counts: StageCounts) -> int:
    """Return how many units of a stage failed by themselves."""
    return counts.planned - counts.succeeded - counts.skipped - counts.cancelled


def phrase_failed(total: int) -> str:
    """Say how many units did not succeed."""
    return f"{count_noun(total, 'unit')} did not succeed"

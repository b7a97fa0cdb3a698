"""A unit in a paragraph: its results, why it waits, and what a run would do with it now."""

import os
import time
from typing import Any, Dict, Iterator, List, Sequence

from procsup.core.manifest import format_rfc3339
from procsup.core.quantities import show_bytes, show_duration, show_time
from procsup.core.records import End
from procsup.core.text import count_noun, make_visible
from procsup.host.logfiles import LogPlaces
from procsup.queries.explaining import Explanation
from procsup.queries.rows import make_ends_row
from procsup.report.failures import format_phrase, format_tail

_TIME = "%Y-%m-%d %H:%M:%S"
_EARLIER_MOST = 3
_AFTER_MOST = 3
_OF_ATTEMPT = ("verdict", "exit_code", "signal", "cause", "started", "ended", "wall_s", "host")


def format_explanation(unit: Explanation, *, base: str = "") -> List[str]:
    """Return a paragraph, and below it the last output of a failed unit.

    Paths of logs below the folder `base` are shown relative to it.
    """
    sentences = [
        *_describe_course(unit),
        *_describe_hold(unit),
        *_format_logs(unit, base),
        *_describe_forecast(unit),
    ]
    last = unit.ends[-1] if unit.ends else None
    paragraph = make_visible(f"{unit.id}: {' '.join(sentences)}")
    if last is None or not last.verdict.is_failure or last.attempt == 0:
        return [paragraph]
    return [paragraph, *format_tail(last, LogPlaces(unit.directory, unit.log_folders))]


def _describe_course(unit: Explanation) -> Iterator[str]:
    ends, begun = unit.ends, unit.begun
    if begun is not None and unit.state == "running":
        pid = "" if begun.pid is None else f", pid {begun.pid}"
        since = show_duration(time.time() - begun.since)
        yield f"attempt {begun.attempt} runs, for {since} now{pid}."
    elif begun is not None:
        yield (
            f"attempt {begun.attempt} began {show_time(begun.since, _TIME)}, and its end is not"
            " on record."
        )
    elif ends:
        yield f"{_describe_verdict(unit)}."
        yield from (f"{one[:1].upper()}{one[1:]}." for one in _describe_usage(ends[-1]))
        ends = ends[:-1]
    earlier = [end for end in ends if end.attempt > 0]
    if earlier:
        shown = "; ".join(format_phrase(end) for end in earlier[-_EARLIER_MOST:])
        more = len(earlier) - _EARLIER_MOST
        also = f"{count_noun(more, 'attempt')} more; " if more > 0 else ""
        yield f"Before that: {also}{shown}."


def _describe_verdict(unit: Explanation) -> str:
    last = unit.ends[-1]
    words = format_phrase(last)
    if not last.final:
        words = f"no verdict yet; {words}"
    if unit.kept:
        return f"{words}, {show_time(last.at, _TIME)}, kept since"
    return f"{words}, {show_time(last.at, _TIME)}"


def _describe_usage(last: End) -> Iterator[str]:
    peak = last.usage.peak_memory_bytes
    if last.attempt > 0 and peak is not None and last.verdict.is_failure:
        yield f"it took up to {show_bytes(peak)} of memory"
    yield from last.remarks


def _describe_hold(unit: Explanation) -> Iterator[str]:
    if unit.state == "unknown":
        yield f"{unit.held}."
    elif unit.held:
        begins = "not started yet: " if not (unit.ends or unit.begun) else ""
        held = unit.held if begins else f"{unit.held[:1].upper()}{unit.held[1:]}"
        yield f"{begins}{held}."


def _format_logs(unit: Explanation, base: str) -> Iterator[str]:
    if not unit.logs:
        return
    paths = (_shorten(path, base) for path in unit.logs.values())
    yield f"Logs: {', '.join(paths)}."


def _shorten(path: str, base: str) -> str:
    inside = bool(base) and path.startswith(os.path.join(base, ""))
    return os.path.relpath(path, base) if inside else path


def _describe_forecast(unit: Explanation) -> Iterator[str]:
    if unit.keep is None:
        if unit.detail:
            yield f"What a run would do with it now is {unit.detail}."
    elif unit.keep:
        stale = ", although its program has changed since" if unit.stale else ""
        yield f"A run would keep it now{stale}."
    elif unit.detail.startswith("after "):
        yield f"A run would start it {unit.detail}."
    elif unit.after:
        more = len(unit.after) - _AFTER_MOST
        names = [*unit.after[:_AFTER_MOST], *([f"{more} more"] if more > 0 else [])]
        yield f"A run would start it after {' and '.join(names)}: {unit.detail}."
    else:
        yield f"A run would start it now: {unit.detail}."
    if unit.unless:
        yield f"But the run would be refused: {unit.unless}."


def make_explanation_data(units: Sequence[Explanation]) -> List[Dict[str, Any]]:
    """Return the explanations as plain data, with the flat names of a manifest's units."""
    return [_make_data(unit) for unit in units]


def _make_data(unit: Explanation) -> Dict[str, Any]:
    row = make_ends_row(unit.id, unit.stage, None, unit.ends, kept=unit.kept, stale=unit.stale)
    del row["index"]
    begun = unit.begun
    return {
        **row,
        "state": unit.state,
        "attempts": [_make_attempt_data(end) for end in unit.ends if end.attempt > 0],
        "begun": None
        if begun is None
        else {"attempt": begun.attempt, "pid": begun.pid, "started": format_rfc3339(begun.since)},
        "held": unit.held or None,
        "keep": unit.keep,
        "reason": unit.reason or None,
        "detail": unit.detail or None,
        "after": list(unit.after),
        "unless": unit.unless or None,
        "logs": dict(unit.logs),
    }


def _make_attempt_data(end: End) -> Dict[str, Any]:
    row = make_ends_row(end.unit, None, None, [end])
    verdict = end.verdict.value  # also the verdict of an attempt that was followed by another
    return {"attempt": end.attempt, **{name: row[name] for name in _OF_ATTEMPT}, "verdict": verdict}

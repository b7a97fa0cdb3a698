"""Finds the log files of units, of a finished or a running attempt."""

import os
from typing import List, NamedTuple, Optional, Sequence

from procsup.core.outcome import AttemptId, Part
from procsup.core.records import End
from procsup.core.replay import History, UnitHistory
from procsup.core.text import list_some, make_visible
from procsup.errors import UsageError
from procsup.queries.selection import SelectedUnits
from procsup.store.rundir import RunDir

STREAMS = ("stdout", "stderr")
_NO_LOG = (None, None)
_MOST_NAMED = 5


class Log(NamedTuple):
    """One stream of one attempt; `stream` is ``output`` if both go to one file."""

    unit: str
    attempt: int
    stream: str
    path: str
    part: Optional[Part] = None


class Choice(NamedTuple):
    """The logs to return; `attempt` None selects the last one of each unit."""

    units: SelectedUnits
    failed: bool = False
    streams: Sequence[str] = STREAMS
    attempt: Optional[int] = None


def list_logs(history: History, rundir: RunDir, choice: Choice) -> List[Log]:
    """Return the chosen logs, in the order of the plan.

    UsageError if no unit has that attempt.
    """
    found: List[Log] = []
    for one in choice.units.list_selected():
        unit = history.units.get(one.id)
        if unit is None or (choice.failed and not _has_failed(unit)):
            continue
        found += list_unit_logs(unit, rundir, one.stage, choice.attempt, choice.streams)
    if choice.attempt is not None and not found:
        raise UsageError(_describe_attempts(history, choice, choice.attempt))
    return found


def _describe_attempts(history: History, choice: Choice, wanted: int) -> str:
    """Say that no selected unit has this attempt, and which attempts the first ones have."""
    lines = []
    for one in choice.units.list_selected():
        unit = history.units.get(one.id)
        if unit is None or (choice.failed and not _has_failed(unit)):
            continue
        numbers = [end.attempt for end in unit.ends if end.attempt > 0]
        numbers += [unit.open_attempt] if unit.open_attempt else []
        has = f"attempt {', '.join(map(str, numbers))}" if numbers else "none"
        lines.append(f"{make_visible(one.id)}: {has}")
    shown = list_some(lines, _MOST_NAMED) or "no unit is selected"
    return f"no selected unit has an attempt {wanted}; {shown}"


def _has_failed(unit: UnitHistory) -> bool:
    if unit.verdict is None or not unit.verdict.is_failure:
        return False
    last = unit.last
    return last is not None and last.attempt > 0


def list_unit_logs(
    unit: UnitHistory,
    rundir: RunDir,
    stage: str,
    number: Optional[int] = None,
    streams: Sequence[str] = STREAMS,
) -> List[Log]:
    """Return the logs of an attempt of a unit (None: of the last one); nothing if it has none."""
    tried = [end for end in unit.ends if end.attempt > 0]
    if number is None:
        number = unit.open_attempt or (tried[-1].attempt if tried else 0)
    if number == unit.open_attempt:
        return list_running_logs(AttemptId(unit.unit, number), rundir, stage, streams)
    for end in tried:
        if end.attempt == number:
            return _list_ended_logs(end, rundir, streams)
    return []


def list_running_logs(
    attempt: AttemptId, rundir: RunDir, stage: str, streams: Sequence[str] = STREAMS
) -> List[Log]:
    """Return the logs of a running attempt."""
    paths = dict(zip(STREAMS, rundir.make_log_paths(attempt, stage)))
    return [Log(attempt.unit, attempt.number, stream, paths[stream]) for stream in streams]


def _list_ended_logs(end: End, rundir: RunDir, streams: Sequence[str]) -> List[Log]:
    out, err = (end.stdout_path, end.stdout_part), (end.stderr_path, end.stderr_part)
    named = [("output", out)] if err in (out, _NO_LOG) else [("stdout", out), ("stderr", err)]
    return [
        Log(end.unit, end.attempt, stream, _make_absolute(rundir, path), part)
        for stream, (path, part) in named
        if path is not None and stream in (*streams, "output")
    ]


def _make_absolute(rundir: RunDir, path: str) -> str:
    return os.path.join(str(rundir.path), path)

"""Finds out how a sitting ended, from its locks and the last records of the journal."""

import os
from typing import List, Optional, Sequence, Union

from procsup.core.records import Begin, Closed, ControlReply, Record, RunFinal
from procsup.core.wording import BY_REQUEST
from procsup.errors import RecordError
from procsup.store.copies import is_copy
from procsup.store.owner import read_owner
from procsup.store.reader import follow, read_journal, read_last_begin
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner, is_live

GUARD_ENDS_S = 0.4  # a waiter learns of a dead supervisor within a second

_TAIL_BYTES = 1 << 18

LastWord = Union[Closed, RunFinal, ControlReply]


def explain_end(rundir: RunDir, owner: Owner, *, patience_s: float = 0.0) -> str:
    """Say why that supervisor's sitting is over, and whether another sitting has begun since.

    Says if units still run after `patience_s`. In `GUARD_ENDS_S` a guard has killed them.
    """
    try:
        last = find_last_word(rundir, owner.sitting) if owner.sitting else None
        begin = None if isinstance(last, (Closed, RunFinal)) else read_last_begin(rundir.journal)
        copied = begin is not None and is_copy(rundir, begin)
    except (OSError, RecordError):  # other users may not read the journal: then no reason
        last, copied = None, False
    now = read_owner(rundir)  # after the journal
    successor = _find_successor(now, owner) if now is not None and is_live(rundir, now) else ""
    if copied and owner.sitting and not successor:
        return "it was not finished when it was copied, and no supervisor works on the copy"
    left = "" if successor else _describe_left(rundir, patience_s)
    return f"{_find_reason(last, owner, now)}{left}{successor}"


def _describe_left(rundir: RunDir, patience_s: float) -> str:
    from procsup.store.left_alive import has_live_units  # `wait` loads it only here

    if not has_live_units(rundir, patience_s=patience_s):
        return ""
    return "; units of it still run: `procsup stop` ends them, and so does the next `procsup run`"


def _find_reason(last: Optional[LastWord], owner: Owner, holder: Optional[Owner]) -> str:
    if owner.sitting == 0:
        return f"no supervisor works on it: {owner.describe()} ended before it began"
    if isinstance(last, Closed):
        return f"not finished, and no supervisor works on it: {last.reason}"
    if isinstance(last, RunFinal):
        return f"run {last.run_id} was final, but its manifest is withdrawn or was not written"
    if holder is not None and holder.sitting == owner.sitting and holder.ended is not None:
        return f"the supervisor ended before the run was final ({owner.describe()})"
    if isinstance(last, ControlReply):
        why = BY_REQUEST if last.request else last.message
        return f"the supervisor died while it stopped the run, {why} ({owner.describe()})"
    return f"the supervisor died ({owner.describe()})"


def _find_successor(live: Owner, owner: Owner) -> str:
    if live.sitting == owner.sitting:
        return ""
    verb = "resumes it already" if live.run_id == owner.run_id else f"is at run {live.run_id} now"
    return f"; {live.describe()} {verb}"


def find_last_word(rundir: RunDir, sitting: int) -> Optional[LastWord]:
    """Return the record of a sitting's end, or of the request to stop it; None without one.

    Only the last part of the journal is read, unless later sittings wrote more than that.
    """
    size = os.path.getsize(rundir.journal)
    tail = [entry.record for entry in follow(rundir.journal, max(size - _TAIL_BYTES, 0)).read()]
    if size <= _TAIL_BYTES or any(_begins(record, sitting) for record in tail):
        return _find_closing(_select_sitting(tail, sitting))
    latest = read_last_begin(rundir.journal)
    if latest is not None and latest.sitting == sitting:
        return _find_closing(tail)  # all of it
    return _find_closing(
        _select_sitting(
            [entry.record for entry in read_journal(rundir.journal, digesting=False)], sitting
        )
    )


def _begins(record: Record, sitting: int) -> bool:
    return isinstance(record, Begin) and record.sitting == sitting


def _select_sitting(records: Sequence[Record], sitting: int) -> List[Record]:
    mine: List[Record] = []
    inside = False
    for record in records:
        if isinstance(record, Begin):
            inside = record.sitting == sitting
        elif inside:
            mine.append(record)
    return mine


def _find_closing(records: Sequence[Record]) -> Optional[LastWord]:
    for record in reversed(records):
        if isinstance(record, (Closed, RunFinal)):
            return record
        if isinstance(record, ControlReply) and record.ok and record.verb == "stop":
            return record
    return None


def is_superseded(rundir: RunDir, run_id: str) -> bool:
    """Whether the directory's latest run is another one; false if its journal is private."""
    try:
        latest = read_last_begin(rundir.journal)
    except PermissionError:
        return False
    return latest is not None and latest.run_id != run_id

"""Sends requests (drain, stop, retry) to a live supervisor and waits for its answer."""

import time
from typing import Callable, List, NamedTuple, Optional, Sequence, Set, Tuple

from procsup.core.records import ControlReply, End
from procsup.errors import ProcsupError, RecordError, RunUnfinished, UsageError, WaitTimeout
from procsup.host.files import describe_error
from procsup.queries.view import RunView
from procsup.store.control import ask, take_back
from procsup.store.left_alive import end_left_alive, has_live_units
from procsup.store.owner import open_owner
from procsup.store.reader import Follower, follow
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner, SittingEnd, wait_sitting
from procsup.store.trust import refuse_doubtful

ANSWER_S = 30.0
_LOOK_S = 0.05


class ControlRequest(NamedTuple):
    """The answer to a request; `over` if the sitting ended before it gave one."""

    ok: bool
    message: str
    over: bool = False
    units: Tuple[str, ...] = ()  # those still to end


_ENDED = ControlRequest(True, "the run ended before it could answer", over=True)


def request(
    rundir: RunDir,
    owner: Owner,
    verb: str,
    *,
    grace_s: Optional[float] = None,
    units: Sequence[str] = (),
    timeout_s: float = ANSWER_S,
) -> ControlRequest:
    """Send a request to a live supervisor and return its answer.

    WaitTimeout if it neither answers nor ends in time. A request without an answer is removed.
    RecordError if the run directory was moved or removed, so that its end is not known.
    """
    follower = _follow_from_now(rundir)
    try:
        request_id = ask(rundir, verb, grace_s, units, of=owner)
    except RunUnfinished:  # it has ended since it was found
        _refuse_unknown_end(rundir, owner)
        return _ENDED
    deadline = time.monotonic() + timeout_s
    end = SittingEnd(rundir, owner)
    while True:
        over = end.wait(_LOOK_S)
        for entry in follower.read():
            record = entry.record
            if isinstance(record, ControlReply) and record.request == request_id:
                return ControlRequest(record.ok, record.message, units=record.units)
        is_late = time.monotonic() >= deadline
        if over or is_late:
            take_back(rundir, request_id)
        if over:
            _refuse_unknown_end(rundir, owner)
            return _ENDED
        if is_late:
            raise WaitTimeout(f"{owner.describe()} did not answer within {timeout_s:g} s")


def stop(
    rundir: RunDir,
    owner: Owner,
    *,
    grace_s: Optional[float] = None,
    said: Callable[[str], object] = len,
) -> None:
    """Ask a live supervisor to stop; return when its sitting is over and its trees are empty.

    `said` gets the text of its answer, if there is one.
    """
    asked = request(rundir, owner, "stop", grace_s=grace_s)
    if not asked.ok:
        raise ProcsupError(f"stop was refused: {asked.message}")
    if asked.message:
        said(asked.message)
    wait_sitting(rundir, owner)
    _refuse_unknown_end(rundir, owner)


def _follow_from_now(rundir: RunDir) -> Follower:
    return follow(rundir.journal, rundir.journal.stat().st_size if rundir.journal.exists() else 0)


def _refuse_unknown_end(rundir: RunDir, owner: Owner) -> None:
    """Raise RecordError if no file is left that shows whether the supervisor has ended.

    A lock that is not there is held by no process, but proves no end.
    """
    try:
        open_owner(rundir).close()
    except OSError as error:
        if not owner.is_gone:
            raise RecordError(
                f"it is not known whether {owner.describe()} has ended: {rundir.run_lock}:"
                f" {describe_error(error)}"
            ) from error


def stop_dead(view: RunView) -> List[Tuple[int, str]]:
    """End what a supervisor that was killed left alive; return (pid, unit id) of each process.

    The unit is empty if it is unknown. RunUnfinished if nothing lives, RunBusy if something does
    not end or is not proven to be of the run, RecordError if only its owner may do that.
    """
    rundir, owner = view.rundir, view.owner
    is_left, whose = has_live_units(rundir), view.other_owner
    if is_left and whose is not None:  # whose records could name any process
        raise RecordError(
            f"units of {rundir.path} still run: only its owner, {whose}, may end them"
        )
    has_died = owner is not None and owner.ended is None and owner.locks  # else it may live
    if is_left or (has_died and whose is None):
        refuse_doubtful(rundir.path)
        ended = end_left_alive(rundir)
        if is_left or ended:
            return ended
    view.require_live("stop")
    return []


def stop_units(
    rundir: RunDir,
    owner: Owner,
    words: Sequence[str],
    *,
    grace_s: Optional[float] = None,
    said: Callable[[str], object] = len,
) -> None:
    """Ask a live supervisor to stop some units; return when no process of them is left.

    UsageError if a selector selects no unit.
    """
    follower = _follow_from_now(rundir)
    # A `stop` with units would end the whole run of an older supervisor, which ignores them.
    asked = request(rundir, owner, "stop-units", grace_s=grace_s, units=words)
    if not asked.ok:
        raise UsageError(asked.message)
    if asked.message:
        said(asked.message)
    left: Set[str] = set(asked.units)
    over, end = asked.over, SittingEnd(rundir, owner)
    while left and not over:
        over = end.wait(_LOOK_S)
        ended = (entry.record for entry in follower.read())
        left -= {record.unit for record in ended if isinstance(record, End)}
    if left:
        _refuse_unknown_end(rundir, owner)

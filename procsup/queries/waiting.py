"""Waits until a run, or a stage of it, is final.

A wait blocks on the lock of the sitting that it finds: the kernel wakes it, even at the death of
the supervisor. Once the lock is free, the manifest exists, or the sitting ended without one. If no
supervisor works on the run, an existing manifest is the answer; without one, the wait continues for
a short time, in which a supervisor may start.
"""

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional, Sequence, Union

from procsup.core.manifest import Head, parse_rfc3339
from procsup.core.quantities import show_duration
from procsup.errors import ProcsupError, RecordError, RunUnfinished, WaitTimeout
from procsup.host.files import AnyPath, describe_error
from procsup.queries.view import RunView, find_run
from procsup.store.find import NoSuchRun
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner, locks_tell, wait_sitting

if TYPE_CHECKING:
    from procsup.queries.unit_end import UnitResult

START_TIMEOUT_S = 5.0  # for a name or a path; a run that has an id has begun
_STARTING_S = 60.0  # the longest time between a supervisor's lock and its first record
_LOOK_S = 0.05
_JOIN_S = 0.5
_SETTLES_S = 1.0  # between the releases of two locks by a supervisor that ends


class WaitResult(NamedTuple):
    """A final run or stage: where it is, the head of its manifest, and how old that is.

    `age_s` is None if the run ended during the wait. `has_id` is true if the run was named by its
    id, so that the answer is certainly about the intended run.
    """

    rundir: RunDir
    path: Path
    head: Head
    age_s: Optional[float] = None
    has_id: bool = False


class Awaited(NamedTuple):
    """What to wait for: a run, a stage of it, or a command of a queue by its number."""

    run: str
    stage: Optional[str] = None
    command: Optional[int] = None


class Limits(NamedTuple):
    """How long to wait, in seconds; None: without limit (`start_s`: by the kind of name)."""

    timeout_s: Optional[float] = None
    start_s: Optional[float] = None
    max_age_s: Optional[float] = None


NO_LIMITS = Limits()
Answer = Union[WaitResult, "UnitResult", ProcsupError]


def _tell_nobody(_sentence: str) -> None:
    """Say nothing."""


def await_final(
    run: str,
    *,
    stage: Optional[str] = None,
    limits: Limits = NO_LIMITS,
    start: AnyPath = ".",
    notice: Callable[[str], None] = _tell_nobody,
) -> WaitResult:
    """Return when the run, or the stage, is final.

    Raises RunUnfinished (3) if no supervisor works on it, or if it ended before the run was final,
    and WaitTimeout (124). `notice` gets messages for the user during the wait.
    """
    return _Wait(run, stage, limits, start, notice).wait_until_final()


def await_all(
    wanted: Sequence[Awaited],
    *,
    limits: Limits = NO_LIMITS,
    start: AnyPath = ".",
    notice: Callable[[str], None] = _tell_nobody,
) -> List[Answer]:
    """Wait for several of them, all at once; return the answers in their order.

    All of them are looked up at once, before the first wait ends.
    """
    answers: List[Optional[Answer]] = [None] * len(wanted)

    def wait_for_one(at: int) -> None:
        run, stage, command = wanted[at]
        try:
            if command is not None:
                from procsup.queries.unit_end import await_command

                answers[at] = await_command(run, command, timeout_s=limits.timeout_s, start=start)
                return
            answers[at] = await_final(run, stage=stage, limits=limits, start=start, notice=notice)
        except ProcsupError as error:
            answers[at] = error
        except Exception as error:  # noqa: BLE001  it would be lost with its thread
            answers[at] = ProcsupError(f"{run}: {type(error).__name__}: {error}")

    if len(wanted) == 1:
        wait_for_one(0)
    else:
        _run_in_threads(wait_for_one, len(wanted))
    return [answer for answer in answers if answer is not None]


def _run_in_threads(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(at,), daemon=True) for at in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(_JOIN_S)  # On Windows Ctrl-C does not interrupt a join without timeout


class _Wait:
    def __init__(
        self,
        run: str,
        stage: Optional[str],
        limits: Limits,
        start: AnyPath,
        notice: Callable[[str], None],
    ) -> None:
        now = time.monotonic()
        self._run, self._stage, self._start, self._notice = run, stage, start, notice
        self._limits = limits
        self._deadline = None if limits.timeout_s is None else now + limits.timeout_s
        self._begun = now
        self._notice_of_owner: Optional[Callable[[str], None]] = notice
        self._told_of_polling = False
        self._missing: Optional[NoSuchRun] = None  # why the last look found no run

    def wait_until_final(self) -> WaitResult:
        try:
            return self._wait_until_final()
        except OSError as error:
            place = os.fsdecode(error.filename or "the run directory")
            raise RecordError(
                f"{self._name_awaited()}: {place}: {describe_error(error)}"
            ) from error

    def _wait_until_final(self) -> WaitResult:
        while True:
            waited = self._look()
            if waited is not None:
                return waited
            self._pause()

    def _look(self) -> Optional[WaitResult]:
        """Return the answer if there is one by now, or None to look again."""
        view = self._find()
        if view is None:
            return None
        if view.live is not None:
            return self._follow(view, view.live)
        if view.run_id is None and view.is_starting and self._count_waited_s() < _STARTING_S:
            return None
        return self._look_at_rest(view)

    def _find(self) -> Optional[RunView]:
        try:
            view = find_run(self._run, self._start, notice=self._notice_of_owner)
            self._notice_of_owner = self._missing = None
            return view
        except NoSuchRun as error:
            self._missing = error
            if self._start_is_over(has_id=False):
                waited_s = self._count_waited_s()
                within = f" (none began within {show_duration(waited_s)})" if waited_s >= 1 else ""
                raise RunUnfinished(f"{error}{within}") from error
            return None

    # --- a supervisor works on it ------------------------------------------------------

    def _follow(self, view: RunView, owner: Owner) -> Optional[WaitResult]:
        """Wait for the end of a live sitting."""
        rundir = view.rundir
        view.require_latest(owner.run_id, f"is superseded by {owner.run_id}, which is under way")
        view.require_stage(self._stage, f"run {self._run}")
        if not locks_tell(rundir, owner) and not self._told_of_polling:
            self._told_of_polling = True
            self._notice(
                f"{self._name_awaited()}: no locks on this file system, looking once a second"
            )
        if not wait_sitting(rundir, owner, self._stage, self._count_left_s()):
            raise self._make_timeout()
        head = view.head(self._stage)
        if head is not None and head.run_id == owner.run_id:
            return WaitResult(rundir, rundir.get_manifest(self._stage), head)
        if self._goes_on(rundir, owner):
            return None
        from procsup.queries.session_end import GUARD_ENDS_S, explain_end

        why = explain_end(rundir, owner, patience_s=GUARD_ENDS_S)
        raise RunUnfinished(f"{self._name_awaited()}: {why}")

    def _goes_on(self, rundir: RunDir, owner: Owner) -> bool:
        """Whether the supervisor is still alive, although the awaited stage cannot become final."""
        if not locks_tell(rundir, owner):
            return RunView(rundir).live == owner
        return not wait_sitting(rundir, owner, None, _SETTLES_S)

    # --- no supervisor works on it -----------------------------------------------------

    def _look_at_rest(self, view: RunView) -> Optional[WaitResult]:
        view.require_stage(self._stage, f"run {self._run}")
        rundir, head = view.rundir, view.head(self._stage)
        if head is not None and view.run_id in (None, head.run_id) and not self._explain_age(head):
            path, has_id = rundir.get_manifest(self._stage), view.run_id is not None
            age_s = _compute_age_s(head)
            if age_s is not None and age_s < self._count_waited_s():
                age_s = None  # it began and ended since the last look
            return WaitResult(rundir, path, head, age_s, has_id)
        if self._start_is_over(has_id=view.run_id is not None):
            # Only now: the reason is in the journal, which may be long.
            raise RunUnfinished(f"{self._name_awaited()}: {self._explain_no_answer(view, head)}")
        return None

    def _explain_no_answer(self, view: RunView, head: Optional[Head]) -> str:
        """Say why the existing manifest is not the answer, or why there is none."""
        run_id = view.run_id
        if head is not None and run_id in (None, head.run_id):
            return self._explain_age(head)
        from procsup.queries.session_end import (  # these read the journal
            GUARD_ENDS_S,
            explain_end,
            is_superseded,
        )

        if run_id is not None and (head is not None or is_superseded(view.rundir, run_id)):
            by = f" by {head.run_id}" if head is not None else ""
            return f"this run is not the latest of its directory: it is superseded{by}"
        if view.owner is None:
            return "it has not begun"
        return explain_end(view.rundir, view.owner, patience_s=GUARD_ENDS_S)

    def _explain_age(self, head: Head) -> str:
        most_s, age_s = self._limits.max_age_s, _compute_age_s(head)
        if most_s is None or age_s is None or age_s <= most_s:
            return ""
        return (
            f"its result is {show_duration(age_s)} old, older than the"
            f" {show_duration(most_s)} that are allowed, and no supervisor works on it"
        )

    # --- limits ------------------------------------------------------------------------

    def _start_is_over(self, *, has_id: bool) -> bool:
        default_s = 0.0 if has_id or "@" in self._run else START_TIMEOUT_S
        limit_s = self._limits.start_s if self._limits.start_s is not None else default_s
        return self._count_waited_s() >= limit_s

    def _count_waited_s(self) -> float:
        return time.monotonic() - self._begun

    def _count_left_s(self) -> Optional[float]:
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def _pause(self) -> None:
        left_s = self._count_left_s()
        if left_s is not None and left_s <= 0:
            raise self._make_timeout("no supervisor works on it yet")
        time.sleep(_LOOK_S if left_s is None else min(_LOOK_S, left_s))

    def _make_timeout(self, state: str = "the run goes on") -> WaitTimeout:
        limit_s = self._limits.timeout_s
        if self._missing is not None and limit_s:
            return WaitTimeout(f"{self._missing} (none began within {show_duration(limit_s)})")
        when = f"after {show_duration(limit_s)}" if limit_s else "yet"
        return WaitTimeout(f"{self._name_awaited()}: not final {when}; {state}")

    def _name_awaited(self) -> str:
        return self._run if self._stage is None else f"{self._run}, stage {self._stage}"


def _compute_age_s(head: Head) -> Optional[float]:
    ended = parse_rfc3339(head.ended)
    return None if ended is None else max(time.time() - ended, 0.0)

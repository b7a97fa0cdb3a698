"""Decides whether a unit's last success is still valid, and if not, why not."""

from typing import Callable, NamedTuple, Optional, Tuple

from procsup.core.events import Hold, Rerun, Reuse, Standing
from procsup.core.making import COMMAND, CWD, ENV, PARAMETER
from procsup.core.outcome import LeftoverFiles, Reading, Verdict
from procsup.core.records import End
from procsup.core.replay import UnitHistory
from procsup.core.spec import StageSpec, UnitSpec

ASKED = "asked for"
FRESH = "fresh"
STALE = Rerun("program changed")  # kept, unless `--only` selects it
RUNNING = "running now"
_KEPT = Reuse()

INPUT_NEW, INPUT_REMOVED = "input new", "input removed"
INPUTS = ("input changed", "input deleted", INPUT_NEW)
# Reasons for which the outputs of an earlier success can no longer be confirmed.
CHANGED = "changed"
CHANGES = (
    CHANGED,
    CWD,
    COMMAND,
    PARAMETER,
    ENV,
    *INPUTS,
    INPUT_REMOVED,
    "output changed",
    "output deleted",
    "output new",
)


class Change(NamedTuple):
    """A file that differs from its record, and how.

    `kind` is ``changed``, ``deleted``, or ``new`` (of which there is no record).
    """

    path: str
    how: str
    kind: str = "changed"


class FileChanges(NamedTuple):
    """The comparison of a unit's files with its record: the first input and output that differ.

    `missing` is true if a required output does not exist. `seen` are new readings of files whose
    content was read again and is unchanged. `leftover_files` are in folder and glob outputs, and
    not among those recorded; None if nothing searched for them.
    """

    inputs: Optional[Change] = None
    outputs: Optional[Change] = None
    missing: bool = False
    seen: Tuple[Reading, ...] = ()
    leftover_files: Optional[LeftoverFiles] = None


Look = Callable[[UnitSpec, End], FileChanges]


def find_standing(
    unit: UnitSpec,
    history: Optional[UnitHistory],
    *,
    intact: Look,
    stage: StageSpec,
    run_succeeded: bool,
    earlier: bool = False,
    goes_on: bool = False,
    fresh: bool,
    program: Optional[str],
) -> Standing:
    """Return a unit's standing when its stage is expanded.

    A unit is kept only if its very last attempt succeeded (it may have been skipped since).
    `intact` compares the files of that end; it is called last, since only it is slow. `program` is
    the sha256 of the script or module file now. `earlier`: its success is of a run before the
    present one; a resumed run repeats no success, for any value of `keep`. `run_succeeded`: that
    run succeeded as a whole; then a unit without files is repeated, unless the run `goes_on`.
    """
    success = None if history is None else history.standing_success
    if success is None:
        return Rerun(_explain_failure(history))
    if fresh:
        return Rerun(FRESH)
    if stage.keep == "never" and earlier:
        return Rerun("never kept")
    if stage.keep == "always" and program is None and not _makes_files(unit):
        return _KEPT  # it does not depend on the end, which need not be unpacked
    last = success.last
    assert last is not None
    look = FileChanges()
    if stage.keep == "always":
        why = _find_outdated(unit, last, intact)
    else:
        why = _find_change(unit, last, run_succeeded and not goes_on)
        look = intact(unit, last) if why is None else look
        why = why or _find_touched(look)
    if why is not None:
        return why
    changed = None not in (program, last.program) and program != last.program
    bare = earlier and not goes_on and not _makes_files(unit)
    left = look.leftover_files
    return Reuse(stale=changed, bare=bare, seen=look.seen, leftover_files=left)


def find_standing_again(
    unit: UnitSpec,
    history: Optional[UnitHistory],
    *,
    asked: Optional[bool],
    intact: Look,
    stage: StageSpec,
    fresh: bool,
    program: Optional[str],
) -> Standing:
    """Return a unit's standing in a retry.

    `asked` is true for a selected unit, false for the others, None if none was selected: then all
    units that did not succeed run. The others keep their verdicts, good or bad; a unit without a
    verdict is left aside. A success runs again only if its outputs cannot be confirmed.
    """
    reason = _explain_failure(history)
    success = None if history is None else history.standing_success
    if asked or (asked is None and success is None):
        return Rerun(reason or ASKED)
    if success is not None:
        found = find_standing(
            unit,
            history,
            intact=intact,
            stage=stage,
            run_succeeded=False,
            fresh=fresh,
            program=program,
        )
        if found.keeps_verdict or asked is None or not reason:
            return found
    if history is None or not history.is_over:
        return Hold("not asked for")
    return Hold(reason, keeps_verdict=True)


def _explain_failure(history: Optional[UnitHistory]) -> str:
    if history is None or (history.verdict is None and history.open_attempt is None):
        return "new"
    if history.verdict is None or history.open_attempt is not None:
        return "interrupted before"
    if history.verdict is Verdict.SUCCEEDED:
        return ""
    if history.verdict is Verdict.SKIPPED:
        return "skipped before"
    if history.verdict in (Verdict.CANCELLED, Verdict.LOST):
        last = history.last
        return "interrupted before" if last is not None and last.attempt > 0 else "not run yet"
    return "failed before"


def _find_outdated(unit: UnitSpec, last: End, intact: Look) -> Optional[Rerun]:
    look = intact(unit, last)
    if not look.missing:
        return None
    return _describe_difference("output", look.outputs) or Rerun("output deleted")


def _find_change(unit: UnitSpec, last: End, run_succeeded: bool) -> Optional[Rerun]:
    if last.fingerprint != unit.fingerprint:
        return Rerun(CHANGED)
    if run_succeeded and not _makes_files(unit):
        return Rerun("no outputs to keep")
    return None


def _makes_files(unit: UnitSpec) -> bool:
    return bool(unit.outputs) or unit.stdout is not None or unit.stderr is not None


def _find_touched(look: FileChanges) -> Optional[Rerun]:
    return _describe_difference("input", look.inputs) or _describe_difference(
        "output", look.outputs
    )


def _describe_difference(what: str, change: Optional[Change]) -> Optional[Rerun]:
    if change is None:
        return None
    reason = f"{what} {change.kind}"
    how = f" ({change.how})" if change.kind == "changed" else ""
    return Rerun(reason, f"{reason}: {change.path}{how}")

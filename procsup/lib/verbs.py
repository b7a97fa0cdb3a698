"""The verbs for a run that this program did not start: read its status, and act on it."""

import os
from typing import List, Optional, Sequence

from procsup.errors import OutputsChanged, ProcsupError, RecordError
from procsup.host.files import AnyPath
from procsup.lib.answers import check_manifest
from procsup.lib.manifest import Manifest
from procsup.lib.plain import read_jobs, read_selectors
from procsup.lib.running import Progress, make_invocation
from procsup.lib.status import Status, read_status
from procsup.lib.timing import Duration, convert_seconds
from procsup.queries import control, retrying
from procsup.queries.verification import Verification
from procsup.queries.verification import verify as check_records
from procsup.queries.view import find_own_run, find_run, find_to_execute
from procsup.queries.waiting import await_final
from procsup.report.verification import format_verification


def status(run: AnyPath = "last") -> Status:
    """Read the status of a run, which may be live, dead or final.

    UsageError if there is no such run, RecordError if its records cannot be read.
    """
    return read_status(find_run(os.fspath(run), os.curdir))


def stop(run: AnyPath, *, only: Sequence[str] = (), grace: Optional[Duration] = None) -> None:
    """Stop a live run, or units of it, and return when no process of them is left.

    `only` and `grace` as in `Run.stop`. UsageError if there is no such run or unit, RunUnfinished
    if no supervisor works on it, RecordError if it is another user's, WaitTimeout if its supervisor
    does not answer.
    """
    words, grace_s = read_selectors("only", only), convert_seconds("grace", grace)
    view = find_own_run(os.fspath(run), os.curdir, "stop", root_may=True)
    if view.live is None and not words:
        control.stop_dead(view)
        return
    owner = view.require_live("stop")
    if words:
        control.stop_units(view.rundir, owner, words, grace_s=grace_s)
    else:
        control.stop(view.rundir, owner, grace_s=grace_s)


def drain(run: AnyPath) -> None:
    """Start no more units of a live run; returns when that is acknowledged. Errors as `stop`."""
    view = find_own_run(os.fspath(run), os.curdir, "drain", root_may=True)
    owner = view.require_live("drain")
    asked = control.request(view.rundir, owner, "drain")
    if not asked.ok:
        raise ProcsupError(f"drain was refused: {asked.message}")


def retry(
    run: AnyPath,
    *,
    only: Sequence[str] = (),
    jobs: Optional[int] = None,
    progress: Progress = "auto",
    check: bool = True,
) -> Manifest:
    """Run again what did not succeed, or the selected units; return the manifest when all ended.

    It uses the run's own file, variables and date, like ``procsup retry``. If a supervisor works on
    the run, it is asked to queue the units, and this waits for its end; `jobs` and `progress` have
    no effect then. If all units succeeded, the manifest is returned at once. Errors as `run`;
    UsageError also if the run file is gone, or the live run refuses.
    """
    words = read_selectors("only", only)
    rerun = retrying.read_own_rerun(find_to_execute(os.fspath(run), os.curdir, "retry"))
    where = f"{rerun.rundir.path}@{rerun.begin.run_id}"
    if rerun.live is not None:
        retrying.ask_to_retry(rerun, rerun.live, words)
    elif words or not retrying.has_succeeded(rerun):
        number = None if jobs is None else read_jobs(jobs)
        request = retrying.request_for(rerun, words, jobs=number)
        return make_invocation(request, progress, check=check).carry_out()
    waited = await_final(where)
    return check_manifest(Manifest(waited.path, waited.head), check=check)


def verify(
    run: AnyPath = "last",
    *,
    stage: Optional[str] = None,
    checksum: bool = False,
    check: bool = True,
) -> Verification:
    """Compare a final run, or a stage of it, with its manifest: record, counts, outputs, plan.

    With `checksum`, contents are read even if size and time agree. RecordError if the record is
    damaged, OutputsChanged if outputs or the plan differ; without `check` the result is returned
    in both cases. UsageError if there is no such run or stage, RunUnfinished if it is not final.
    """
    seen = check_records(find_run(os.fspath(run), os.curdir), stage=stage, checksum=checksum)
    if check and seen.exit_code != 0:
        kind = RecordError if seen.damage else OutputsChanged
        raise kind("\n".join(format_verification(seen)))
    return seen


__all__: List[str] = ["drain", "retry", "status", "stop", "verify"]

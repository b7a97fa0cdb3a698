"""Makes the request that runs some units of an earlier run again."""

import datetime
import os
from typing import NamedTuple, Optional, Sequence

import msgspec

from procsup.core.records import Begin
from procsup.errors import RecordError, RunUnfinished, UsageError
from procsup.paths.opening import is_absent
from procsup.queries.control import ControlRequest, request
from procsup.queries.view import RunView
from procsup.runfile.load import load
from procsup.runfile.plan import PLAN_FILE
from procsup.store.copies import find_origin
from procsup.store.place import run_file_now
from procsup.store.reader import read_last_begin
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner
from procsup.supervisor.requests import Request
from procsup.supervisor.resolved_request import load_source


class Rerun(NamedTuple):
    """A run to retry; `live` is the supervisor that works on it now."""

    rundir: RunDir
    begin: Begin
    live: Optional[Owner]

    @property
    def source(self) -> str:
        """The path of its run file or plan; UsageError if that does not exist any more."""
        path = run_file_now(self.rundir.path, self.begin) or str(self.rundir.path / PLAN_FILE)
        if not is_absent(path):
            return path
        if self.begin.run_file is None:
            raise UsageError(
                f"{self.rundir.path} was made by a program, without a run file: only that program"
                " can run it again"
            )
        raise UsageError(f"the run file of {self.rundir.path} is gone: there is no {path}")


def read_rerun(view: RunView) -> Rerun:
    """Read the run; RunUnfinished if it is not the latest of its directory."""
    rundir, live = view.rundir, view.live
    begin = read_last_begin(rundir.journal)
    if begin is None:
        raise RunUnfinished(f"nothing was begun in {rundir.path}: there is nothing to retry")
    view.require_latest(begin.run_id)
    return Rerun(rundir, begin, live)


def read_own_rerun(view: RunView) -> Rerun:
    """Do the same to execute it; UsageError for a copy, which may come with a checkout.

    Its records could name any run file.
    """
    rerun = read_rerun(view)
    origin = find_origin(rerun.rundir, rerun.begin)
    if origin is not None:
        raise UsageError(
            f"run directory {rerun.rundir.path} is a copy of {origin}, whose records may name any"
            " run file: begin a run here first (procsup run FILE; --adopt keeps what was done"
            " there, --fresh repeats all)"
        )
    return rerun


def has_succeeded(rerun: Rerun) -> bool:
    """Whether every unit of the run succeeded."""
    try:
        head = RunView(rerun.rundir).head()
    except RecordError:
        return False
    return head is not None and head.run_id == rerun.begin.run_id and head.status == "succeeded"


def request_for(rerun: Rerun, units: Sequence[str], *, jobs: Optional[int] = None) -> Request:
    """Return the request with the run's own file, variables, date and directory.

    RunFileError if the file is wrong now, UsageError if it would make another directory.
    """
    file = rerun.source
    made = Request(
        file=file,
        variables={},
        directory=str(rerun.rundir.path.parent),
        jobs=jobs,
        again=tuple(units),
        today=datetime.date.fromtimestamp(rerun.begin.at).isoformat(),
    )
    if os.path.basename(file) == PLAN_FILE:
        return made
    made = _set_variables(made, rerun.begin)
    directory = load_source(made).spec.directory
    if os.path.realpath(directory) != os.path.realpath(rerun.rundir.path):
        raise UsageError(
            f"{file} has another name by now, and makes {directory} instead of"
            f" {rerun.rundir.path}: use `procsup run`"
        )
    return made


def _set_variables(made: Request, begin: Begin) -> Request:
    """Set the run's recorded variables if the file has other values now."""
    loaded = load(made.file)
    now = loaded.spec.variables
    given = {
        name: _format_value(value)
        for name, value in begin.variables.items()
        if (name == "date" or name in now) and now.get(name) != value
        if not isinstance(value, (list, tuple))
    }
    return msgspec.structs.replace(made, variables=given, digest=loaded.digest)


def _format_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def ask_to_retry(rerun: Rerun, owner: Owner, words: Sequence[str]) -> ControlRequest:
    """Ask the live supervisor to queue these units again, or all that have failed so far.

    UsageError if it refuses, RunUnfinished if the run ended before it answered.
    """
    asked = request(rerun.rundir, owner, "retry", units=words)
    if asked.over:
        raise RunUnfinished("the run ended before it could answer: retry once more")
    if not asked.ok:
        raise UsageError(f"retry was refused by the live run: {asked.message}")
    return asked

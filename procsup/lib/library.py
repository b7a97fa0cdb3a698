"""The library: the same things as on the command line, as functions.

Durations are seconds or texts such as ``"10m"``, paths are anything that `os.fspath` takes.
"""

import os
from typing import List, Mapping, Optional, Sequence

from procsup.core.spec import RunSpec
from procsup.errors import RunUnfinished
from procsup.host.files import AnyPath
from procsup.lib.answers import check_manifest
from procsup.lib.invocation import (
    RunOptions,
    SpecOrFile,
    format_texts,
    make_request,
)
from procsup.lib.manifest import Manifest
from procsup.lib.running import Progress, make_invocation
from procsup.lib.timing import Duration, convert_seconds
from procsup.queries.view import RunView, find_run
from procsup.queries.waiting import Limits, await_final
from procsup.store.find import NoSuchRun


def load(file: AnyPath = "procsup.toml", *, vars: Optional[Mapping[str, object]] = None) -> RunSpec:
    """Read a run file; RunFileError lists everything that is wrong with it."""
    from procsup.runfile.load import load as load_file

    return load_file(os.fspath(file), variables=format_texts(vars)).spec


def run(
    file: SpecOrFile = "procsup.toml",
    *,
    vars: Optional[Mapping[str, object]] = None,
    jobs: Optional[int] = None,
    only: Sequence[str] = (),
    fresh: bool = False,
    dir: Optional[AnyPath] = None,
    engine: str = "local",
    time_limit: Optional[Duration] = None,
    progress: Progress = "auto",
    check: bool = True,
    adopt: bool = False,
) -> Manifest:
    """Bring a run to completion and return its manifest.

    In a copy of its folder a run keeps what was done in the original only with `fresh` or
    `adopt`: UsageError without one of them.

    `progress` is ``auto``, ``bar``, ``plain``, ``none`` (nothing is written at all), or a function
    that is called with each `Event` as it happens; then nothing is written, either.

    `time_limit` is for the run as a whole (`timeout` in the run file is for each attempt): when it
    is over, the run is stopped as by `procsup.stop`, RunUnfinished says so, and the same call goes
    on with what is left.

    RunFailed (`.manifest`) unless all units succeeded; with `check` false a failed run is
    returned like any other. RunUnfinished if it was stopped before it was final, RunBusy if
    another supervisor works on it, RunFileError, UsageError and RecordError as on the command line.
    Nothing of this process is touched; no ``__main__`` guard is needed.
    """
    options = RunOptions(vars, jobs, only, fresh, dir, engine, adopt, time_limit)
    return make_invocation(make_request(file, options), progress, check=check).carry_out()


def wait_for(
    run: AnyPath,
    *,
    stage: Optional[str] = None,
    timeout: Optional[Duration] = None,
    max_age: Optional[Duration] = None,
    verify: bool = False,
    check: bool = True,
) -> Manifest:
    """Block until a run, or a stage of it, is final; return its manifest.

    `run` is a name, an id, ``DIR@ID`` or a path. RunUnfinished if no supervisor works on it
    or it has ended before the run was final, WaitTimeout after `timeout`, RunFailed unless all
    units succeeded (with `check`), OutputsChanged if `verify` finds outputs that differ.
    """
    limits = Limits(
        timeout_s=convert_seconds("timeout", timeout), max_age_s=convert_seconds("max_age", max_age)
    )
    waited = await_final(os.fspath(run), stage=stage, limits=limits)
    return _check_vouched(Manifest(waited.path, waited.head), verify=verify, check=check)


def read_manifest(run: AnyPath, *, stage: Optional[str] = None, verify: bool = False) -> Manifest:
    """Return the manifest of a final run, or of a final stage, succeeded or not.

    RunUnfinished if it is not final or not found, UsageError if it has no such stage. Never
    waits. A manifest of an earlier run is not returned while a supervisor works on a newer
    one.
    """
    view, named = _find(run), os.fspath(run)
    path = view.rundir.get_manifest(stage)
    absent = f"{named}: not final: there is no {path}"
    head = view.require_final(stage, named=named, absent=absent)
    return _check_vouched(Manifest(path, head), verify=verify, check=False)


def _find(run: AnyPath) -> RunView:
    try:
        return find_run(os.fspath(run), os.curdir)
    except NoSuchRun as error:
        raise RunUnfinished(str(error)) from error


def _check_vouched(manifest: Manifest, *, verify: bool, check: bool) -> Manifest:
    if verify:
        manifest.verify()
    return check_manifest(manifest, check=check)


__all__: List[str] = ["Duration", "load", "read_manifest", "run", "wait_for"]

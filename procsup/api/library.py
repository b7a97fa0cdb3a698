"""The library: the same things as on the command line, as functions.

Durations are seconds or texts such as ``"10m"``, paths are anything that `os.fspath` takes.
"""

import json
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type, Union

from procsup.api.manifest import Manifest
from procsup.api.waiting import Limits, await_final
from procsup.core.quantities import duration_s
from procsup.core.spec import RunSpec
from procsup.errors import (
    OutputsChanged,
    ProcsupError,
    RecordError,
    RunBusy,
    RunFailed,
    RunFileError,
    RunUnfinished,
    UsageError,
    WaitTimeout,
)
from procsup.host.attached import Finished, run_attached
from procsup.host.files import AnyPath
from procsup.store.find import Found, NoSuchRun, find
from procsup.store.manifest import read_head
from procsup.store.rundir import RunDir
from procsup.store.sitting import is_live, read_owner

Duration = Union[str, float]

_BY_NAME: Dict[str, Type[ProcsupError]] = {
    kind.__name__: kind
    for kind in (
        UsageError,
        RunUnfinished,
        OutputsChanged,
        RecordError,
        RunBusy,
        WaitTimeout,
        ProcsupError,
    )
}
_BY_CODE = {kind.exit_code: kind for kind in _BY_NAME.values()}


def load(file: AnyPath = "procsup.toml", *, vars: Optional[Mapping[str, Any]] = None) -> RunSpec:
    """Read a run file; RunFileError lists everything that is wrong with it."""
    from procsup.runfile.load import load as load_file

    return load_file(os.fspath(file), variables=_texts(vars)).spec


def run(
    file: AnyPath = "procsup.toml",
    *,
    vars: Optional[Mapping[str, Any]] = None,
    jobs: Optional[int] = None,
    only: Sequence[str] = (),
    fresh: bool = False,
    dir: Optional[AnyPath] = None,
    engine: str = "local",
    progress: str = "auto",
    check: bool = True,
) -> Manifest:
    """Bring a run to completion and return its manifest.

    RunFailed (`.manifest`) unless all units succeeded; with `check` false a failed run is
    returned like any other. RunUnfinished if it was stopped before it was final, RunBusy if
    somebody else is at it, RunFileError, UsageError and RecordError as on the command line.
    Nothing of this process is touched; no ``__main__`` guard is needed.
    """
    load(file, vars=vars)  # what is wrong with the file is told here, as an exception
    if isinstance(only, str):
        raise UsageError(f"only={only!r}: expected a list of selectors, such as [{only!r}]")
    arguments = ["run", "--json", f"--engine={engine}", f"--progress={progress}"]
    arguments += [f"--var={name}={value}" for name, value in _texts(vars).items()]
    arguments += [f"--only={selector}" for selector in only]
    arguments += [] if jobs is None else [f"--jobs={jobs}"]
    arguments += [] if dir is None else [f"--dir={os.fspath(dir)}"]
    arguments += ["--fresh"] if fresh else []
    arguments += ["--quiet"] if progress == "none" else []
    return _manifest_of(run_attached([*arguments, "--", os.fspath(file)]), check=check)


def _texts(vars: Optional[Mapping[str, Any]]) -> Dict[str, str]:
    return {str(name): _text(value) for name, value in (vars or {}).items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _manifest_of(finished: Finished, *, check: bool) -> Manifest:
    body = _body(finished)
    if "error" in body:
        raise _error_of(body["error"])
    if body.get("status") is None:
        reason = body.get("reason") or _how(finished.exit_code)
        raise RunUnfinished(f"the run is not finished: {reason}")
    path = RunDir(body["directory"]).manifest
    head = read_head(path)
    if head is None or head.run_id != body["run_id"]:
        if finished.exit_code in (0, 1) and body.get("manifest_path") is None:
            raise RunUnfinished("the units that were selected are done; others are not final yet")
        raise RunUnfinished(f"run {body['run_id']} was begun again meanwhile")
    return checked(Manifest(path, head), check=check)


def _body(finished: Finished) -> Dict[str, Any]:
    """Return the object that the last line of stdout holds; an empty one if there is none."""
    for line in reversed(finished.stdout.splitlines()):
        try:
            body = json.loads(line)
        except ValueError:
            continue
        if isinstance(body, dict):
            return body
    if finished.exit_code < 0:
        return {}
    raise _BY_CODE.get(finished.exit_code, ProcsupError)(
        f"procsup {_how(finished.exit_code)} and said no more"
    )


def _how(exit_code: int) -> str:
    return f"was ended by signal {-exit_code}" if exit_code < 0 else f"ended with {exit_code}"


def _error_of(error: Mapping[str, Any]) -> ProcsupError:
    """Return the exception that the other process raised."""
    if error.get("type") == RunFileError.__name__:
        return RunFileError(error.get("problems") or [str(error.get("message"))])
    # Where the command line has its help is nothing to a program.
    message = str(error.get("message")).partition("\n(see: ")[0]
    return _BY_NAME.get(str(error.get("type")), ProcsupError)(message)


def checked(manifest: Manifest, *, check: bool = True) -> Manifest:
    """Return the manifest; RunFailed if `check` and some unit did not succeed."""
    if manifest.ok or not check:
        return manifest
    planned = sum(counts.planned for counts in manifest.stages.values())
    well = sum(counts.succeeded for counts in manifest.stages.values())
    raise RunFailed(
        f"{manifest.head.name} {manifest.status}: {well} of {planned} units succeeded", manifest
    )


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

    `run` is a name, an id, ``DIR@ID`` or a path. RunUnfinished if nobody works on it or the one
    who did has ended before it was final, WaitTimeout after `timeout`, RunFailed unless all
    units succeeded (with `check`), OutputsChanged if `verify` finds outputs that differ.
    """
    limits = Limits(timeout_s=_seconds("timeout", timeout), max_age_s=_seconds("max_age", max_age))
    waited = await_final(os.fspath(run), stage=stage, limits=limits)
    return _vouched(Manifest(waited.path, waited.head), verify=verify, check=check)


def read_manifest(run: AnyPath, *, stage: Optional[str] = None, verify: bool = False) -> Manifest:
    """Return the manifest of a final run, or of a final stage, succeeded or not.

    RunUnfinished if it is not final, or nowhere: never waits, never guesses. A manifest of an
    earlier run is no answer while somebody works on another one.
    """
    found = _found(run)
    owner = read_owner(found.rundir)
    path = found.rundir.manifest_of(stage)
    head = read_head(path)
    if head is None:
        raise RunUnfinished(f"{os.fspath(run)}: not final: there is no {path}")
    if found.run_id not in (None, head.run_id):
        raise RunUnfinished(f"run {found.run_id} is superseded by {head.run_id}")
    if owner is not None and owner.run_id != head.run_id and is_live(found.rundir, owner):
        raise RunUnfinished(f"{os.fspath(run)}: run {owner.run_id} is under way")
    return _vouched(Manifest(path, head), verify=verify, check=False)


def _found(run: AnyPath) -> Found:
    try:
        return find(os.fspath(run), os.curdir)
    except NoSuchRun as error:
        raise RunUnfinished(str(error)) from error


def _vouched(manifest: Manifest, *, verify: bool, check: bool) -> Manifest:
    if verify:
        manifest.verify()
    return checked(manifest, check=check)


def _seconds(name: str, value: Optional[Duration]) -> Optional[float]:
    if value is None:
        return None
    try:
        return duration_s(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


__all__: List[str] = ["Duration", "load", "read_manifest", "run", "wait_for"]

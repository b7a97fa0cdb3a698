"""The supervisor's answer to the process that started it: a manifest or an exception."""

import json
import warnings
from typing import Any, Dict, Iterator, Mapping, Type

from procsup.core.outcome import Verdict
from procsup.core.text import count_more, count_noun, make_visible, take_last_lines
from procsup.errors import (
    OutputsChanged,
    ProcsupError,
    RecordError,
    RunBusy,
    RunFileError,
    RunUnfinished,
    UsageError,
    WaitTimeout,
)
from procsup.host.attached import ProcessResult
from procsup.lib.failed import RunFailed
from procsup.lib.manifest import Manifest
from procsup.report.failures import count_failed, join_facts
from procsup.store.manifest import read_head
from procsup.store.rundir import RunDir

_NAMED, _TAIL_LINES = 3, 5  # in the message of a RunFailed

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


def get_manifest(finished: ProcessResult, *, check: bool) -> Manifest:
    """Return the manifest; raise the other process's exception, RunUnfinished or RunFailed."""
    body = _read_body(finished)
    if "error" in body:
        raise make_error(body["error"])
    if finished.exit_code == UsageError.exit_code:
        raise UsageError(str(body.get("reason")))
    if body.get("doubt"):
        warnings.warn(str(body["doubt"]), stacklevel=2)
    if body.get("status") is None:
        reason = body.get("reason") or describe_exit(finished.exit_code)
        raise RunUnfinished(f"the run is not finished: {reason}")
    path = RunDir(body["directory"]).manifest
    head = read_head(path)
    if head is None or head.run_id != body["run_id"]:
        if finished.exit_code in (0, 1) and body.get("manifest_path") is None:
            raise RunUnfinished("the units that were selected are done; others are not final yet")
        raise RunUnfinished(f"run {body['run_id']} was begun again meanwhile")
    return check_manifest(Manifest(path, head), check=check)


def _read_body(finished: ProcessResult) -> Dict[str, Any]:
    """Return its answer, the last such object on its stdout; an empty one if a signal ended it."""
    for line in reversed(finished.stdout.splitlines()):
        try:
            body = json.loads(line)
        except ValueError:
            continue
        if isinstance(body, dict) and "exit_code" in (body.get("error") or body):
            return body
    if finished.exit_code < 0:
        return {}
    raise _BY_CODE.get(finished.exit_code, ProcsupError)(
        f"procsup {describe_exit(finished.exit_code)} and said no more"
    )


def describe_exit(exit_code: int) -> str:
    """Say how the other process ended."""
    return f"was ended by signal {-exit_code}" if exit_code < 0 else f"ended with {exit_code}"


def make_error(error: Mapping[str, Any]) -> ProcsupError:
    """Return the exception that the other process raised."""
    message = str(error.get("message")).replace("--only ", "only=")  # as the caller wrote it
    if error.get("type") == RunFileError.__name__:
        return RunFileError(error.get("problems") or [message])
    return _BY_NAME.get(str(error.get("type")), ProcsupError)(message)


def check_manifest(manifest: Manifest, *, check: bool = True) -> Manifest:
    """Return the manifest; RunFailed if `check` and some unit did not succeed."""
    if manifest.ok or not check:
        return manifest
    raise RunFailed("\n".join([_format_headline(manifest), *_failure_lines(manifest)]), manifest)


def _format_headline(manifest: Manifest) -> str:
    planned = sum(counts.planned for counts in manifest.stages.values())
    well = sum(counts.succeeded for counts in manifest.stages.values())
    return (
        f"{manifest.head.name} {manifest.status}: {well} of {count_noun(planned, 'unit')} succeeded"
    )


def _failure_lines(manifest: Manifest) -> Iterator[str]:
    """Yield the first failed units, each with its cause and the end of its stderr."""
    for stage, counts in manifest.stages.items():
        if counts.problem:
            yield make_visible(f"stage {stage}: {counts.problem}")
    count, named = sum(map(count_failed, manifest.stages.values())), 0
    try:
        for unit in manifest.read_units():
            if named == min(_NAMED, count):
                break
            if not Verdict(unit.verdict).is_failure:
                continue
            named += 1
            last = unit.attempts[-1].exit if unit.attempts else None
            yield f"{make_visible(unit.id)}: {join_facts(unit.verdict, last or '', unit.cause)}"
            for line in take_last_lines(unit.stderr().encode(), _TAIL_LINES):
                yield f"    {line}"
    except ProcsupError as error:
        yield f"its units cannot be read: {error}"
        return
    if count > named:
        yield f"...{count_more(count - named)}"

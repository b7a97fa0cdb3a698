"""`procsup run --detach`: the part of the process that starts the run."""

import os
from typing import Any, Callable, Dict, List, Optional

from procsup.console.terminal import Screen, write_stderr, write_stdout, write_stdout_bytes
from procsup.core.text import quote_word
from procsup.errors import RunUnfinished
from procsup.host.inherited import get_inherited_environment
from procsup.host.nested import is_nested
from procsup.supervisor.requests import Display, HostedRequest, Request


def start(
    request: Request,
    display: Display,
    *,
    queue: Optional[List[Any]] = None,
    told: Optional[Callable[[], str]] = None,
) -> int:
    """Start a separate supervisor; print ``DIR@ID`` when its run has begun.

    `queue` is the head of the plan of a queue; what `told` returns then is said in place of how to
    wait for the run.
    """
    from procsup.host.detach import start_detached

    if is_nested():
        write_stderr(
            "procsup: started inside a unit of another run: the detached run ends with that unit"
        )
    line = HostedRequest(
        request, display, announce=True, follows_environment=True, queue=queue
    ).encode()
    detached = start_detached(request.file, [line], environment=get_inherited_environment())
    if detached.ready is None:
        return _raise_not_begun(detached.exit_code)
    if "error" in detached.ready:  # stderr has it, too; with --json this is the payload
        return _write_error(detached.ready)
    _write_run(detached.ready, display, told)
    return 0


def _write_run(ready: Dict[str, Any], display: Display, told: Optional[Callable[[], str]]) -> None:
    from procsup.report.tables import format_json

    run = f"{ready['directory']}@{ready['id']}"
    if not display.quiet:
        write_stderr(told() if told else f"detached; procsup wait {quote_word(run)}")
    if display.as_json:
        write_stdout(format_json({**ready, "run": run}))
    else:
        line = os.fsencode(run) + b"\n"  # unchanged: the shell passes it to `procsup wait`
        write_stdout_bytes([Screen().fit(line, last=True)])


def _write_error(ready: Dict[str, Any]) -> int:
    from procsup.report.tables import format_json

    write_stdout(format_json(ready))
    return int(ready["error"].get("exit_code", 70))


def _raise_not_begun(exit_code: Any) -> int:
    if isinstance(exit_code, int) and exit_code > 0:
        return exit_code  # the supervisor has reported the reason
    signal = f" by signal {-exit_code}" if isinstance(exit_code, int) and exit_code < 0 else ""
    raise RunUnfinished(f"the supervisor ended{signal} before the run had begun")

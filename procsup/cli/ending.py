"""Turns the result or exception of a verb into an exit code and one clear message."""

import os
from typing import Any, Callable, Dict, List

from procsup.console.terminal import ReaderGone, give_up_stdout, write_stderr, write_stdout
from procsup.errors import ProcsupError, RecordError, RunFileError
from procsup.host.files import describe_error
from procsup.host.signals import INTERRUPT, die_by

DEBUG = "PROCSUP_DEBUG"


def settle(work: Callable[[], int], *, as_json: Callable[[], bool], said_here: bool = True) -> int:
    """Do the work and return its exit code; an exception becomes a message and, as JSON, data.

    Without `said_here` no message is written for errors that are complete in the data.
    """
    try:
        return work()
    except KeyboardInterrupt:
        die_by(INTERRUPT)  # so that a shell loop around us stops too
    except (ReaderGone, BrokenPipeError):
        give_up_stdout()
        return 0
    except ProcsupError as error:
        return _fail(error, as_json=as_json(), said_here=said_here)
    except OSError as error:
        _show_trace()
        return _fail(RecordError(_describe_refusal(error)), as_json=as_json())
    except Exception as error:  # noqa: BLE001  the last wall: a user never meets a bare traceback
        _show_trace()
        return _fail(ProcsupError(_describe_internal(error)), as_json=as_json())


def _fail(error: ProcsupError, *, as_json: bool, said_here: bool = True) -> int:
    if said_here:
        write_stderr(*_format_message(error))
    if as_json:
        _write_error(error)
    return error.exit_code


def _format_message(error: ProcsupError) -> List[str]:
    if isinstance(error, RunFileError):
        return [f"procsup: {problem}" for problem in error.problems]
    lines = str(error).split("\n")
    return [f"procsup: {lines[0]}", *lines[1:]]


def _write_error(error: ProcsupError) -> None:
    from procsup.report.tables import format_json

    body: Dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, RunFileError):
        body["problems"] = list(error.problems)
    body["exit_code"] = error.exit_code
    try:
        write_stdout(format_json({"error": body}))
    except (ReaderGone, RecordError):  # stderr has the message, and the exit code shows it, too
        pass


def _describe_refusal(error: OSError) -> str:
    said = describe_error(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {said}"
    place, trace = "", error.__traceback__
    while trace is not None:  # our innermost frame shows where the fault is
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("procsup."):
            place = f" (in {module}, {trace.tb_frame.f_code.co_name})"
        trace = trace.tb_next
    return f"the system refused a call that procsup needs: {said}{place}"


def _describe_internal(error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"
    if os.environ.get(DEBUG):
        return f"internal error: {said}"
    return (
        f"internal error: {said}\n"
        f"This is a fault of procsup. Please report it with the output of the same command under"
        f" {DEBUG}=1."
    )


def _show_trace() -> None:
    if os.environ.get(DEBUG):
        import traceback  # loaded only for this

        write_stderr(*traceback.format_exc().rstrip().split("\n"))

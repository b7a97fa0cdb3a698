"""Turns a verb's result or exception into an exit code and one clear message."""

import os
from typing import Any, Dict, List, Sequence, Set

import click

from procsup.cli.group import cli
from procsup.console.terminal import ReaderGone, give_up_stdout, write_stderr, write_stdout
from procsup.errors import ProcsupError, RecordError, RunFileError, UsageError
from procsup.host.files import describe_error
from procsup.host.guard import is_owned
from procsup.host.signals import INTERRUPT, die_by

DEBUG = "PROCSUP_DEBUG"


def carry_out(arguments: Sequence[str]) -> int:
    """Carry out a command line; every exception becomes a message and its exit code."""
    arguments = list(arguments) or ["--help"]
    said_here = not is_owned(arguments)  # that program gets the error and raises it
    try:
        # Not `cli.main`: at a broken pipe it would end a run's verb with exit 1.
        with cli.make_context("procsup", list(arguments)) as context:
            code = cli.invoke(context)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _fail(
            UsageError(_describe_usage(error)), as_json=wants_json(arguments), said_here=said_here
        )
    except (click.Abort, KeyboardInterrupt):
        die_by(INTERRUPT)  # a shell loop around us stops too
    except (ReaderGone, BrokenPipeError):
        give_up_stdout()
        return 0
    except ProcsupError as error:
        return _fail(error, as_json=wants_json(arguments), said_here=said_here)
    except OSError as error:
        _show_trace()
        return _fail(RecordError(_describe_refusal(error)), as_json=wants_json(arguments))
    except Exception as error:  # noqa: BLE001  the last wall: a user never meets a bare traceback
        _show_trace()
        return _fail(ProcsupError(_describe_internal(error)), as_json=wants_json(arguments))


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the caller wants JSON: known even if the command line itself is invalid."""
    arguments = list(arguments)
    if arguments[:1] == ["map"]:
        return "--json" in _before_command(arguments[1:])
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]


def _before_command(words: List[str]) -> List[str]:
    """Return the options of `procsup map`: the words after them belong to COMMAND."""
    from procsup.cli.map import command

    valued = {
        name
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag
        for name in option.opts
    }
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "--"):
        at += 2 if _takes_the_next(words[at], valued) else 1
    return words[:at]


def _takes_the_next(word: str, valued: Set[str]) -> bool:
    """Whether the next word is this option's value; letters may be combined, as in ``-qj 4``."""
    if word.startswith("--"):
        return word in valued
    taking = [at for at, letter in enumerate(word) if f"-{letter}" in valued]
    return bool(taking) and taking[0] == len(word) - 1


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
    from procsup.report.tables import json_text

    body: Dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, RunFileError):
        body["problems"] = list(error.problems)
    body["exit_code"] = error.exit_code
    try:
        write_stdout(json_text({"error": body}))
    except (ReaderGone, RecordError):  # stderr has the message, and the exit code shows it, too
        pass


def _describe_usage(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if isinstance(context, click.Context):
        return f"{message}\n(see: {context.command_path} --help)"
    return message


def _describe_refusal(error: OSError) -> str:
    said = describe_error(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {said}"
    place, trace = "", error.__traceback__
    while trace is not None:  # our innermost frame names the fault
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith("procsup."):
            place = f" (in {module}, {trace.tb_frame.f_code.co_name})"
        trace = trace.tb_next
    return f"the system refuses what the run cannot do without: {said}{place}"


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

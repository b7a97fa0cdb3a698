"""A run in this process: what is shown while it lasts, its last words and its exit code."""

import time
from typing import TYPE_CHECKING, Callable, List, Optional

from procsup.cli.detached import announce_ready
from procsup.cli.options import path_from_here, word_for
from procsup.cli.run_options import Options
from procsup.console.choose import watcher_for
from procsup.console.terminal import ReaderGone, write_stderr, write_stdout
from procsup.core.text import quote_word
from procsup.errors import RecordError, RunFailed, RunUnfinished, UsageError
from procsup.host.signals import BROKEN_PIPE, die_by
from procsup.supervisor.requests import Ending, Opening, Request

if TYPE_CHECKING:  # only `procsup map` uses it
    from procsup.console.grouped import GroupedOutput
    from procsup.interfaces import Watcher


def bring_to_completion(
    options: Options,
    request: Request,
    *,
    announce: bool = False,
    printers: Optional[Callable[[Opening], "GroupedOutput"]] = None,
) -> int:
    """Run here, in this process; return the exit code, or die by the signal that ended the run.

    `printers` makes the watchers that print the output of units instead of a display of the run.
    """
    from procsup.supervisor import session

    begun = time.monotonic()
    openings: List[Opening] = []
    printing: List[GroupedOutput] = []

    def open_watcher(opening: Opening) -> "Watcher":
        openings.append(opening)
        if not options.quiet:
            first = [opening.first_line] if printers is None else []
            write_stderr(*first, *opening.notes)
        if printers is not None:
            printing.append(printers(opening))
            return printing[0]
        return watcher_for("none" if options.quiet else options.progress, opening.summary)

    ending = session.bring_to_completion(
        request, watchers=open_watcher, on_ready=announce_ready if announce else None
    )
    code = _exit_code(ending)
    for printer in printing:
        code = _finish_output(printer, code)
    code = _tell_end(openings[0], ending, options, code, time.monotonic() - begun)
    if ending.signum is not None and ending.status is None:
        die_by(ending.signum)
    return code


def _tell_end(opening: Opening, ending: Ending, options: Options, code: int, took_s: float) -> int:
    """Report how it ended; return the exit code, 74 if stdout could not be written."""
    try:
        if not options.quiet or code != 0:
            write_stderr(*_last_words(opening, ending, options, took_s))
        about_words = ending.complaint if ending.status is not None else ""
        if about_words or ending.doubt:
            write_stderr(f"procsup: {about_words or ending.doubt}")
        if options.as_json:
            _write_ending(opening, ending, code)
    except ReaderGone:
        pass  # the stream is closed: exit code and manifest have the result
    except RecordError as error:
        write_stderr(f"procsup: {error}")
        return RecordError.exit_code
    except Exception as error:  # noqa: BLE001 - a failed display does not change the result
        write_stderr(f"procsup: cannot show the end: {type(error).__name__}: {error}")
    return code


def _finish_output(printer: "GroupedOutput", code: int) -> int:
    """Wait until the output of units is printed; die by SIGPIPE if it has no reader any more."""
    printer.finish()
    if printer.gone:
        die_by(BROKEN_PIPE)
    if printer.problem:
        write_stderr(f"procsup: {printer.problem}: the output of units is in its log files")
        return RecordError.exit_code
    return code


def _exit_code(ending: Ending) -> int:
    if ending.complaint:
        return UsageError.exit_code
    if ending.status is None:
        return RunUnfinished.exit_code
    return 0 if ending.status == "succeeded" else RunFailed.exit_code


def _last_words(opening: Opening, ending: Ending, options: Options, took_s: float) -> List[str]:
    from procsup.report.ending import Commands, ending_lines

    path = ending.manifest_path
    shown = ending._replace(manifest_path=None if path is None else path_from_here(path))
    commands = Commands(_format_again(options, opening), word_for(ending.directory))
    return ending_lines(opening.spec.name, shown, took_s, commands)


def _format_again(options: Options, opening: Opening) -> str:
    """Return the arguments of `procsup run` that continue this run."""
    if options.file == "-":  # a plan that was read from stdin, and is in the run directory now
        return quote_word(path_from_here(opening.spec.file or ""))
    words = [] if options.file == "procsup.toml" else [options.file]
    words += [f"--var={name}={value}" for name, value in options.variables.items()]
    if options.directory is not None:
        words.append(f"--dir={options.directory}")
    return " ".join(map(quote_word, words))


def _write_ending(opening: Opening, ending: Ending, code: int) -> None:
    from procsup.report.ending import ending_data
    from procsup.report.tables import json_text

    data = {
        "run_id": ending.run_id,
        "name": opening.spec.name,
        "status": ending.status,
        "reason": ending.reason,
        "signal": ending.signum,
        "exit_code": code,
        "directory": ending.directory,
        "manifest_path": ending.manifest_path,
        **ending_data(ending),
    }
    write_stdout(json_text(data))

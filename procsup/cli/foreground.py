"""A run in this process: its display, the report at its end, and its exit code."""

import os
import time
from typing import TYPE_CHECKING, Callable, List, Optional

from msgspec import Struct
from msgspec.structs import replace

from procsup.console.choose import make_watcher
from procsup.console.terminal import ReaderGone, write_stderr, write_stdout
from procsup.core.plan.news import format_stale_lines
from procsup.core.rooted import HOME
from procsup.core.text import quote_word
from procsup.errors import RecordError, RunFailed, RunUnfinished, UsageError
from procsup.host.signals import BROKEN_PIPE, die_by
from procsup.supervisor.requests import Display, Ending, Opening, Request

if TYPE_CHECKING:
    from procsup.interfaces import Printer, Watcher


def bring_to_completion(
    request: Request,
    display: Display,
    *,
    on_ready: Optional[Callable[[Opening], None]] = None,
    printers: Optional[Callable[[Opening], "Printer"]] = None,
    repeat: str = "the same program again",
) -> int:
    """Run here, in this process; return the exit code, or die by the signal that ended the run.

    `printers` makes the watchers that print the output of units and tell who failed, in place of a
    display of the run. `repeat` says what makes a plan again that is not whole.
    """
    from procsup.supervisor import session

    begun = time.monotonic()
    openings: List[Opening] = []
    printing: List[Printer] = []

    def open_watcher(opening: Opening) -> "Watcher":
        openings.append(opening)
        if not display.quiet:
            first = opening.first_line if printers is None else _note_repetition(opening)
            write_stderr(*filter(None, [first]), *opening.notes)
        if printers is not None:
            printing.append(printers(opening))
            return printing[0]
        return make_watcher("none" if display.quiet else display.progress, opening.summary)

    ending = session.bring_to_completion(request, watchers=open_watcher, on_ready=on_ready)
    code = _exit_code(ending)
    for printer in printing:
        code = _finish_output(printer, code)
    took_s = time.monotonic() - begun
    again = repeat if ending.is_plan_open else f"procsup run {_format_again(request, openings[0])}"
    end = _End(openings[0], ending, took_s, again, are_failures_told=printers is not None)
    code = _tell_end(end, display, code)
    if ending.signum is not None and ending.status is None:
        die_by(ending.signum)
    return code


def _note_repetition(opening: Opening) -> str:
    """Say of a `map` that goes on what it keeps; empty of another."""
    return "" if opening.sitting == 1 else f"{opening.spec.name}: {opening.first_line}"


class _End(Struct, frozen=True):
    opening: Opening
    ending: Ending
    took_s: float
    again: str
    are_failures_told: bool  # each when its unit had ended


def _tell_end(end: _End, display: Display, code: int) -> int:
    """Report how it ended; return the exit code, 74 if stdout could not be written."""
    ending = end.ending
    try:
        if not display.silent:
            if display.quiet:  # without `quiet` the first lines have them
                write_stderr(*_list_stale(end))
            _write_last_words(end, quiet=display.quiet and code == 0)
        if display.as_json:
            _write_ending(end.opening, ending, code)
    except ReaderGone:
        pass  # the stream is closed: exit code and manifest show the result
    except RecordError as error:
        write_stderr(f"procsup: {error}")
        return RecordError.exit_code
    except Exception as error:  # noqa: BLE001 - a failed display does not change the result
        write_stderr(f"procsup: cannot show the end: {type(error).__name__}: {error}")
    return code


def _finish_output(printer: "Printer", code: int) -> int:
    """Wait until the output of units is printed; die by SIGPIPE if it has no reader any more."""
    printer.finish()
    if printer.gone:
        die_by(BROKEN_PIPE)
    if printer.problem:
        write_stderr(f"procsup: {printer.problem}: the run's records and log files have it")
        return RecordError.exit_code
    return code


def _exit_code(ending: Ending) -> int:
    if ending.complaint:
        return UsageError.exit_code
    if ending.status is None:
        return RunUnfinished.exit_code
    return 0 if ending.status == "succeeded" else RunFailed.exit_code


def _write_last_words(end: _End, *, quiet: bool) -> None:
    if not quiet:
        write_stderr(*_format_last_words(end))
    about_words = end.ending.complaint if end.ending.status is not None else ""
    if about_words or end.ending.doubt:
        write_stderr(f"procsup: {about_words or end.ending.doubt}")


def _list_stale(end: _End) -> List[str]:
    stages = end.ending.summary.stages.values()
    return format_stale_lines(end.opening.spec, {stage.name: stage.stale for stage in stages})


def _format_last_words(end: _End) -> List[str]:
    from procsup.report.ending import Commands, format_ending

    ending = end.ending
    path = ending.manifest_path
    shown = replace(ending, manifest_path=None if path is None else shorten_to_here(path))
    commands = Commands(end.again, name_run(ending.directory))
    told = end.are_failures_told
    return format_ending(end.opening.spec.name, shown, end.took_s, commands, list_failures=not told)


def _format_again(request: Request, opening: Opening) -> str:
    """Return the arguments of `procsup run` that continue this run."""
    if request.plan is not None:  # it is in the run directory now
        return quote_word(shorten_to_here(opening.spec.file or ""))
    is_retry = request.again is not None  # the records of the run name its directory
    file = os.path.relpath(request.file) if is_retry else request.file
    words = [] if file == "procsup.toml" else [file]
    words += [f"--var={name}={value}" for name, value in request.variables.items()]
    if request.directory is not None and not is_retry:
        words.append(f"--dir={request.directory}")
    return " ".join(map(quote_word, words))


def _write_ending(opening: Opening, ending: Ending, code: int) -> None:
    from procsup.report.ending import make_ending_data
    from procsup.report.tables import format_json

    data = {
        "run_id": ending.run_id,
        "name": opening.spec.name,
        "status": ending.status,
        "reason": ending.complaint or ending.reason,
        "doubt": ending.doubt or None,
        "signal": ending.signum,
        "exit_code": code,
        "directory": ending.directory,
        "manifest_path": ending.manifest_path,
        **make_ending_data(ending),
    }
    write_stdout(format_json(data))


def name_run(directory: str) -> str:
    """Return the shortest name of this run directory on a command line in the current folder."""
    name = os.path.basename(directory)
    try:
        near = find_nearest_runs(os.getcwd())
    except OSError:  # the working directory was removed
        near = None
    if near is not None and os.path.realpath(os.path.join(near, name)) == os.path.realpath(
        directory
    ):
        return quote_word(name)
    return quote_word(shorten_to_here(directory))


def find_nearest_runs(start: str) -> Optional[str]:
    """Return the nearest ``.procsup`` folder from `start` upwards."""
    folder = start
    while True:
        candidate = os.path.join(folder, HOME)
        if os.path.isdir(candidate):
            return candidate
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def shorten_to_here(path: str) -> str:
    """Return the path, relative to the working directory if it is below it."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the working directory was removed, or is on another drive
        return path
    return path if relative.startswith(os.pardir) else relative

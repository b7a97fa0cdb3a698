"""`procsup run`: bring a run file's run to completion."""

import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import click

from procsup.api.requests import Ending, Opening, Request
from procsup.cli.options import exit_codes, json_option, path_from_here, word_for
from procsup.console.choose import PROGRESS, watcher_for
from procsup.console.terminal import ReaderGone, pay, say
from procsup.core.text import visible
from procsup.errors import RecordError, RunFailed, RunUnfinished, UsageError

if TYPE_CHECKING:  # only `procsup map` uses it
    from procsup.console.grouped import GroupedOutput
    from procsup.interfaces import Watcher

_HELP = """Bring a run to completion: start what is to be started, keep what is done.

FILE is the run file, procsup.toml if none is given. A run that was interrupted goes on where it
ended; of a finished one the units run again whose inputs, arguments or outputs have changed.

\b
Examples:
  procsup run
  procsup run survey.toml --var lib=src --jobs 8
  procsup run survey.toml --only measure --only '!mod=abc'
  procsup run survey.toml --dry-run
  procsup run survey.toml --dry-run --graph dot | dot -Tsvg > plan.svg
  procsup run restored/survey.toml --keep-copied
  id=$(procsup run survey.toml --detach) && procsup wait "$id"

Ctrl-C once asks the units to stop and gives them 10 seconds; twice ends them at once.
"""

_CODES = exit_codes(
    _0="all units succeeded",
    _1="finished, some unit did not succeed",
    _2="the command line or the run file is wrong; nothing was started",
    _3="not finished: stopped or drained by a verb, or the guard died",
    _70="internal error",
    _74="journal or manifest could not be written",
    _75="the run directory is in use by a live run",
)
_SIGNAL = "\nEnded by a signal (Ctrl-C), procsup dies by that signal after cleaning up."


class Options(NamedTuple):
    """The command line of `procsup run`."""

    file: str
    variables: Dict[str, str]
    directory: Optional[str]
    jobs: Optional[int]
    fresh: bool
    only: Tuple[str, ...]
    engine: str
    progress: str
    quiet: bool
    as_json: bool
    keep_copied: bool = False

    def arguments(self) -> List[str]:
        """Return an equal command line."""
        words = ["run", "--engine", self.engine, "--progress", self.progress]
        words += [f"--var={name}={value}" for name, value in self.variables.items()]
        words += [f"--only={selector}" for selector in self.only]
        if self.directory is not None:
            words.append(f"--dir={self.directory}")
        if self.jobs is not None:
            words.append(f"--jobs={self.jobs}")
        flags = (
            ("--fresh", self.fresh),
            ("--keep-copied", self.keep_copied),
            ("--quiet", self.quiet),
            ("--json", self.as_json),
        )
        words += [flag for flag, given in flags if given]
        return [*words, "--", self.file]


def _variables(
    _ctx: click.Context, _param: click.Parameter, values: Tuple[str, ...]
) -> Dict[str, str]:
    variables = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{text!r}: expected NAME=VALUE, as in --var lib=src")
        variables[name.strip()] = value
    return variables


@click.command("run", help=_HELP, epilog=_CODES + _SIGNAL)
@click.argument("file", default="procsup.toml", metavar="[FILE]")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", callback=_variables,
              help="A value for a placeholder of the run file; wins over its vars.")  # fmt: skip
@click.option("--dir", "directory", metavar="DIR", help="Where the run directory shall be.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Most units at once.")
@click.option("--fresh", is_flag=True, help="Run all units again, keep none.")
@click.option("--keep-copied", is_flag=True,
              help="In a copied or restored project, keep what is done and intact.")  # fmt: skip
@click.option("--only", multiple=True, metavar="SELECTOR",
              help="Run these UNITs (see `procsup status --help`) only.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what would run and why; write nothing.")
@click.option("--all", "kept_too", is_flag=True, help="With --dry-run: list kept units, too.")
@click.option("--graph", type=click.Choice(["mermaid", "dot"]),
              help="With --dry-run: the stages as a graph, for Mermaid or Graphviz.")  # fmt: skip
@click.option("--detach", is_flag=True,
              help="Return when the run has begun; print DIR@ID for `procsup wait`.")  # fmt: skip
@click.option("--engine", default="local", show_default=True, help="What runs the units.")
@click.option("--progress", type=click.Choice(PROGRESS), default="auto", show_default=True,
              help="Bars on a terminal, else one line per finished unit.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="Say nothing unless something goes wrong.")
@json_option("Print one object about the end on stdout.")
@click.option("--announce", is_flag=True, hidden=True)
@click.option("--owner", type=int, hidden=True, help="The process that holds our stdin.")
def command(
    dry_run: bool,
    kept_too: bool,
    graph: Optional[str],
    detach: bool,
    announce: bool,
    owner: Optional[int],
    **given: Any,
) -> int:
    """Take the command line apart and go one of the three ways."""
    options = Options(**given)
    if owner is not None:
        from procsup.cli.hosted import run_for

        return run_for(owner, options, announce=announce)
    if dry_run and detach:
        raise click.UsageError("--dry-run starts nothing that could be detached: leave one out")
    if (kept_too or graph is not None) and not dry_run:
        raise click.UsageError("--all and --graph are about what would run: add --dry-run")
    if graph is not None and options.as_json:
        raise click.UsageError("--graph and --json are two forms of the plan: leave one out")
    if dry_run:
        from procsup.cli.dry import show_plan

        return show_plan(options, kept_too=kept_too, graph=graph)
    if detach:
        from procsup.cli.detached import start

        return start(options)
    return bring_to_completion(options, request_of(options), announce=announce)


def request_of(options: Options) -> Request:
    """Return the request that a command line makes."""
    return Request(
        file=options.file,
        variables=options.variables,
        directory=options.directory,
        jobs=options.jobs,
        fresh=options.fresh,
        keep_copied=options.keep_copied,
        only=options.only,
        engine=options.engine,
    )


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
    from procsup.api import sitting
    from procsup.cli.detached import announce_ready

    begun = time.monotonic()
    openings: List[Opening] = []
    printing: List[GroupedOutput] = []

    def open_watcher(opening: Opening) -> "Watcher":
        openings.append(opening)
        if not options.quiet:
            first = [opening.first_line] if printers is None else []
            say(*map(visible, [*first, *opening.notes]))
        if printers is not None:
            printing.append(printers(opening))
            return printing[0]
        return watcher_for("none" if options.quiet else options.progress, opening.summary)

    ending = sitting.bring_to_completion(
        request, watchers=open_watcher, on_ready=announce_ready if announce else None
    )
    code = _exit_code(ending)
    for printer in printing:
        code = _finished(printer, code)
    code = _tell_end(openings[0], ending, options, code, time.monotonic() - begun)
    if ending.signum is not None and ending.status is None:
        from procsup.host.interrupts import die_by

        die_by(ending.signum)
    return code


def _tell_end(opening: Opening, ending: Ending, options: Options, code: int, took_s: float) -> int:
    """Report how it ended; return the exit code, 74 if stdout could not be written."""
    try:
        if not options.quiet or code != 0:
            say(*_last_words(opening, ending, options, took_s))
        if ending.complaint and ending.status is not None:
            say(f"procsup: {visible(ending.complaint)}")
        if options.as_json:
            _pay_ending(opening, ending, code)
    except ReaderGone:
        pass  # the stream is closed: exit code and manifest have the result
    except RecordError as error:
        say(f"procsup: {visible(str(error))}")
        return RecordError.exit_code
    except Exception as error:  # noqa: BLE001 - what is final stays so, whatever is said of it
        say(f"procsup: cannot show the end: {visible(f'{type(error).__name__}: {error}')}")
    return code


def _finished(printer: "GroupedOutput", code: int) -> int:
    """Wait until the output of units is printed; die by SIGPIPE if it has no reader any more."""
    printer.finish()
    if printer.gone:
        from procsup.console.grouped import SIGPIPE
        from procsup.host.interrupts import die_by

        die_by(SIGPIPE)
    if printer.problem:
        say(f"procsup: {visible(printer.problem)}: the output of units is in its log files")
        return RecordError.exit_code
    return code


def _exit_code(ending: Ending) -> int:
    if ending.complaint:
        return UsageError.exit_code
    if ending.status is None:
        return RunUnfinished.exit_code
    return 0 if ending.status == "succeeded" else RunFailed.exit_code


def _last_words(opening: Opening, ending: Ending, options: Options, took_s: float) -> List[str]:
    from procsup.report.ending import Close, Commands, ending_lines

    path = ending.manifest_path
    close = Close(
        name=opening.spec.name,
        status=ending.status,
        reason=ending.reason,
        summary=ending.summary,
        failures=ending.failures,
        failed_total=ending.failed_total,
        directory=ending.directory,
        manifest_path=None if path is None else path_from_here(path),
        took_s=took_s,
    )
    return ending_lines(
        close, Commands(_again(options, opening), visible(word_for(ending.directory)))
    )


def _again(options: Options, opening: Opening) -> str:
    """Return the arguments of `procsup run` that continue this run."""
    from shlex import quote

    if options.file == "-":  # a plan that was read from stdin, and is in the run directory now
        return visible(quote(path_from_here(opening.spec.file or "")))
    words = [] if options.file == "procsup.toml" else [options.file]
    words += [f"--var={name}={value}" for name, value in options.variables.items()]
    if options.directory is not None:
        words.append(f"--dir={options.directory}")
    return " ".join(visible(quote(word)) for word in words)


def _pay_ending(opening: Opening, ending: Ending, code: int) -> None:
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
        **ending_data(ending.summary, ending.failures, ending.failed_total),
    }
    pay(json_text(data))

"""`procsup map`: one child per input, as with xargs and GNU Parallel."""

import os
import time
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import click

from procsup.cli.foreground import bring_to_completion
from procsup.cli.map_again import Line, find_before
from procsup.cli.map_inputs import STDIN, Origin, find_glob, open_inputs, split
from procsup.cli.map_job import Job, MapOptions, make_job
from procsup.cli.map_output import choose_printer
from procsup.cli.map_pipe import CURES, Parts, make_piped_job, open_parts, open_with
from procsup.cli.map_results import open_results, write_results
from procsup.cli.map_run_file import format_run_file
from procsup.cli.options import add_json, exit_codes
from procsup.console.terminal import write_stdout
from procsup.errors import ProcsupError
from procsup.host.folders import get_current_folder
from procsup.host.names import find_program
from procsup.host.threads import try_start_thread
from procsup.runfile.plan import (
    KEEP_LAST,
    Head,
    LineQueue,
    PlanText,
    check_name,
    encode,
    end_line,
)
from procsup.supervisor.requests import Display, Request

_STAGE = "map"
_SIGNAL_COMES_S = 0.05

_HELP = """Run COMMAND once for each INPUT, as many at once as the machine allows.

\b
Inputs stand behind COMMAND, or come by stdin, one a line (empty lines are left out):
  ::: INPUT...    these; several ::: are combined, each with each
  :::: FILE...    the lines of files (- is stdin)
  :::+ ::::+      as these two, but side by side with the source before
\b
In COMMAND, anywhere in an argument and as often as wanted, stands
  {}              for the input; where no placeholder stands, it is put behind
  {.} {/} {//} {/.}   for it without suffix, its name, its folder, its name without suffix
  {1} {2/.} {-1}  for that of one source or column; {name} with --header
  {.stem} {.name} {.suffix} {.parent}  for its parts as in a run file
  {#} {%}         for the number of the unit, and of its slot
Other groups in braces that look like one ({foo}) are refused. Options of procsup stand before
COMMAND: what follows it is COMMAND's. No shell is involved, but with --shell.

\b
Examples:
  procsup map gzip -9 ::: *.txt
  procsup map convert {} {.}.webp ::: *.png
  procsup map --glob 'data/*.csv' clean.py
  procsup map --shell 'sort <{} | uniq -c >out/{/}' ::: in/*
  procsup map --header : --colsep '\\t' fetch --to {city} {url} :::: list.tsv
  procsup map --pipe --block 10M -k grep -c panic < all.log
  find . -name '*.log' -print0 | procsup map -0 -X -j4 grep -l panic
  procsup map --outputs {.}.webp convert {} {.}.webp ::: *.png
  procsup map --retries 3 --name fetch curl -fsSO < urls.txt
  procsup map --as-run-file convert {} {.}.webp ::: *.png > procsup.toml

Everything is recorded as by `procsup run`: under a --name, `procsup status NAME` and
`procsup logs NAME --failed` tell of it, and without one `last` is the name. With --name, --outputs
or --resume the same line again runs only what has not succeeded. What differs from GNU Parallel
and xargs: `procsup help mapping`.
"""

_CODES = exit_codes(
    _0="all units succeeded, or as many as --halt asks for",
    _1="finished, some unit did not succeed",
    _2="the command line or an input is wrong; nothing was started",
    _3="not finished: stopped or drained by a verb, or the guard died",
    _70="internal error",
    _74="records or stdout could not be written",
    _75="the run directory is in use by a live run",
)
_SIGNAL = "\nEnded by a signal (Ctrl-C), or by a closed stdout (SIGPIPE), it dies by that."


class _Command(click.Command):
    def parse_args(self, context: click.Context, words: List[str]) -> List[str]:
        """Parse the words; of an option of GNU Parallel that is not there, say what does it."""
        try:
            return super().parse_args(context, words)
        except click.NoSuchOption as error:
            cure = CURES.get(error.option_name)
            if cure is None:
                raise
            raise click.UsageError(f"{error.option_name} is not there: {cure}") from None


@click.command(
    "map",
    cls=_Command,
    help=_HELP,
    epilog=_CODES + _SIGNAL,
    context_settings={"allow_interspersed_args": False},
)
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND... [::: INPUT...]", required=False
)
@click.option("--shell", is_flag=True, help="COMMAND is text for a shell, which quotes inputs.")
@click.option("--arg-file", "-a", "files", multiple=True, metavar="FILE", help="As :::: FILE.")
@click.option("--glob", metavar="PATTERN", help="The files that match are inputs.")
@click.option("--null", "-0", is_flag=True, help="Inputs in files end with NUL.")
@click.option("--delimiter", "-d", metavar="TEXT", help="They end with this, such as , or \\t.")
@click.option("--no-run-if-empty", "-r", is_flag=True, help="Leave out empty inputs, wherever.")
@click.option("--colsep", "-C", metavar="REGEX", help="Divide each input into columns.")
@click.option("--csv", is_flag=True, help="Inputs are rows of a CSV (--colsep: its delimiter).")
@click.option("--header", type=click.Choice([":"]), help="First inputs name the columns.")
@click.option("--link", is_flag=True, help="Sources side by side; short ones begin again.")
@click.option(
    "--max-args", "-n", "most", type=click.IntRange(min=0), help="Up to N inputs for each unit."
)
@click.option(
    "--max-replace-args",
    "-N",
    "most_in_place",
    type=click.IntRange(min=0),
    help="So many, as {1}, {2}...; repeats the word around {}.",
)
@click.option("-X", "spread", is_flag=True, help="As many inputs as fit, spread over the slots.")
@click.option("--xargs", is_flag=True, help="As many inputs as fit.")
@click.option("-I", "replacement", default="{}", metavar="TEXT", help="This in place of {}.")
@click.option("--pipe", is_flag=True, help="Divide stdin among the stdins of units, by lines.")
@click.option("--block", metavar="SIZE", help="With --pipe: lines of about so many bytes; or -N.")
@click.option("--plus", is_flag=True, help="More placeholders: {..} {+/} {+.} {##} and so on.")
@click.option(
    "--jobs", "-j", "-P", metavar="N", help="Most units at once: 4, 200%, +2, -1; 0: all."
)
@click.option("--name", metavar="NAME", help="The run's name; by default one of its own.")
@click.option("--dir", "directory", metavar="DIR", help="Where the run directory is made.")
@click.option("--halt", metavar="WHEN,WHY", help="now|soon,fail|success|done=N|N%: see the page.")
@click.option("--joblog", metavar="FILE", help="A table of the units as GNU Parallel writes it.")
@click.option("--results", metavar="DIR", help="Copies of what each unit writes, by its inputs.")
@click.option("--outputs", multiple=True, metavar="PATH", help="A file that each unit must make.")
@click.option("--resume", is_flag=True, help="Take up the last unnamed run of this line.")
@click.option("--fresh", is_flag=True, help="Run all units again, keep none.")
@click.option("--keep-order", "-k", is_flag=True, help="Pass on output in the order of inputs.")
@click.option("--line-buffer", "--lb", is_flag=True, help="Pass on whole lines as they come.")
@click.option("--tag", is_flag=True, help="The unit's inputs and a tab before each line.")
@click.option("--no-output", is_flag=True, help="Pass on no output: it is in the logs.")
@click.option("--bar", is_flag=True, help="A bar on stderr, even if that is no terminal.")
@click.option("--timeout", metavar="TIME", help="Wall time of a unit: 90s, 10m, 200% (of median).")
@click.option("--delay", metavar="TIME", help="Pause between two starts.")
@click.option("--memfree", metavar="SIZE", help="Start no more while less memory is free.")
@click.option("--load", metavar="N", help="Start no more while so many threads run: 4, 100%.")
@click.option("--retries", type=click.IntRange(min=1), help="Tries of a unit, in all.")
@click.option("--dry-run", is_flag=True, help="Print the commands; start nothing.")
@click.option("--as-run-file", is_flag=True, help="Print a run file that does the same.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing unless something goes wrong.")
@add_json("Print one object about the end on stdout, and no output of units.")
def command(words: Tuple[str, ...], **given: Any) -> int:
    """Make a plan of the command line and run it."""
    options = MapOptions(**given)
    written, origins = split(words)
    check_command(written, options)
    if options.name is not None:
        check_name(options.name)
    parts = open_parts(options, origins)
    if parts is None:
        inputs = open_inputs(list_origins(options, origins), options.shape)
        job = make_job(written, inputs, options)
    else:
        job = make_piped_job(written, parts, options)
    if options.dry_run:
        write_stdout(*(job.show(values) for values in job.units))
        return 0
    if options.as_run_file:
        write_stdout(*format_run_file(options, job))
        return 0
    return _run(options, job, Line.of(options, written, origins), parts)


def check_command(written: Sequence[str], options: MapOptions) -> None:
    """Refuse a command line that has no command, or one in a single word."""
    if options.shell:
        return
    if not written:
        raise click.UsageError(
            "there is no command: write it before the inputs, or --shell if the inputs are commands"
            " (procsup map --shell ::: 'echo a' 'echo b')"
        )
    first = written[0]
    if any(map(str.isspace, first)) and not os.path.exists(first) and find_program(first) is None:
        raise click.UsageError(
            f"the program {first!r} is not found, and it is one text with blanks in it: write the"
            " program and its arguments as words, or --shell before the text"
        )


def list_origins(options: MapOptions, behind: Sequence[Origin]) -> List[Origin]:
    """Return the sources: files of ``-a``, a glob, those behind the command; else stdin."""
    files = [Origin(path=path) for path in options.files]
    found = [] if options.glob is None else [find_glob(options.glob)]
    return [*files, *found, *behind] or [Origin(path=STDIN)]


def _run(options: MapOptions, job: Job, line: Line, parts: Optional[Parts]) -> int:
    results = open_results(options)
    named = options.name is not None
    before = find_before(options, line)
    name = options.name or before or line.make_name()
    program = {} if job.script is None else {"script": job.script}
    head = Head(name, get_current_folder(), _STAGE, options.make_settings(job.jobs), program, named)
    plan, keep_last = _make_plan(head, job), None if named else KEEP_LAST
    request = Request(
        directory=options.directory,
        fresh=options.fresh or not (named or before),
        plan=plan,
        keep_last=keep_last,
        goes_on=named or before is not None,
        name_if_busy=None if named or options.resume else line.make_name(),
    )
    display = Display("none", options.quiet, options.as_json)
    return bring_to_completion(
        request,
        display,
        printers=open_with(parts, write_results(results, job, choose_printer(options))),
        repeat="the same line again" if named else "the same line again, with --resume",
    )


def _make_plan(head: Head, job: Job) -> PlanText:
    """Return a plan that is whole, or one that grows if its inputs may come late or be many."""
    rest = LineQueue(_make_lines(job), is_sure=False)

    def read() -> None:
        rest.fill()

    is_read = not job.is_short and try_start_thread(read, "procsup-inputs") is not None
    if not is_read and job.take_part is not None:
        raise ProcsupError("no thread can be started to read stdin: end other programs first")
    if not is_read:
        return PlanText(head, list(map(encode, job.make_tables())))
    return PlanText(head, [], rest)


def _make_lines(job: Job) -> Iterator[bytes]:
    count = 0
    for table in job.make_tables():
        yield encode(table)
        count += 1
    # Ctrl-C ends the program that makes the inputs, too: the signal must be here before their end.
    time.sleep(_SIGNAL_COMES_S)
    yield end_line(count)

"""`procsup map`: one child per input, as with xargs and GNU Parallel."""

import os
import sys
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import click

from procsup.cli.foreground import bring_to_completion
from procsup.cli.options import add_json, exit_codes
from procsup.console.grouped import GroupedOutput
from procsup.console.terminal import is_terminal, write_stderr, write_stdout
from procsup.core.regexes import compile_at_use
from procsup.core.text import quote_word
from procsup.host.folders import get_current_folder
from procsup.runfile.plan import (
    KEEP_LAST,
    Head,
    PlanText,
    check_name,
    encode,
    make_own_name,
)
from procsup.runfile.units.tables import Names
from procsup.store.control import ask
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import Display, Opening, Request

_STAGE = "map"
_SEPARATOR = ":::"
# Not ${HOME}, {{.Name}}, {"a": 1}, {a,b}, { print; }, {:a;n;ba}, nor the ranges of a shell.
_GROUP = compile_at_use(
    r"(?<![${])\{[^\s{}\"'$,:;()<>|&\\*?\[\]`]+\}(?!\})"
    r"|(?<![${])\{=[^{}]*=\}"
    r"|(?<![${])\{\d*(![rsa])?:[^\s{}\"';]*\}"  # as Python formats a number: {:04d}
)
_RANGE = compile_at_use(r"\{-?\w+\.\.-?\w+(\.\.-?\d+)?\}")

_HELP = """Run COMMAND once for each INPUT, as many at once as the machine allows.

In COMMAND {} stands for the input, anywhere in an argument and as often as wanted; where it
stands nowhere, the input is put behind. Other groups in braces ({.}, {1}) are refused. Inputs
follow after ::: or come by stdin, one a line (empty lines are left out). What a unit wrote is
passed on when it has ended, never mixed with that of another. Options of procsup stand before
COMMAND: what follows it is COMMAND's.

\b
Examples:
  procsup map gzip -9 ::: *.txt
  ls *.png | procsup map -j4 --timeout 1m convert {} {}.webp
  procsup map --retries 2 --name fetch curl -fsSO < urls.txt
  procsup map --dry-run sh -c 'wc -l < "$1"' count {} ::: a b

Everything is recorded as by `procsup run`: under a --name, `procsup status NAME` and
`procsup logs NAME --failed` tell of it, and without one `last` is the name. An interrupted run
goes on with `procsup run .procsup/NAME/plan.jsonl`.
"""

_CODES = exit_codes(
    _0="all units succeeded",
    _1="finished, some unit did not succeed",
    _2="the command line is wrong; nothing was started",
    _3="not finished: stopped or drained by a verb, or the guard died",
    _70="internal error",
    _74="records or stdout could not be written",
    _75="the run directory is in use by a live run",
)
_SIGNAL = "\nEnded by a signal (Ctrl-C), or by a closed stdout (SIGPIPE), it dies by that."


class MapOptions(NamedTuple):
    """The options of `procsup map`."""

    jobs: Optional[int]
    name: Optional[str]
    directory: Optional[str]
    keep_order: bool
    timeout: Optional[str]
    retries: Optional[int]
    dry_run: bool
    quiet: bool
    as_json: bool

    def make_settings(self) -> Dict[str, Any]:
        """Return the options that become settings of the plan."""
        given = {"jobs": self.jobs, "timeout": self.timeout, "retries": self.retries}
        return {key: value for key, value in given.items() if value is not None}


@click.command(
    "map",
    help=_HELP,
    epilog=_CODES + _SIGNAL,
    context_settings={"allow_interspersed_args": False},
)
@click.argument(
    "words", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND... [::: INPUT...]", required=True
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Most units at once.")
@click.option("--name", metavar="NAME", help="The run's name; by default one of its own.")
@click.option("--dir", "directory", metavar="DIR", help="Where the run directory is made.")
@click.option("--keep-order", "-k", is_flag=True, help="Pass on output in the order of inputs.")
@click.option("--timeout", metavar="TIME", help="Wall time of a unit, such as 90s or 10m.")
@click.option("--retries", type=click.IntRange(min=0), help="Further tries of what failed.")
@click.option("--dry-run", is_flag=True, help="Print the commands; start nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing unless something goes wrong.")
@add_json("Print one object about the end on stdout, and no output of units.")
def command(words: Tuple[str, ...], **given: Any) -> int:
    """Make a plan of the command line and run it."""
    options = MapOptions(**given)
    argv, inputs = split(words)
    refuse_groups(argv)
    if options.dry_run:
        write_stdout(*(_show_command(fill_in(argv, text)) for text in inputs))
        return 0
    if options.name is not None:
        check_name(options.name)
    return _run(options, argv, inputs)


def split(words: Sequence[str]) -> Tuple[List[str], Iterable[str]]:
    """Return the command, and its inputs: those after ``:::``, or the lines of stdin."""
    if _SEPARATOR not in words:
        return list(words), read_lines_of_stdin()
    at = words.index(_SEPARATOR)
    argv, inputs = list(words[:at]), words[at + 1 :]
    if not argv:
        raise click.UsageError("nothing stands before :::, expected a command")
    if _SEPARATOR in inputs:
        raise click.UsageError("expected one :::, and one list of inputs behind it")
    return argv, inputs


def refuse_groups(argv: Sequence[str]) -> None:
    """Refuse a word that looks like a placeholder but is not: no input would replace it."""
    for word in argv:
        for match in _GROUP.finditer(word):
            if _RANGE.fullmatch(match.group()) is None:
                group = match.group()
                raise click.UsageError(
                    f"{group} in {word!r} is no placeholder of map, which knows {{}} only."
                    "\nTo make a name from the input, use a shell:"
                    """ sh -c 'convert "$1" "${1%.*}.jpg"' x {}."""
                    "\nTo pass braces on as they stand, put a blank in them ({ print }), or"
                    " write {3,3} for {3} in a regular expression."
                )


def read_lines_of_stdin() -> Iterator[str]:
    """Yield the lines of stdin that are not empty."""
    if sys.stdin is None:
        return
    if is_terminal(sys.stdin):
        write_stderr("procsup map: inputs come from here, one a line; Ctrl-D ends them")
    for line in sys.stdin.buffer:
        text = os.fsdecode(line).rstrip("\r\n" if os.linesep == "\r\n" else "\n")
        if text:
            yield text


def fill_in(argv: Sequence[str], text: str) -> List[str]:
    """Return the command of one input."""
    if not any("{}" in word for word in argv):
        return [*argv, text]
    return [word.replace("{}", text) for word in argv]


def _show_command(argv: Sequence[str]) -> str:
    return " ".join(map(quote_word, argv))


def _run(options: MapOptions, argv: Sequence[str], inputs: Iterable[str]) -> int:
    names, order, lines = Names(), {}, []
    for place, text in enumerate(inputs):
        own = names.of(text)
        order[f"{_STAGE}/{own}"] = place
        table = {"argv": fill_in(argv, text), "id": own, "parameters": {"input": text}}
        lines.append(encode(table))
    name = options.name or make_own_name(_STAGE)
    named = options.name is not None
    head = Head(name, get_current_folder(), _STAGE, options.make_settings(), {}, named)
    plan, keep_last = PlanText(head, lines), None if named else KEEP_LAST
    request = Request(directory=options.directory, fresh=True, plan=plan, keep_last=keep_last)
    display = Display("none", options.quiet, options.as_json)
    printers = None if options.as_json else _make_printer(order if options.keep_order else None)
    return bring_to_completion(request, display, printers=printers)


def _make_printer(order: Optional[Dict[str, int]]) -> Any:
    def make_printer(opening: Opening) -> GroupedOutput:
        def stop() -> None:
            ask(RunDir(opening.directory), "stop", None)

        return GroupedOutput(opening.directory, stop, order=order)

    return make_printer

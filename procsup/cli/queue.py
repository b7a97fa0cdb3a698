"""`procsup queue`: a run that stays open, to which commands are added from anywhere."""

import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

import click

from procsup.cli.detached import start as start_run
from procsup.cli.options import add_json, exit_codes, take_options
from procsup.console.terminal import write_stderr, write_stdout
from procsup.core.text import count_noun, quote_word
from procsup.errors import UsageError
from procsup.host.default_python import choose_python
from procsup.host.folders import get_current_folder
from procsup.host.names import find_program, find_script, is_bare_name
from procsup.host.shells import get_native_shell
from procsup.queries.view import RunView, find_to_execute
from procsup.report.tables import format_json
from procsup.runfile.plan import PLAN_FILE, Head, check_name, read_plan_head
from procsup.runfile.stages.environment import read_fixed_env
from procsup.runfile.syntax.problems import Wrong, show_path
from procsup.runfile.units.tables import MOST_PRIORITY
from procsup.store.find import find_queue_home, format_queue_start
from procsup.store.queue_file import STAGE, add_unit, close_queue, is_closed, is_queue
from procsup.store.rundir import RunDir
from procsup.supervisor.requests import Display, Request

# What decides which programs are found, and how they speak. Others are not written to the disk.
_TRAVELS = (
    *("PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYTHONPATH"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ"),
)

_HELP = """Keep a run open, and add commands to it from anywhere.

\b
Examples:
  procsup queue start night -j2        it goes on in the background, without this terminal
  procsup queue add night make -C app  prints an id, such as 1
  procsup queue add --after 1 night ./deploy.sh
  procsup queue add --priority 5 night python report.py
  procsup wait night 1                 until that command has ended
  procsup queue close night            no more commands
  procsup wait night                   until all have ended

A queue is a run like all others: `procsup status`, `logs`, `stop` and `retry` know it by its name,
from any folder. After a new start of the machine `procsup queue start NAME` goes on with it:
commands that had ended keep their verdicts. More: `procsup help queueing`.
"""


class _Adding(click.Command):
    """A command whose options stand before or behind its first argument."""

    def parse_args(self, ctx: click.Context, args: List[str]) -> List[str]:
        """Parse the arguments."""
        before = take_options(self, args)
        name, rest = args[len(before) : len(before) + 1], args[len(before) + 1 :]
        behind = take_options(self, rest)
        words = rest[len(behind) :]
        words = words[1:] if words[:1] == ["--"] else words
        return super().parse_args(ctx, [*before, *behind, *name, *words])


@click.group(
    "queue",
    help=_HELP,
    epilog=exit_codes(
        _0="it is done",
        _2="the command line is wrong, or there is no such queue",
        _74="its records could not be written or read",
    ),
    no_args_is_help=True,
)
def command() -> None:
    """Call the verb that is named."""


# --- start -------------------------------------------------------------------------------------


_START_HELP = """Open the queue NAME, or go on with it, in the background; print DIR@ID.

Its run is kept in ~/.procsup, with --dir elsewhere: then the other verbs take its path DIR/NAME in
place of its name. Commands that were running when the machine or the supervisor died run again;
those that have a verdict do not, whatever it is. A queue that is open already stays as it is, and
one that was closed with commands left is opened again only when they have ended.

\b
Examples:
  procsup queue start night
  procsup queue start night -j2
"""


@command.command(
    "start",
    help=_START_HELP,
    epilog=exit_codes(
        _0="it is open, or goes on with what it got before it was closed",
        _2="the command line is wrong, or NAME is a run of another kind",
        _3="it was ended before it was open",
        _74="its records could not be written or read",
        _75="another process has its folder",
    ),
)
@click.argument("name", metavar="NAME")
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Most commands at once.")
@click.option("--dir", "directory", metavar="DIR", help="Where its run is kept.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing unless something goes wrong.")
@add_json("Print one object on stdout.")
def start(
    name: str, jobs: Optional[int], directory: Optional[str], quiet: bool, as_json: bool
) -> int:
    """Start its supervisor, unless one works on it."""
    check_name(name)
    home = os.path.abspath(directory or find_queue_home())
    rundir = RunDir(os.path.join(home, name))
    before = _read_head(rundir)
    owner = RunView(rundir).live
    if owner is not None:
        already = " already" if jobs is None else " already, and its -j stays as it was"
        told = _describe_open(rundir, name if directory is None else str(rundir.path), already)
        return _tell_open(rundir, owner.run_id, "" if quiet else told, as_json=as_json)
    settings: Dict[str, Any] = {} if before is None else dict(before.settings)
    if jobs is not None:
        settings["jobs"] = jobs
    return start_run(
        Request(file=name, directory=home, goes_on=True),
        Display("plain", quiet, as_json),
        queue=list(Head(name, home, STAGE, settings, {})),
        told=lambda: _describe_open(rundir, name if directory is None else str(rundir.path)),
    )


def _describe_open(rundir: RunDir, name: str, already: str = "") -> str:
    shown = quote_word(name)
    if is_closed(rundir):
        return (
            f"{name} was closed, and goes on with what it got before; procsup wait {shown}, then"
            " start opens it again"
        )
    return f"{name} is open{already}: procsup queue add {shown} COMMAND..."


def _read_head(rundir: RunDir) -> Optional[Head]:
    """Return the head of its last plan; None if it is new. UsageError if it is no queue."""
    if not os.path.lexists(rundir.path):
        return None
    path = rundir.path / PLAN_FILE
    head = read_plan_head(str(path)) if os.path.lexists(path) else None
    if head is None and not os.path.lexists(rundir.journal):
        return None  # its start failed
    if head is None or not (head.stage == STAGE or is_queue(rundir)):
        raise UsageError(f"{rundir.path} is the run of something else: choose another name")
    return head


def _tell_open(rundir: RunDir, run_id: str, told: str, *, as_json: bool) -> int:
    run = f"{rundir.path}@{run_id}"
    if told:
        write_stderr(told)
    body = {"id": run_id, "directory": str(rundir.path), "run": run}
    write_stdout(format_json(body) if as_json else run)
    return 0


# --- add ---------------------------------------------------------------------------------------


_ADD_HELP = """Add COMMAND to the queue NAME; print its id.

When the id is printed, the command is on the disk: it will run, even if the machine dies now. It
runs in this folder. Of the environment it gets PATH, the active Python environment, the paths of
libraries and the language; all else is that of `procsup queue start`, unless --env names it. A
COMMAND that is a .py file runs in the Python that is active here.

\b
Examples:
  procsup queue add night make -j2
  procsup queue add night --after 1 --after 2 ./merge.sh
  procsup queue add night --shell 'sort big.txt | uniq -c > counts.txt'
  id=$(procsup queue add night python train.py) && procsup wait night "$id"
"""


@command.command(
    "add",
    cls=_Adding,
    help=_ADD_HELP,
    epilog=exit_codes(
        _0="it was added",
        _2="the command line is wrong, or the queue is closed; nothing was added",
        _74="the queue could not be written; stderr says whether the command is in it",
    ),
    context_settings={"allow_interspersed_args": False},
)
@click.argument("name", metavar="NAME")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND...", required=True)
@click.option(
    "--after", type=int, multiple=True, metavar="ID", help="Start once that one has succeeded."
)
@click.option(
    "--priority",
    type=click.IntRange(-MOST_PRIORITY, MOST_PRIORITY),
    default=0,
    metavar="N",
    help="More comes first; 0 without it.",
)
@click.option("--shell", is_flag=True, help="COMMAND is text for a shell.")
@click.option(
    "--env", "variables", multiple=True, metavar="NAME[=VALUE]", help="Pass on this variable, too."
)
@add_json("Print one object in place of the id.")
def add(
    name: str,
    words: Tuple[str, ...],
    after: Tuple[int, ...],
    priority: int,
    shell: bool,
    variables: Tuple[str, ...],
    as_json: bool,
) -> int:
    """Append the command to the file of the queue."""
    rundir = find_queue(name, "add to")
    table: Dict[str, Any] = {
        "argv": _make_argv(words, shell=shell),
        "cwd": get_current_folder(),
        "env": _collect_environment(variables),
    }
    if after:
        table["follows"] = [str(one) for one in dict.fromkeys(after)]
    if priority:
        table["priority"] = priority
    number = add_unit(rundir, lambda number: {"id": str(number), **table}, after)
    if RunView(rundir).live is None:
        write_stderr(f"it waits: no supervisor works on {name} ({format_queue_start(rundir)})")
    body = {"directory": str(rundir.path), "id": number, "unit": f"{STAGE}/{number}"}
    write_stdout(format_json(body) if as_json else str(number))
    return 0


def find_queue(name: str, verb: str) -> RunDir:
    """Return a queue of ours by its name or path; UsageError if there is none."""
    path = name if os.path.basename(name) != name else os.path.join(find_queue_home(), name)
    if not is_queue(RunDir(path)):
        raise UsageError(
            f"there is no queue {name!r} (looked for {path}): `procsup queue start` opens one"
        )
    return find_to_execute(path, ".", verb).rundir


def _make_argv(words: Sequence[str], *, shell: bool) -> List[str]:
    if shell:
        one = get_native_shell()
        return [*one.head, *one.tail(" ".join(words), ())]
    script = find_script(words[0])
    if script is not None:
        return [*choose_python().argv, *words]
    _check_program(words[0])
    return list(words)


def _check_program(program: str) -> None:
    found = find_program(program)
    if found is not None:
        return
    hint = "give its path, or write --shell before a text" if is_bare_name(program) else "mend it"
    raise UsageError(f"the program {program!r} is not found here: {hint}; nothing was added")


def _collect_environment(variables: Sequence[str]) -> Dict[str, str]:
    found = {name: os.environ[name] for name in _TRAVELS if name in os.environ}
    for word in variables:
        name, separator, value = word.partition("=")
        if not separator and name not in os.environ:
            raise UsageError(f"--env {name}: it is not set; set it, or write {name}=VALUE")
        found[name] = value if separator else os.environ[name]
    try:
        return read_fixed_env(found)
    except Wrong as wrong:
        problem = "; ".join(f"{show_path(at)}: {text}" for at, text in wrong.below())
        raise UsageError(f"--env {problem}; nothing was added") from None


# --- close -------------------------------------------------------------------------------------


_CLOSE_HELP = """Close the queue NAME: no more commands. What was added still runs.

When the last one has ended, the run of the queue is final. `procsup queue start` opens it again,
with a new run; ids count on.
"""


@command.command(
    "close",
    help=_CLOSE_HELP,
    epilog=exit_codes(
        _0="it is closed", _2="there is no such queue", _74="it could not be written"
    ),
)
@click.argument("name", metavar="NAME")
@add_json("Print one object on stdout.")
def close(name: str, as_json: bool) -> int:
    """Append the end to the file of the queue."""
    rundir = find_queue(name, "close")
    is_live = RunView(rundir).live is not None  # it may end at once when it is closed
    count = close_queue(rundir)
    if count is None:
        write_stderr(f"{name} was closed before")
    else:
        start = f"it waits: {format_queue_start(rundir)}"
        way = f"procsup wait {quote_word(name)}" if is_live else start
        write_stderr(f"{name} is closed after {count_noun(count, 'command')}; {way}")
    if as_json:
        write_stdout(format_json({"directory": str(rundir.path), "commands": count}))
    return 0

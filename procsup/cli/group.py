"""The command line: the table of verbs, each of which is imported only when it is used."""

import os
from importlib import import_module
from typing import Dict, List, Optional, Sequence, Tuple

import click

from procsup import __version__
from procsup.cli.ending import settle
from procsup.cli.options import take_options
from procsup.console.terminal import write_stdout
from procsup.errors import UsageError
from procsup.host.names import follow_environment

VERBS: Dict[str, Tuple[str, str]] = {
    "run": ("procsup.cli.run", "bring a run to completion"),
    "map": ("procsup.cli.map", "run a command once for each input"),
    "wait": ("procsup.cli.wait", "block until a run is final"),
    "status": ("procsup.cli.status", "what is done, running and failed"),
    "logs": ("procsup.cli.logs", "what units wrote"),
    "explain": ("procsup.cli.explain", "what became of a unit, what holds it, would it run again"),
    "drain": ("procsup.cli.drain", "start nothing more, let what runs finish"),
    "stop": ("procsup.cli.stop", "end a run and every process of it"),
    "retry": ("procsup.cli.retry", "run again what did not succeed, or what is named"),
    "list": ("procsup.cli.list", "the runs of a folder"),
    "verify": ("procsup.cli.verify", "is all still as a final run promised"),
    "prune": ("procsup.cli.prune", "remove runs that are over, or logs"),
    "queue": ("procsup.cli.queue", "a run that stays open: add commands to it from anywhere"),
    "init": ("procsup.cli.init", "write an example run file, with all that it needs"),
    "schema": ("procsup.cli.schema", "the JSON Schema of the run file, for editors"),
    "help": ("procsup.cli.help", "a page of documentation, as procsup help --list names them"),
}

LATER = (
    "report",
    "top",
    "unit",
)

_HELP = """Run many independent processes, and know for certain when they are done.

\b
  procsup run                     bring procsup.toml to completion
  procsup run survey.toml --var lib=src --jobs 8
  procsup wait survey --stage measure && next-step
  procsup status survey           from any terminal
  procsup logs survey --failed
  procsup help tutorial           twenty minutes; procsup help --list: all pages

\b
Exit codes, everywhere the same:
  0    all succeeded
  1    finished, some unit did not succeed
  2    usage or run file
  3    not finished, and no supervisor works on it
  4    finished, but outputs or plan no longer match
  70   internal error
  74   journal, manifest or output could not be written or read
  75   run directory in use by a live run
  124  wait timed out
"""


class Verbs(click.Group):
    """A group that knows the names of its verbs and imports each when it is used."""

    def list_commands(self, ctx: click.Context) -> List[str]:  # noqa: ARG002
        """Return the verbs in the order of typical use."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> Optional[click.Command]:
        """Load a verb; UsageError for an unknown one, with the nearest name."""
        if name not in VERBS:
            if ctx.resilient_parsing:  # a line that is being completed
                return None
            ctx.fail(_describe_unknown(name))
        command = import_module(VERBS[name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs without importing any."""
        with formatter.section("Verbs (each with --help)"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in VERBS.items()])


def _describe_unknown(name: str) -> str:
    if name in LATER:
        return f"{name} is not there yet in this version ({__version__})"
    from procsup.cli.unknown import describe_unknown  # for messages only

    return describe_unknown(name, VERBS)


cli = Verbs(
    "procsup",
    help=_HELP,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=lambda ctx, _param, value: _write_version(ctx, asked=value),
            help="Show the version.",
        )
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)


def _write_version(ctx: click.Context, *, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        write_stdout(f"procsup {__version__}")
        ctx.exit(0)


def carry_out(arguments: Sequence[str]) -> int:
    """Carry out a command line; every exception becomes a message and its exit code."""
    follow_environment()
    instruction = os.environ.get("_PROCSUP_COMPLETE")
    if instruction is not None:
        return settle(lambda: _complete(instruction), as_json=bool)
    arguments = list(arguments) or ["--help"]
    return settle(lambda: _invoke(arguments), as_json=lambda: wants_json(arguments))


def _complete(instruction: str) -> int:
    from procsup.cli.completion import complete

    return complete(cli, instruction)


def _invoke(arguments: List[str]) -> int:
    try:
        # Not `cli.main`: at a broken pipe it would end a run's verb with exit 1.
        with cli.make_context("procsup", list(arguments)) as context:
            code = cli.invoke(context)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        raise UsageError(_describe_usage(error)) from error


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the caller wants JSON; works even if the command line is invalid."""
    arguments = list(arguments)
    if arguments[:1] == ["map"]:
        from procsup.cli.map import command

        return "--json" in take_options(command, arguments[1:])
    if arguments[:2] == ["queue", "add"]:
        from procsup.cli.queue import add

        return "--json" in take_options(add, arguments[2:])
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return "--json" in arguments[:end]


def _describe_usage(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if isinstance(context, click.Context):
        return f"{message}\n(see: {context.command_path} --help)"
    return message

"""`procsup run`: bring a run file's run to completion."""

from typing import Any, Dict, Optional, Tuple

import click

from procsup.cli.detached import start
from procsup.cli.foreground import bring_to_completion
from procsup.cli.options import Planning, add_dry_run, add_json, exit_codes
from procsup.console.choose import PROGRESS
from procsup.supervisor.requests import Display, Request

_HELP = """Bring a run to completion: start what is to be started, keep what is done.

FILE is the run file, procsup.toml if none is given. A run that was interrupted goes on where it
ended. Of a finished run, units run again if their inputs, arguments or outputs have changed.

[2/3+] before a unit: two units of at least three have ended; more become known during the run.

\b
Examples:
  procsup run
  procsup run survey.toml --var lib=src --jobs 8
  procsup run survey.toml --only measure --only '!mod=abc'
  procsup run survey.toml --dry-run
  procsup run survey.toml --dry-run --graph dot | dot -Tsvg > plan.svg
  procsup run restored/survey.toml --adopt
  id=$(procsup run survey.toml --detach) && procsup wait "$id"

Ctrl-C once asks the units to stop and gives them 10 seconds; twice ends them at once.
"""

_CODES = exit_codes(
    _0="all units succeeded",
    _1="finished, some unit did not succeed",
    _2="the command line or the run file is wrong; nothing was started",
    _3="not finished: --only left units open, or it was stopped or drained, or the guard died",
    _70="internal error",
    _74="journal or manifest could not be written",
    _75="the run directory is in use by a live run",
)
_SIGNAL = "\nEnded by a signal (Ctrl-C), procsup dies by that signal after cleaning up."


def _read_variables(
    _ctx: click.Context, _param: click.Parameter, values: Tuple[str, ...]
) -> Dict[str, str]:
    variables = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{text!r}: expected NAME=VALUE, as in --var lib=src")
        variables[name.strip()] = value
    return variables


@click.command("run", cls=Planning, help=_HELP, epilog=_CODES + _SIGNAL)
@click.argument("file", default="procsup.toml", metavar="[FILE]")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", callback=_read_variables,
              help="A value for a placeholder of the run file; wins over its vars.")  # fmt: skip
@click.option("--dir", "directory", metavar="DIR", help="Where the run directory is made.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Most units at once.")
@click.option("--fresh", is_flag=True, help="Run all units again, keep none.")
@click.option("--adopt", is_flag=True,
              help="In a copied or restored project, keep what is done and intact.")  # fmt: skip
@click.option("--only", multiple=True, metavar="SELECTOR",
              help="Run these UNITs (see `procsup status --help`) only.")  # fmt: skip
@add_dry_run("Show what would run and why; write nothing (=static: execute nothing, either).")
@click.option("--all", "kept_too", is_flag=True, help="With --dry-run: list kept units, too.")
@click.option("--graph", type=click.Choice(["mermaid", "dot"]),
              help="With --dry-run: the stages as a graph, for Mermaid or Graphviz.")  # fmt: skip
@click.option("--detach", is_flag=True,
              help="Return when the run has begun; print DIR@ID for `procsup wait`.")  # fmt: skip
@click.option("--engine", default="local", show_default=True, help="What runs the units.")
@click.option("--progress", type=click.Choice(PROGRESS), default="auto", show_default=True,
              help="Bars on a terminal, else one line per finished unit.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="Say nothing unless something goes wrong.")
@add_json("Print one object about the end on stdout.")
def command(
    dry_run: Optional[str],
    kept_too: bool,
    graph: Optional[str],
    detach: bool,
    progress: str,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Make a request of the options; plan it, detach it or run it here."""
    request, display = Request(**given), Display(progress, quiet, as_json)
    if dry_run and detach:
        raise click.UsageError("--dry-run starts nothing that could be detached: leave one out")
    if (kept_too or graph is not None) and not dry_run:
        raise click.UsageError("--all and --graph are about what would run: add --dry-run")
    if graph is not None and as_json:
        raise click.UsageError("--graph and --json are two forms of the plan: leave one out")
    if dry_run:
        from procsup.cli.dry import show_plan

        static = dry_run == "static"
        return show_plan(request, display, kept_too=kept_too, graph=graph, static=static)
    if detach:
        return start(request, display)
    return bring_to_completion(request, display)

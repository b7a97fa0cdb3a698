"""`procsup retry`: run units again: those that did not succeed, or the selected ones."""

from typing import Optional, Tuple

import click

from procsup.attempt import run_here as hand
from procsup.cli.detached import start
from procsup.cli.foreground import bring_to_completion
from procsup.cli.options import (
    RUN_HELP,
    UNITS_HELP,
    Planning,
    add_dry_run,
    add_json,
    exit_codes,
)
from procsup.console.choose import PROGRESS
from procsup.console.terminal import write_stderr, write_stdout
from procsup.host.inherited import get_inherited_environment
from procsup.host.signals import die_by
from procsup.queries import retrying, run_here
from procsup.queries.retrying import Rerun
from procsup.queries.view import find_to_execute
from procsup.report.run_here import format_run_here
from procsup.report.tables import format_json
from procsup.supervisor.requests import Display

_HELP = f"""Run units of a run again: all that did not succeed, or those that are named.

Units that depend on them run after them. All others keep their verdicts, also those that make no
files (`procsup run` would run these again), unless their command or their files have changed. The
run's own file, variables and date are used, and attempts are counted on.

If the run is live, its supervisor is asked: units that have failed go back into the queue, as long
as no unit that depends on them is decided.

--here runs one UNIT in the foreground, in its folder and environment, with this terminal: to look
into a failure. Nothing of it is recorded, and its exit code is the verb's.

{RUN_HELP}
{UNITS_HELP}
\b
Examples:
  procsup retry survey
  procsup retry survey measure/mod=abc 'merge/*'
  procsup retry survey @timed-out
  procsup retry last mod=abc --here
  procsup retry last mod=abc --here --dry-run > again.sh
"""

_CODES = exit_codes(
    _0="all units of the run succeeded (a live one: it is queued again)",
    _1="finished, some unit did not succeed",
    _2="the command line or the run file is wrong, or no such unit; nothing was started",
    _3="not finished: units that were not asked for have no verdict, or it was stopped",
    _74="journal or manifest could not be read or written",
    _75="the run directory is in use, or (--here) the unit runs already",
)


@click.command("retry", cls=Planning, help=_HELP, epilog=_CODES)
@click.argument("run", metavar="RUN")
@click.argument("units", nargs=-1, metavar="[UNIT...]")
@click.option("--here", is_flag=True, help="Run the one UNIT in the foreground, unrecorded.")
@add_dry_run(
    "Show what would run and why (=static: as of `run`); with --here, a line for the shell."
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Most units at once.")
@click.option("--detach", is_flag=True, help="Return when it has begun; print DIR@ID.")
@click.option("--progress", type=click.Choice(PROGRESS), default="auto", show_default=True,
              help="Bars on a terminal, else one line per finished unit.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="Say nothing unless something goes wrong.")
@add_json("Print one object about the end on stdout.")
def command(
    run: str,
    units: Tuple[str, ...],
    here: bool,
    dry_run: Optional[str],
    jobs: Optional[int],
    detach: bool,
    progress: str,
    quiet: bool,
    as_json: bool,
) -> int:
    """Find the run; ask its supervisor, or run the units here."""
    _check(units, here=here, dry_run=bool(dry_run), detach=detach)
    rerun = retrying.read_own_rerun(find_to_execute(run, ".", "retry"))
    if here:
        return _run_here(rerun, units[0], dry_run=bool(dry_run), as_json=as_json)
    if rerun.live is not None and not dry_run:
        return _ask(rerun, units, as_json=as_json)
    if not units and retrying.has_succeeded(rerun):
        return _end_without_work(rerun, as_json=as_json)
    made = retrying.request_for(rerun, units, jobs=jobs)
    display = Display(progress, quiet, as_json)
    if dry_run:
        from procsup.cli.dry import show_plan

        return show_plan(made, display, static=dry_run == "static")
    if detach:
        return start(made, display)
    return bring_to_completion(made, display)


def _check(units: Tuple[str, ...], *, here: bool, dry_run: bool, detach: bool) -> None:
    if here and len(units) != 1:
        raise click.UsageError("--here runs one unit in the foreground: name one UNIT")
    if here and detach:
        raise click.UsageError("--here runs in the foreground: leave --detach out")
    if dry_run and detach:
        raise click.UsageError("--dry-run starts nothing that could be detached: leave one out")


def _end_without_work(rerun: Rerun, *, as_json: bool) -> int:
    message = "all units succeeded: there is nothing to retry (name a UNIT to run it again)"
    write_stderr(f"{rerun.begin.name}: {message}")
    if as_json:
        body = {"run_id": rerun.begin.run_id, "directory": str(rerun.rundir.path)}
        write_stdout(format_json({**body, "status": "succeeded", "message": message}))
    return 0


def _ask(rerun: Rerun, units: Tuple[str, ...], *, as_json: bool) -> int:
    """Ask the live supervisor to queue the units."""
    assert rerun.live is not None
    asked = retrying.ask_to_retry(rerun, rerun.live, units)
    write_stderr(asked.message)
    if as_json:
        body = {"run_id": rerun.live.run_id, "directory": str(rerun.rundir.path)}
        write_stdout(format_json({**body, "message": asked.message}))
    return 0


def _run_here(rerun: Rerun, word: str, *, dry_run: bool, as_json: bool) -> int:
    """Run one unit in the foreground; with `dry_run` print the equal shell line."""
    made = retrying.request_for(rerun, (word,))
    ready = run_here.prepare(rerun, made, word, touch=not dry_run)
    what, unit = ready.by_hand, ready.unit
    here = get_inherited_environment()
    env = what.find_differences(here)
    if as_json:
        body = {"unit": unit.id, "cwd": what.cwd, "argv": list(what.argv), "env": env}
        write_stdout(format_json({**body, "stdin": what.stdin_path, "outputs": ready.outputs}))
    if dry_run:
        if not as_json:
            write_stdout(what.format_shell_line(here))
        return 0
    write_stderr(*format_run_here(ready, env))
    code = hand.run(what)
    if what.scratch is not None and code != 0:
        write_stderr(f"its scratch folder is kept: {what.scratch.path}")
    elif code == 0:
        remark = hand.clear(what)
        write_stderr(*([f"procsup: {remark}"] if remark else []))
    if code < 0:
        write_stderr(f"{unit.id}: ended by signal {-code}")
        die_by(-code)
    return code

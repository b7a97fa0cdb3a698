"""`procsup stop`: end a run and every process of it."""

from typing import Optional, Tuple

import click

from procsup.cli.options import RUN_HELP, UNITS_HELP, add_duration, add_json, exit_codes
from procsup.console.terminal import write_stderr, write_stdout
from procsup.queries.control import stop, stop_dead, stop_units
from procsup.queries.view import RunView, find_own_run
from procsup.store.left_alive import describe_ended
from procsup.store.rundir import RunDir

_HELP = f"""Ask every running unit to end, then force it; return when nothing of the run is left.

What has succeeded stays; `procsup run` goes on from there. If the supervisor was killed, and units
of it still run, they are killed. With UNITs only these are stopped, those that wait are not begun,
and the run goes on: they are cancelled, and units that depend on them are skipped.

{RUN_HELP}
{UNITS_HELP}
\b
Examples:
  procsup stop survey
  procsup stop last --grace 1m
  procsup stop survey mod=abc
  procsup stop survey '@running,wall_s>2h'
"""

_CODES = exit_codes(
    _0="the run has ended (UNIT: they have), and no process of it is left",
    _2="there is no such run or unit",
    _3="no supervisor works on it",
    _124="its supervisor did not answer",
)


@click.command("stop", help=_HELP, epilog=_CODES)
@click.argument("run", metavar="RUN")
@click.argument("units", nargs=-1, metavar="[UNIT]...")
@add_duration("--grace", "From the request to end to the kill; default: that of each stage.")
@add_json("Print an object on stdout when it has ended.")
def command(run: str, units: Tuple[str, ...], grace: Optional[float], as_json: bool) -> int:
    """Find the live supervisor, ask it to stop, and wait for its end."""
    view = find_own_run(run, ".", "stop", root_may=True)
    if view.live is None and not units:
        return _stop_dead(view, as_json=as_json)
    owner = view.require_live("stop")
    if units:
        stop_units(view.rundir, owner, units, grace_s=grace, said=write_stderr)
    else:
        stop(view.rundir, owner, grace_s=grace, said=write_stderr)
        write_stderr(f"run {owner.run_id} has ended")
    if as_json:
        _write_json(owner.run_id, view.rundir)
    return 0


def _stop_dead(view: RunView, *, as_json: bool) -> int:
    """End what a supervisor that was killed left alive."""
    for pid, unit in stop_dead(view):
        write_stderr(describe_ended(pid, unit))
    write_stderr("the supervisor of the run had died; no process of it is left")
    if as_json:
        _write_json(None if view.owner is None else view.owner.run_id, view.rundir)
    return 0


def _write_json(run_id: Optional[str], rundir: RunDir) -> None:
    from procsup.report.tables import format_json

    write_stdout(format_json({"run_id": run_id, "directory": str(rundir.path)}))

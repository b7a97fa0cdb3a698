"""`procsup stop`: end a run and every process of it."""

from typing import Optional, Tuple

import click

from procsup.cli.options import RUN_HELP, UNITS_HELP, add_duration, add_json, exit_codes
from procsup.console.terminal import write_stderr, write_stdout
from procsup.queries.control import stop, stop_units
from procsup.queries.view import find_own_run

_HELP = f"""Ask every running unit to end, then force it; return when nothing of the run is left.

What has succeeded stays; `procsup run` goes on from there. With UNITs only these are stopped, those
that wait are not begun, and the run goes on: they are cancelled, and units that depend on them are
skipped.

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
    owner = view.require_live("stop")
    if units:
        stop_units(view.rundir, owner, units, grace_s=grace, said=write_stderr)
    else:
        stop(view.rundir, owner, grace_s=grace, said=write_stderr)
        write_stderr(f"run {owner.run_id} has ended")
    if as_json:
        from procsup.report.tables import format_json

        write_stdout(format_json({"run_id": owner.run_id, "directory": str(view.rundir.path)}))
    return 0

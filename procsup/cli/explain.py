"""`procsup explain`: the result of a unit, why it waits, what a run would do with it now."""

import os
from itertools import islice
from typing import Tuple

import click

from procsup.cli.options import RUN_HELP, UNITS_HELP, add_json, exit_codes
from procsup.console.terminal import write_stderr, write_stdout
from procsup.queries.explaining import Explainer
from procsup.queries.view import find_run
from procsup.report.explanation import format_explanation, make_explanation_data
from procsup.report.tables import format_json
from procsup.store.copies import describe_copy

_MOST = 20

_HELP = f"""Say of units what became of them, or why they have not started, and what a run would
do with them now, and why: a paragraph each.

Of a run that is live, dead or final. What a run would do is what `procsup run --dry-run` says, with
the run's own variables; nothing is written or started.

Without UNIT, of the units that have not succeeded; if all have, of all.

{RUN_HELP}
{UNITS_HELP}
\b
Examples:
  procsup explain survey
  procsup explain survey measure/mod=abc
  procsup explain last @failed --all
  procsup explain survey measure --json | jq '.units[] | [.id, .held, .detail]'
"""

_CODES = exit_codes(
    _0="it could tell, whatever there was to tell",
    _2="there is no such run or unit",
    _3="the run of that id is superseded by a later one",
    _74="the journal or a manifest could not be read, or a newer procsup wrote it",
)


@click.command("explain", help=_HELP, epilog=_CODES)
@click.argument("run", metavar="RUN")
@click.argument("units", nargs=-1, metavar="[UNIT]...")
@click.option("--all", "whole", is_flag=True, help=f"Of all these units, not of {_MOST} at most.")
@add_json("Print one object: how the run stands, and all of each unit.")
def command(run: str, units: Tuple[str, ...], whole: bool, as_json: bool) -> int:
    """Read the records and the run file, and print the explanations."""
    explained = Explainer(find_run(run, ".", notice=write_stderr), units)
    if not units:
        explained.leave_out_succeeded()
    status = explained.status
    write_stderr(*(f"procsup: journal: {note}" for note in status.notes))
    source = status.copied_from
    if source is not None:
        write_stderr(describe_copy(status.rundir, source))
    if as_json:
        data = {
            "run_id": status.history.run_id,
            "name": status.name,
            "state": status.state,
            "message": status.sentence,
            "directory": str(status.rundir.path),
            "copied_from": source,
            "units": make_explanation_data(list(explained)),
        }
        write_stdout(format_json(data))
        return 0
    for unit in islice(explained, None if whole else _MOST):
        write_stdout(*format_explanation(unit, base=os.getcwd()))
    beyond = len(explained) - _MOST
    if beyond > 0 and not whole:
        write_stdout(f"... and {beyond} more (--all)")
    return 0

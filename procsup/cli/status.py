"""`procsup status`: what is done, running and failed."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import click

from procsup.cli.options import RUN_HELP, UNITS_HELP, add_json, exit_codes
from procsup.console.terminal import write_stderr, write_stdout
from procsup.queries.rows import FLAT, make_ends_row
from procsup.queries.status import Status, read_status
from procsup.queries.view import find_run
from procsup.report.counts import make_stage_data
from procsup.report.failures import MOST_SHOWN
from procsup.report.standing import format_standing
from procsup.report.tables import align, format_csv, format_json, format_json_lines, list_columns
from procsup.store.copies import describe_copy

_HELP = f"""Show how a run stands: live, dead or final; from any terminal.

With UNITs, a row of each.

{RUN_HELP}
{UNITS_HELP}
\b
Examples:
  procsup status survey
  procsup status last --format csv > units.csv
  procsup status survey @failed 'wall_s>10m'
  procsup status survey --json | jq .state
"""

_CODES = exit_codes(
    _0="it could tell, whatever there was to tell",
    _2="there is no such run or unit",
    _3="the run of that id is superseded by a later one",
    _74="the journal or a manifest could not be read, or a newer procsup wrote it",
)

_SHORT = ("id", "verdict", "exit_code", "tries", "wall_s", "cpu_s", "peak_memory_bytes", "cause")


@click.command("status", help=_HELP, epilog=_CODES)
@click.argument("run", default="last", metavar="[RUN]")
@click.argument("units", nargs=-1, metavar="[UNIT]...")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "table"]),
              help="One row per unit, with the flat columns of the manifest.")  # fmt: skip
@add_json("Print one object: state, stages in numbers, what runs, what failed.")
def command(run: str, units: Tuple[str, ...], form: Optional[str], as_json: bool) -> int:
    """Read the records and print them in the chosen form."""
    status = read_status(find_run(run, ".", notice=write_stderr))
    write_stderr(*(f"procsup: journal: {note}" for note in status.notes))
    source = status.copied_from
    if source is not None:
        write_stderr(describe_copy(status.rundir, source))
    if as_json:
        selected = {"units": list(status.rows(*units))} if units else {}
        write_stdout(format_json({**_make_data(status), "copied_from": source, **selected}))
    elif form is not None or units:
        write_stdout(*_print_units(status, units, form or "table"))
    else:
        write_stdout(*format_standing(status))
    return 0


def _print_units(status: Status, units: Sequence[str], form: str) -> List[str]:
    if form == "table":
        rows = status.rows(*units)
        return align(_SHORT, [[row[column] for column in _SHORT] for row in rows])
    parameters, problem = status.parameters()
    if problem:
        write_stderr(f"procsup: what parameters some units have is not known: {problem}")
    found = list(status.rows(*units, parameters=parameters))
    if form == "jsonl":
        return list(format_json_lines(found))
    return list(
        format_csv([*FLAT, *(name for name in list_columns(found) if name not in FLAT)], found)
    )


def _make_data(status: Status) -> Dict[str, Any]:
    owner = status.owner if status.state in ("running", "starting") else None
    return {
        "run_id": status.history.run_id,
        "name": status.name,
        "state": status.state,
        "message": status.sentence,
        "directory": str(status.rundir.path),
        "sitting": status.history.sitting,
        "supervisor": None if owner is None else {"pid": owner.pid, "host": owner.host},
        "stages": {stage.name: make_stage_data(stage) for stage in status.stages},
        "running": [unit._asdict() for unit in status.running],
        "failed_total": len(status.failures),
        "failures": [
            make_ends_row(end.unit, None, None, [end]) for end in status.failures[:MOST_SHOWN]
        ],
    }

"""`procsup list`: the runs of a folder, newest first."""

from typing import Optional

import click

from procsup.cli.options import add_json, exit_codes
from procsup.console.terminal import write_stderr, write_stdout
from procsup.queries.listing import describe_unknown, find_home, list_runs
from procsup.report.listing import format_listing, make_listing_data
from procsup.report.tables import format_json

_HELP = """Show the runs of the nearest .procsup, from here upwards: newest first.

State is running, starting, succeeded, failed, unfinished (no supervisor works on it), empty or
unreadable; units are those with a verdict and those planned; of a run that has not ended, the
time is that of its beginning. What is unknown is shown as -.

\b
Examples:
  procsup list
  procsup list --dir results
  procsup list --json | jq -r '.runs[] | select(.state == "unfinished").name'
"""

_CODES = exit_codes(_0="also if there is no run", _2="there is no such folder, or no .procsup")


@click.command("list", help=_HELP, epilog=_CODES)
@click.option("--dir", "directory", metavar="DIR",
              help="The folder of the runs, or one that has a .procsup.")  # fmt: skip
@click.option("--whole", is_flag=True,
              help="Read every journal and measure every file, however long it takes.")  # fmt: skip
@add_json("Print one object with all that is known of each run.")
def command(directory: Optional[str], whole: bool, as_json: bool) -> int:
    """Look at every run directory and print a line for each."""
    home = find_home(directory)
    runs, complete = list_runs(home, whole=whole)
    if as_json:
        data = [make_listing_data(run) for run in runs]
        write_stdout(format_json({"directory": str(home), "complete": complete, "runs": data}))
        return 0
    if not runs:
        write_stderr(f"no runs in {home}")
        return 0
    write_stdout(*format_listing(runs))
    words = "" if complete else describe_unknown(runs)
    if words:
        write_stderr(words)
    return 0

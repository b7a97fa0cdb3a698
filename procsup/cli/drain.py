"""`procsup drain`: start no more units, let the running ones finish."""

import click

from procsup.cli.options import RUN_HELP, add_json, exit_codes
from procsup.console.terminal import write_stderr, write_stdout
from procsup.errors import ProcsupError
from procsup.queries.control import request
from procsup.queries.view import find_own_run

_HELP = f"""Start nothing more of a run; what runs may finish. Returns when that is acknowledged.

The run then ends unfinished (its `procsup run` and every `procsup wait` say 3), and the next
`procsup run` goes on with the rest.

{RUN_HELP}
\b
Examples:
  procsup drain survey && procsup wait survey
"""

_CODES = exit_codes(
    _0="it starts nothing more",
    _2="there is no such run",
    _3="no supervisor works on it",
    _124="its supervisor did not answer",
)


@click.command("drain", help=_HELP, epilog=_CODES)
@click.argument("run", metavar="RUN")
@add_json("Print an object on stdout when it is acknowledged.")
def command(run: str, as_json: bool) -> int:
    """Find the live supervisor, send it the request, and wait for its answer."""
    view = find_own_run(run, ".", "drain", root_may=True)
    owner = view.require_live("drain")
    asked = request(view.rundir, owner, "drain")
    if not asked.ok:
        raise ProcsupError(f"drain was refused: {asked.message}")
    write_stderr(asked.message)
    if as_json:
        from procsup.report.tables import format_json

        body = {"run_id": owner.run_id, "directory": str(view.rundir.path)}
        write_stdout(format_json({**body, "message": asked.message}))
    return 0

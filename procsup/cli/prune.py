"""`procsup prune`: remove runs that are over, or logs of what has succeeded."""

import sys
from typing import Any, Dict, List, Optional, Tuple

import click

from procsup.cli.options import RUN_HELP, add_duration, add_json, exit_codes
from procsup.console.terminal import is_terminal, write_stderr, write_stdout
from procsup.core.quantities import show_bytes
from procsup.core.text import count_noun
from procsup.errors import ProcsupError, RunBusy
from procsup.queries.listing import find_home
from procsup.queries.pruning import Choice, Plan, PruneItem, plan_removal, try_all
from procsup.report.tables import format_json

_HELP = f"""Remove run directories that have no live supervisor: journal, manifests, logs.

Never removed are outputs, stamps and manifests whose paths the run file names, runs that are
live, and folders that hold anything else than procsup's own files. A removed run is forgotten:
`procsup run` would run all of it again. Criteria select runs of the nearest
.procsup, upwards, or of --dir: those that meet all of them. What an interrupted removal left is
removed, too.

{RUN_HELP}
\b
Examples:
  procsup prune --older-than 30d --keep 5
  procsup prune old-survey
  procsup prune --logs --keep 0 --dry-run
"""

_CODES = exit_codes(
    _0="removed, or nothing was to be removed",
    _1="the question was answered with no, or a run is left because of a mount in it",
    _2="no run was named and no criterion given, or --yes is missing without a terminal",
    _74="something could not be removed",
    _75="a run that was named is in use, or no run directory of procsup: it is left alone",
)


@click.command("prune", help=_HELP, epilog=_CODES)
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@add_duration("--older-than", "Runs that ended longer ago than this, such as 30d.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N",
              help="All but the N newest.")  # fmt: skip
@click.option("--logs", is_flag=True,
              help="Remove only logs: of units that succeeded, or left the plan.")  # fmt: skip
@click.option("--dir", "directory", metavar="DIR",
              help="The folder of the runs, or one that has a .procsup.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@add_json("Print one object: what went, what is left and why.")
def command(
    runs: Tuple[str, ...],
    older_than: Optional[float],
    keep: Optional[int],
    logs: bool,
    directory: Optional[str],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """List the runs to remove, ask the user, and remove them."""
    if not runs and older_than is None and keep is None:
        raise click.UsageError(
            "nothing is selected: name a RUN, or give --older-than 30d, or --keep N (--keep 0: all)"
        )
    home = None if runs else find_home(directory)
    planned = plan_removal(Choice(runs, older_than, keep, logs), home, start=directory or ".")
    write_stderr(*(f"procsup: {sentence}" for sentence in planned.left))
    write_stderr(*map(_format_line, planned.items))
    total = _format_total(planned.items, logs=logs)
    errors: List[ProcsupError] = []
    if not planned.items:
        write_stderr("nothing is to be removed")
    elif dry_run:
        write_stderr(f"would remove {total}")
    elif not yes and not _ask_for_consent(total):
        return 1
    else:
        errors = try_all(planned.items)
        write_stderr(*(f"procsup: {error}" for error in errors))
        gone = f"{len(planned.items) - len(errors)} of {total}" if errors else total
        write_stderr(f"removed {gone}")
    if as_json:
        write_stdout(format_json(_make_data(planned, errors, dry_run=dry_run)))
    if errors:
        return errors[0].exit_code
    return RunBusy.exit_code if planned.refused else int(planned.mounted)


def _ask_for_consent(total: str) -> bool:
    if not is_terminal(sys.stdin):
        raise click.UsageError("there is no terminal to ask on: give --yes to remove these")
    return click.confirm(f"remove {total}?", default=False, err=True)


def _format_line(item: PruneItem) -> str:
    if item.run is None:
        return f"  {item.path}: the rest of an interrupted removal"
    what = "" if item.logs is None else f"{count_noun(item.frees.files, 'log')} of "
    size = show_bytes(item.frees.size_bytes)
    return f"  {what}{item.path}: {item.run.state}, {size}"


def _format_total(items: List[PruneItem], *, logs: bool) -> str:
    size = show_bytes(sum(one.frees.size_bytes for one in items))
    what = (
        f"logs of {count_noun(len(items), 'run')}"
        if logs
        else count_noun(len(items), "run directory")
    )
    return f"{what}, {size}"


def _make_data(planned: Plan, errors: List[ProcsupError], *, dry_run: bool) -> Dict[str, Any]:
    return {
        "dry_run": dry_run,
        "doomed": [
            {
                "directory": str(one.path),
                "run_id": None if one.run is None else one.run.run_id,
                "state": "half removed" if one.run is None else one.run.state,
                "files": one.frees.files,
                "size_bytes": one.frees.size_bytes,
            }
            for one in planned.items
        ],
        "left": planned.left,
        "errors": [str(error) for error in errors],
    }

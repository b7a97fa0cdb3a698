"""`procsup verify`: compares a final run with its manifest."""

from typing import Any, Dict, Optional, Tuple

import click

from procsup.cli.options import RUN_HELP, add_json, exit_codes
from procsup.cli.wait import WORST_FIRST
from procsup.console.terminal import write_stderr, write_stdout
from procsup.errors import ProcsupError
from procsup.queries.verification import Verification, verify
from procsup.queries.view import find_run
from procsup.report.tables import format_json
from procsup.report.verification import format_verification
from procsup.store.copies import describe_copy

_HELP = f"""Check what a final run promised: its record, its counts, its outputs, its plan.

The manifest must be whole, add up, and be made from the journal beside it; every output must have
the size and time, or the content, that is on record; the run's own file must stand for the same
units. Inputs that have changed since are noted. Whether units succeeded is not asked here.

{RUN_HELP}
\b
Examples:
  procsup verify survey
  procsup verify survey --stage measure --checksum
  procsup verify last --json | jq '.differences[].path'
"""

_CODES = exit_codes(
    _0="all is as recorded",
    _2="there is no such run or stage",
    _3="it is not final, or the run of that id is superseded by a later one",
    _4="outputs or plan no longer match",
    _74="the record is damaged or cannot be read",
)


@click.command("verify", help=_HELP, epilog=_CODES)
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@click.option("--stage", metavar="STAGE", help="Check this stage only.")
@click.option("--checksum", is_flag=True,
              help="Read what has a sha256 on record, even where size and time agree.")  # fmt: skip
@add_json("Print one object a run: every difference, with path, unit and what it is.")
def command(runs: Tuple[str, ...], stage: Optional[str], checksum: bool, as_json: bool) -> int:
    """Check one run after the other; return the highest exit code."""
    runs = runs or ("last",)
    if len(runs) == 1:
        return _verify(runs[0], stage, checksum=checksum, as_json=as_json)
    codes = []
    for run in runs:
        try:
            codes.append(_verify(run, stage, checksum=checksum, as_json=as_json))
        except ProcsupError as error:  # noqa: PERF203  the others are checked all the same
            write_stderr(f"procsup: {error}")
            codes.append(error.exit_code)
    return min(codes, key=WORST_FIRST.index)


def _verify(run: str, stage: Optional[str], *, checksum: bool, as_json: bool) -> int:
    found = find_run(run, ".", notice=write_stderr)
    seen = verify(found, stage=stage, checksum=checksum, said=write_stderr)
    if seen.copied_from is not None:
        write_stderr(describe_copy(found.rundir, seen.copied_from, seen.head.ended))
    write_stderr(*format_verification(seen))
    if as_json:
        write_stdout(format_json(_make_data(seen)))
    return seen.exit_code


def _make_data(seen: Verification) -> Dict[str, Any]:
    return {
        "run_id": seen.head.run_id,
        "name": seen.head.name,
        "status": seen.head.status,
        "stage": seen.head.stage,
        "manifest": seen.path,
        "copied_from": seen.copied_from,
        "units": seen.units,
        "outputs": seen.outputs,
        "ok": seen.exit_code == 0,
        "damage": seen.damage,
        "differences": [one._asdict() for one in seen.differences],
        "notes": [one._asdict() for one in seen.notes],
    }

"""The output of units, for programs."""

import os
from typing import List, NamedTuple, Optional, Sequence

from procsup.core.outcome import Part
from procsup.errors import RecordError
from procsup.host.files import AnyPath, describe_error
from procsup.host.logfiles import LogPlaces, open_log
from procsup.lib.plain import read_selectors
from procsup.queries.logs import Choice, list_logs
from procsup.queries.selection import SelectedUnits
from procsup.queries.view import find_run
from procsup.store.history import read_history
from procsup.store.log_places import make_log_places
from procsup.store.reader import read_journal


class UnitLog(NamedTuple):
    """The output of one attempt of a unit.

    `stream` is ``stdout``, ``stderr``, or ``output`` if both go to one file. `path` is absolute;
    with a `part`, (offset, length) in bytes, only this part of the file is the unit's.
    """

    unit: str
    attempt: int
    stream: str
    path: str
    part: Optional[Part]
    places: LogPlaces

    def read(self, encoding: str = "utf-8") -> str:
        """Read it as text; bytes that cannot be decoded become ``\\ufffd``.

        RecordError if it was removed or cannot be read.
        """
        return read_log(self.unit, self.path, self.part, self.places, encoding)


def read_log(
    unit: str, path: AnyPath, part: Optional[Part], places: LogPlaces, encoding: str
) -> str:
    """Read a log of a unit as text; RecordError if that cannot be read."""
    try:
        with open_log(path, part, **places._asdict()) as file:
            return file.read().decode(encoding, "replace")
    except OSError as error:
        where = os.fspath(path)
        raise RecordError(f"unit {unit}: {where!r}: {describe_error(error)}") from error


def logs(
    run: AnyPath,
    *,
    only: Sequence[str] = (),
    failed: bool = False,
    attempt: Optional[int] = None,
) -> List[UnitLog]:
    """Return the logs of units of a run, live or not, in the order of the plan.

    `only` are selectors; without them all units have their logs in the list. With `failed` only
    units that failed by themselves do. `attempt` is the number of the attempt instead of the last.
    UsageError if there is no such run, unit or attempt, RecordError if the records cannot be read.
    """
    words = read_selectors("only", only)
    view = find_run(os.fspath(run), os.curdir)
    journal = read_journal(view.rundir.journal, digesting=False)
    history = read_history(view.rundir, journal)
    journal.check_writable()  # written by a newer procsup: we could misread it
    units = SelectedUnits(words, view.rundir, history, live=view.live is not None)
    found = list_logs(history, view.rundir, Choice(units, failed, attempt=attempt))
    places = make_log_places(view.rundir, history.begin)
    return [UnitLog(*log, places) for log in found]


__all__: List[str] = ["UnitLog", "logs"]

"""Reads a run's journal into a `History`, with the present paths of its files."""

from functools import partial
from typing import Any, Dict, Mapping, Optional

from procsup.core.making import Place, parse_parameters
from procsup.core.replay import History
from procsup.host.opened import Folder
from procsup.store.place import find_folder_now
from procsup.store.reader import ReadJournal, read_journal, read_plans
from procsup.store.rundir import RunDir


def read_history(rundir: RunDir, journal: Optional[ReadJournal] = None) -> History:
    """Read the journal (the given one, or anew) to its end; RecordError if it cannot be read."""
    history = History(folder_now=partial(find_folder_now, rundir.path))
    for entry in read_journal(rundir.journal, digesting=False) if journal is None else journal:
        history.add(entry.seq, entry.record)
    return history


def find_places_before(
    rundir: RunDir, ended: Mapping[str, int], folder: Optional[Folder]
) -> Dict[str, Place]:
    """Return where the arguments and parameters are recorded with which each unit ended.

    `ended` has the number of the end's record; `folder` is the run directory, if it is open. Units
    planned by an older procsup, which did not record their arguments and parameters, are left out.
    """
    found: Dict[str, Place] = {}
    for seq, plan in read_plans(rundir.journal, folder=folder):
        made = plan.made
        if made is None:
            continue
        for place, unit in enumerate(plan.units):
            if seq < ended.get(unit, 0):
                found[unit] = (made, place)
    return found


def read_parameters(rundir: RunDir) -> Dict[str, Dict[str, Any]]:
    """Return the parameters of each unit, from its latest plan.

    Units planned by an older procsup, which did not record them, are left out.
    """
    found: Dict[str, Dict[str, Any]] = {}
    for _seq, plan in read_plans(rundir.journal):
        if plan.made is not None:
            for place, unit in enumerate(plan.units):
                found[unit] = parse_parameters(plan.made, place)
    return found

"""A run's journal, folded, with the files that it tells of where they are by now."""

from functools import partial
from typing import Optional

from procsup.core.replay import History
from procsup.store.place import folder_now
from procsup.store.reader import ReadJournal, read_journal
from procsup.store.rundir import RunDir


def read_history(rundir: RunDir, journal: Optional[ReadJournal] = None) -> History:
    """Read the journal (as it is given, or anew) to its end; RecordError if that cannot be."""
    history = History(folder_now=partial(folder_now, rundir.path))
    for entry in read_journal(rundir.journal) if journal is None else journal:
        history.add(entry.seq, entry.record)
    return history

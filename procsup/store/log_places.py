"""The folders in which logs of a run are read: of a copied run only its own and its project's."""

from typing import Optional

from procsup.core.records import Begin
from procsup.core.rooted import HOME
from procsup.host.logfiles import LogPlaces
from procsup.store.copies import is_original
from procsup.store.rundir import RunDir


def make_log_places(rundir: RunDir, begin: Optional[Begin]) -> LogPlaces:
    """Return where the logs of a run are read, which may be a copy."""
    if begin is None or is_original(rundir, begin):
        return LogPlaces(str(rundir.path))
    return make_copy_log_places(rundir)


def make_copy_log_places(rundir: RunDir) -> LogPlaces:
    """Return where the logs of a copy are read: in it, and in the project around it."""
    run = str(rundir.path)
    home = rundir.path.parent
    return LogPlaces(run, (run, str(home.parent)) if home.name == HOME else (run,))

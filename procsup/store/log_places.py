"""Where the logs of a run may be: those of a copy only in it and in its project."""

from typing import Optional

from procsup.core.records import Begin
from procsup.core.rooted import HOME
from procsup.host.logfiles import LogPlaces
from procsup.store.copies import is_original
from procsup.store.rundir import RunDir


def log_places(rundir: RunDir, begin: Optional[Begin]) -> LogPlaces:
    """Return where logs are read: of a copy in the run directory, and in the project around it."""
    run = str(rundir.path)
    if begin is None or is_original(rundir, begin):
        return LogPlaces(run)
    home = rundir.path.parent
    return LogPlaces(run, (run, str(home.parent)) if home.name == HOME else (run,))

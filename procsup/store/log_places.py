"""Where the logs of a run may be: those of a copy only in it and in its project."""

from typing import Optional

from procsup.core.records import Begin
from procsup.core.rooted import HOME
from procsup.host.logfiles import LogPlaces
from procsup.store.copies import is_original
from procsup.store.rundir import RunDir


def make_log_places(rundir: RunDir, begin: Optional[Begin]) -> LogPlaces:
    """Return where logs are read: of a copy in the run directory, and in the project around it."""
    if begin is None or is_original(rundir, begin):
        return LogPlaces(str(rundir.path))
    return make_copy_log_places(rundir)


def make_copy_log_places(rundir: RunDir) -> LogPlaces:
    """Return where the logs of a copy are read."""
    run = str(rundir.path)
    home = rundir.path.parent
    return LogPlaces(run, (run, str(home.parent)) if home.name == HOME else (run,))

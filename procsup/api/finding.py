"""Which run is meant by what a person typed, also where a run file puts its runs elsewhere."""

from pathlib import Path
from typing import Optional

from procsup.errors import ProcsupError
from procsup.host.files import AnyPath
from procsup.store.find import Found, find


def find_run(run: str, start: AnyPath) -> Found:
    """Find the run that is meant, looking from the folder `start` upwards; errors as `find`."""
    return find(run, start, home_of=_home_of)


def _home_of(file: Path) -> Optional[Path]:
    """Return the folder in which a run file has its runs; None if the file is wrong by now."""
    from procsup.runfile.load import load  # seldom: the home beside the file holds none

    try:
        return Path(load(file).spec.directory).parent
    except ProcsupError:
        return None

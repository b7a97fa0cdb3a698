"""Finds the run that a person names, also if its run file puts runs elsewhere."""

from pathlib import Path
from typing import Optional

from procsup.errors import ProcsupError
from procsup.host.files import AnyPath
from procsup.store.find import Found, find


def find_run(run: str, start: AnyPath) -> Found:
    """Find a run, looking from the folder `start` upwards; errors as `find`."""
    return find(run, start, home_of=_home_of)


def _home_of(file: Path) -> Optional[Path]:
    """Return the folder of a run file's runs; None if the file is wrong."""
    from procsup.runfile.load import load  # rarely needed: if no run lies beside it

    try:
        return Path(load(file).spec.directory).parent
    except ProcsupError:
        return None

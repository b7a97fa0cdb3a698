"""Finds the run that a person names, also if its run file puts runs elsewhere."""

from pathlib import Path
from typing import Callable, Optional

from procsup.errors import ProcsupError, RecordError
from procsup.host.files import AnyPath
from procsup.host.owners import is_root
from procsup.store.find import Found, find
from procsup.store.trust import refuse_doubtful


def find_run(run: str, start: AnyPath, *, notice: Optional[Callable[[str], None]] = None) -> Found:
    """Find a run, looking from the folder `start` upwards; errors as `find`.

    `notice` is told if it belongs to another user.
    """
    found = find(run, start, home_of=_home_of)
    whose = None if notice is None else found.other_owner
    if notice is not None and whose is not None:
        notice(f"run of {whose}: {found.rundir.path}")
    return found


def find_own_run(run: str, start: AnyPath, verb: str, *, root_may: bool = False) -> Found:
    """Find a run to act on it; RecordError if it belongs to another user, else as `find`.

    `root_may`: root may do that with any.
    """
    found = find(run, start, home_of=_home_of)
    whose = found.other_owner
    if whose is not None and not (root_may and is_root()):
        raise RecordError(
            f"run {found.rundir.path} belongs to {whose}: only its owner may {verb} it"
        )
    return found


def find_to_execute(run: str, start: AnyPath, verb: str) -> Found:
    """Find a run of our own to execute its commands; RecordError as `find_own_run`.

    Also if others could put another run, with their commands, in its place.
    """
    found = find_own_run(run, start, verb)
    refuse_doubtful(found.rundir.path)
    return found


def _home_of(file: Path) -> Optional[Path]:
    """Return the folder of a run file's runs; None if the file is wrong."""
    from procsup.runfile.load import load  # rarely needed: if no run lies beside it

    try:
        return Path(load(file).spec.directory).parent
    except ProcsupError:
        return None

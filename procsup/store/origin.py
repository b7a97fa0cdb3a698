"""Tells where a result was made that came along with a copy of its run directory."""

from typing import Optional

import msgspec
from msgspec import Struct

from procsup.core.manifest import Head
from procsup.host.files import open_record
from procsup.store.copies import is_copy
from procsup.store.rundir import RunDir

_LONGEST_BYTES = 1 << 20


class _First(Struct, frozen=True):
    journal: str = ""
    host: str = ""
    boot_id: str = ""

    @property
    def born_ns(self) -> None:
        """Not compared: that needs ctypes, which `procsup wait` does not load."""


def copied_from(rundir: RunDir, head: Head) -> Optional[str]:
    """Return where the result that lies in a copied run directory was made: ``HOST:DIRECTORY``.

    None if it was made here, as far as is known: journals of other users cannot be read. A journal
    that is gone or damaged proves nothing. Most runs began here: then one line is read.
    """
    try:
        if not is_copy(rundir, _first(rundir)):
            return None
        from procsup.store.reader import last_begin  # few waiters need it

        begin = last_begin(rundir.journal)
        if begin is not None and not is_copy(rundir, begin):
            return None  # it was adopted, and goes on here
    except PermissionError:
        return None
    except (OSError, ValueError):
        pass  # it proves nothing
    return f"{head.host}:{head.directory}"


def _first(rundir: RunDir) -> _First:
    """Return the first record of the journal; OSError, or ValueError if it cannot be decoded."""
    with open_record(rundir.journal) as file:
        line = file.readline(_LONGEST_BYTES)
    try:
        return msgspec.json.decode(line.split(b" ", 2)[-1], type=_First)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"no record: {error}") from error


def about_copy(rundir: RunDir, source: str, head: Head) -> str:
    """Say that a result came along with a copy, and what to do."""
    where = "restored from a copy" if source.endswith(f":{rundir.path}") else f"a copy of {source}"
    return (
        f"{rundir.path} is {where}: what it says was recorded there, at {head.ended}."
        " `procsup run` with --adopt keeps what is intact here, with --fresh it runs all again"
    )

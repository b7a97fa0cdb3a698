"""Who holds a run directory: the line in ``run.lock``."""

from typing import Optional, Tuple

import msgspec
from msgspec import Struct

from procsup.core.quantities import show_time
from procsup.host.files import open_reading
from procsup.host.locks import machine_id, process_exists
from procsup.store.rundir import RunDir

_OWNER_LIMIT_BYTES = 1 << 16


class Owner(Struct, frozen=True):
    """Who holds the run directory; `sitting` is 0 while that supervisor still reads the journal.

    `locks`: its locks can be trusted on its host; `ended` is set when it let go by itself.
    """

    host: str
    pid: int
    boot_id: str
    started: float
    sitting: int = 0
    run_id: str = ""
    stages: Tuple[str, ...] = ()
    locks: bool = True
    ended: Optional[float] = None

    def describe(self) -> str:
        """Say who it is, for messages."""
        since = show_time(self.started, "%Y-%m-%d %H:%M:%S")
        return f"process {self.pid} on {self.host} since {since}"

    @property
    def here(self) -> bool:
        """It runs, or ran, where this process runs."""
        host, boot_id = machine_id()
        return self.host == host or (self.boot_id != "" and self.boot_id == boot_id)

    @property
    def may_live(self) -> bool:
        """Its process may be alive: it is somewhere else, or here and of this boot, and exists."""
        boots = {self.boot_id, machine_id()[1]} - {""}  # one, unless it is known to be of another
        return not self.here or (len(boots) < 2 and process_exists(self.pid))


def read_owner(rundir: RunDir) -> Optional[Owner]:
    """Return who holds, or last held, the run directory; None if that cannot be read."""
    try:
        with open_reading(rundir.run_lock) as file:
            line = file.readline(_OWNER_LIMIT_BYTES)
        return msgspec.json.decode(line, type=Owner)
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
        return None

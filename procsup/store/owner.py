"""The owner of a run directory: the line in ``run.lock``, for other users in ``locks/owner.json``.

A process that may open ``run.lock`` may also lock it, and so block every supervisor. So other
users may not open it.
"""

from typing import TYPE_CHECKING, BinaryIO, Optional, Tuple

import msgspec
from msgspec import Struct

from procsup.core.quantities import show_time
from procsup.core.rooted import RUN_LOCK
from procsup.host import procfs
from procsup.host.files import open_record
from procsup.host.identity import get_machine_id, read_pid_namespace
from procsup.host.locks import process_exists
from procsup.store.rundir import RunDir

if TYPE_CHECKING:  # `wait` opens no folder, and must start quickly
    from procsup.host.opened import Folder

_OWNER_LIMIT_BYTES = 1 << 16


class Owner(Struct, frozen=True):
    """The holder of a run directory; `sitting` is 0 while that supervisor still reads the journal.

    `locks`: its locks work on its host; `by_description`: those of its sitting are of a kind that
    readers cannot hold (see host/locks.py). `ended` is set when it released them itself. Its pid is
    a number of `pid_namespace`, and its process was started at `start_ticks` (clock ticks since
    boot): both are empty if the system does not provide them.
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
    start_ticks: Optional[int] = None
    pid_namespace: str = ""
    by_description: bool = False

    def describe(self) -> str:
        """Return its host and process for messages."""
        since = show_time(self.started, "%Y-%m-%d %H:%M:%S")
        return f"process {self.pid} on {self.host} since {since}"

    def is_same(self, other: "Owner") -> bool:
        """Whether both lines are of one supervisor, which rewrites its line several times."""
        return (self.host, self.boot_id, self.pid, self.started) == (
            other.host, other.boot_id, other.pid, other.started
        )  # fmt: skip

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, on this host: the same name or the same boot."""
        host, boot_id = get_machine_id()
        return self.host == host or (self.boot_id != "" and self.boot_id == boot_id)

    @property
    def may_live(self) -> bool:
        """Whether its process may be alive: it is elsewhere, or here, of this boot, and exists."""
        boots = {self.boot_id, get_machine_id()[1]} - {""}  # two if both are known and differ
        if not self.here:
            return True
        return len(boots) < 2 and self._process_may_live()

    @property
    def is_gone(self) -> bool:
        """Whether its process is known to have ended: it was of this boot."""
        boot_id = get_machine_id()[1]
        return self.boot_id == boot_id != "" and not self._process_may_live()

    def _process_may_live(self) -> bool:
        namespaces = {self.pid_namespace, read_pid_namespace()} - {""}
        if len(namespaces) > 1:
            return True  # here its pid is another process's, or unused
        process = procfs.look(self.pid) if self.start_ticks is not None else None
        if process is not None and process.start_ticks != self.start_ticks:
            return False  # its pid was reused
        return process_exists(self.pid)


def read_owner(rundir: RunDir, folder: "Optional[Folder]" = None) -> Optional[Owner]:
    """Return the present or last holder of the run directory; None if that cannot be read.

    With `folder`, the open run directory of a run of our own, it is read there.
    """
    try:
        with open_owner(rundir) if folder is None else folder.record(RUN_LOCK) as file:
            return decode_owner(file)
    except OSError:
        return None


def decode_owner(file: BinaryIO) -> Optional[Owner]:
    """Return the owner whose line a file has; None if the line is incomplete. OSError."""
    try:
        return msgspec.json.decode(file.readline(_OWNER_LIMIT_BYTES), type=Owner)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None


def open_owner(rundir: RunDir) -> BinaryIO:
    """Open the file with the owner's line that our user may read; OSError if there is none.

    PermissionError if the run is not shared with us.
    """
    try:
        return open_record(rundir.run_lock)
    except PermissionError as error:
        try:
            return open_record(rundir.shared_owner)
        except FileNotFoundError:
            raise error from None

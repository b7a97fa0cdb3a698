"""Whether a journal is the file that its last sitting wrote to, or a copy of it."""

from typing import Optional, Protocol

from procsup.host import identity
from procsup.host.birth import born_ns
from procsup.host.files import file_id
from procsup.store.rundir import RunDir


class _Beginning(Protocol):
    """What a record of a beginning says of its own place."""

    @property
    def journal(self) -> str: ...
    @property
    def born_ns(self) -> Optional[int]: ...
    @property
    def host(self) -> str: ...
    @property
    def boot_id(self) -> str: ...


def is_copy(rundir: RunDir, begin: _Beginning) -> bool:
    """Whether this record was written to another journal than the run directory's, as far as known.

    Device numbers may change with every boot; inodes and creation times do not. Not every file
    system, and no record of an older procsup, has a time of birth. The oldest do not record their
    own file: such a journal counts as a copy on another host than its own.
    """
    if not begin.journal:
        return begin.host != identity.host_name()
    device, _, inode = begin.journal.partition(":")
    here_device, _, here_inode = file_id(rundir.journal).partition(":")
    if inode != here_inode:
        return True
    if begin.boot_id == identity.boot_id() and device != here_device:
        return True
    here_born = None if begin.born_ns is None else born_ns(rundir.journal)
    return here_born is not None and here_born != begin.born_ns


def is_original(rundir: RunDir, begin: _Beginning) -> bool:
    """Whether this record is known to have been written to the run directory's own journal."""
    return begin.journal != "" and not is_copy(rundir, begin)

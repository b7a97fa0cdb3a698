"""`lock = "nightly"`: of the runs with the same lock name, only one at a time may work.

The lock is a file beside their run directories; the kernel releases it when its holder ends.
"""

import os
from contextlib import contextmanager
from typing import Iterator

from procsup.core.text import make_visible
from procsup.errors import RecordError, RunBusy
from procsup.host.files import describe_error
from procsup.host.locks import FileLock, locks_work
from procsup.host.opened import Folder
from procsup.host.owners import refuse_foreign

_LONGEST_BYTES = 1 << 12


@contextmanager
def hold_shared_lock(run: Folder, name: str, *, holder: str) -> Iterator[None]:
    """Hold the lock of this name; RunBusy names the run that has it.

    The lock file is in the folder above `run`, the open run directory, even if that was moved.
    `holder` describes this run to the others. RecordError if the file cannot be locked, or belongs
    to another user (in /tmp, for example).
    """
    file = f".{name}.lock"  # no run's name begins with a dot
    path = os.path.join(os.path.dirname(run.path), file)
    lock = FileLock(path)
    try:
        try:
            with run.above() as home:
                lock.open(dir_fd=home.fd)
                refuse_foreign(lock.fd, path, run.status.st_uid)
                _take(lock, home, name)
                refuse_foreign(lock.fd, path, run.status.st_uid)  # it may have been replaced
            os.ftruncate(lock.fd, 0)
            os.write(lock.fd, holder.encode("utf-8", "replace"))
        except OSError as error:
            raise RecordError(f"{path} cannot be locked: {describe_error(error)}") from error
        yield
    finally:
        lock.close()


def _take(lock: FileLock, home: Folder, name: str) -> None:
    if not locks_work(home.path, dir_fd=home.fd):
        raise RecordError(
            f"lock = {name!r}: the file system of {home.path} has no locks, so that it cannot"
            " keep two runs apart"
        )
    if not lock.try_exclusive(dir_fd=home.fd):
        file = os.path.basename(lock.path)
        raise RunBusy(f"lock {name!r} ({lock.path}) is held by {_read_holder(home, file)}")


def _read_holder(home: Folder, file_name: str) -> str:
    try:
        with home.read(file_name) as file:
            text = file.read(_LONGEST_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        text = ""
    return make_visible(text) or "another run"

"""`lock = "nightly"`: of the runs with the same lock only one at a time may work.

The lock is a file beside their run directories; the kernel releases it when its holder ends.
"""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from procsup.core.text import make_visible
from procsup.errors import RecordError, RunBusy
from procsup.host.files import describe_error, open_reading
from procsup.host.locks import FileLock, locks_work
from procsup.host.owners import refuse_foreign

_LONGEST_BYTES = 1 << 12


@contextmanager
def hold_shared_lock(run_dir: Path, name: str, *, holder: str) -> Iterator[None]:
    """Hold the lock of this name; RunBusy names the run that has it.

    It is beside `run_dir`, which must exist; `holder` is a description of this run for the others.
    RecordError if the file cannot be locked, or belongs to another user, as it may in /tmp.
    """
    path = run_dir.parent / f".{name}.lock"  # no run's name begins with a dot
    lock = FileLock(path)
    try:
        try:
            lock.open()
            refuse_foreign(lock.fd, lock.path, os.lstat(run_dir).st_uid)
            _take(lock, path, name, holder)
            refuse_foreign(
                lock.fd, lock.path, os.lstat(run_dir).st_uid
            )  # it may have been replaced
        except OSError as error:
            raise RecordError(f"{path} cannot be locked: {describe_error(error)}") from error
        yield
    finally:
        lock.close()


def _take(lock: FileLock, path: Path, name: str, holder: str) -> None:
    if not locks_work(path.parent):
        raise RecordError(
            f"lock = {name!r}: the file system of {path.parent} has no locks, so that it keeps no"
            " run from another"
        )
    if not lock.try_exclusive():
        raise RunBusy(f"lock {name!r} ({path}) is held by {_read_holder(path)}")
    os.ftruncate(lock.fd, 0)
    os.write(lock.fd, holder.encode("utf-8", "replace"))


def _read_holder(path: Path) -> str:
    try:
        with open_reading(path) as file:
            text = file.read(_LONGEST_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        text = ""
    return make_visible(text) or "another run"

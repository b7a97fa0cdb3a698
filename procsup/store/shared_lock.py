"""`lock = "nightly"`: runs of several names that are never at work at the same time.

The lock is a file beside their run directories; the kernel releases it when its holder ends.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Optional, Type

from procsup.core.text import visible
from procsup.errors import RecordError, RunBusy
from procsup.host.files import open_reading, reason
from procsup.host.locks import FileLock, locks_work

_LONGEST_BYTES = 1 << 12


class SharedLock:
    """Held as a context; RunBusy on entering if another run has it, and which.

    `home` is the folder of the run directories, which must exist; `holder` says who we are.
    RecordError if it cannot be locked.
    """

    def __init__(self, home: Path, name: str, *, holder: str) -> None:
        self.path = home / f".{name}.lock"  # the name of no run begins with a dot
        self._name = name
        self._holder = holder
        self._lock = FileLock(self.path)

    def __enter__(self) -> "SharedLock":
        try:
            if not locks_work(self.path.parent):
                raise RecordError(
                    f"lock = {self._name!r}: the file system of {self.path.parent} has no locks,"
                    " so that it keeps no run from another"
                )
            if not self._lock.try_exclusive():
                raise RunBusy(f"lock {self._name!r} ({self.path}) is held by {self._said()}")
            os.ftruncate(self._lock.fd, 0)
            os.write(self._lock.fd, self._holder.encode("utf-8", "replace"))
        except OSError as error:
            self._lock.close()
            raise RecordError(f"{self.path} cannot be locked: {reason(error)}") from error
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._lock.close()

    def _said(self) -> str:
        try:
            with open_reading(self.path) as file:
                text = file.read(_LONGEST_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            text = ""
        return visible(text) or "another run"

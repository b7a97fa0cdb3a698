"""The file of a plan to which lines are added while its first units run."""

import os
import threading
from typing import Iterable, Optional

from procsup.errors import RecordError
from procsup.host.files import (
    describe_error,
    open_private,
    sync_fd,
    write_all,
)


class PlanFile:
    """An existing plan in a run directory, open for lines at its end; `close` it.

    `dir_fd` is of the run directory, as in `host.files`. OSError if it cannot be opened. `problem`
    is what kept a line from being written. Its methods may be called from any thread.
    """

    def __init__(self, path: str, *, dir_fd: Optional[int] = None) -> None:
        self.problem: Optional[RecordError] = None
        self._path = path
        self._dir_fd = dir_fd
        self._lock = threading.Lock()
        self._is_ended = False  # nothing is written any more
        self._fd = open_private(path, os.O_WRONLY | os.O_APPEND, dir_fd=dir_fd)

    @property
    def is_open(self) -> bool:
        """Whether it has no last line."""
        return not self._is_ended

    def add(self, lines: Iterable[bytes], *, last: bool) -> None:
        """Append lines; the `last` ones are on disk on return. RecordError if that failed.

        Lines after the end are dropped.
        """
        with self._lock:
            if self._is_ended:
                return
            try:
                write_all(self._fd, lines)
                if last:
                    sync_fd(self._fd)
            except OSError as error:
                self.problem = self._make_error(error)
                raise self.problem from error
            if last:
                self._end()

    def close(self) -> None:
        """Close the file; may be called again."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            os.close(self._fd)

    def _make_error(self, error: OSError) -> RecordError:
        return RecordError(f"{self._path} cannot be written: {describe_error(error)}")

"""The file of a plan to which lines are added while its first units run."""

import os
import threading
from typing import Iterable, List, Optional

from procsup.errors import RecordError
from procsup.host.files import (
    describe_error,
    open_private,
    sync_fd,
    write_all,
    write_atomically,
)


class PlanFile:
    """The plan of a run directory, to which lines are added at its end; `close` it.

    It begins with `first`. An older plan there stays until `begin`: as long as a manifest stands,
    the plan beside it is its own. `dir_fd` is of the run directory, as in `host.files`. `problem`
    is what kept a line from being written. Its methods may be called from any thread.
    """

    def __init__(self, path: str, first: Iterable[bytes], *, dir_fd: Optional[int] = None) -> None:
        self.problem: Optional[RecordError] = None
        self._path = path
        self._dir_fd = dir_fd
        self._lock = threading.Lock()
        self._early: List[bytes] = [*first]  # lines that are written when it begins
        self._has_last_line = False
        self._is_closed = False
        self._fd: Optional[int] = None

    @property
    def is_open(self) -> bool:
        """Whether it has no last line."""
        return not self._has_last_line

    def begin(self) -> None:
        """Replace an older plan, durably; RecordError if that failed. May be called again."""
        with self._lock:
            if self._fd is not None or self._is_closed:
                return
            try:
                write_atomically(self._path, self._early, dir_fd=self._dir_fd)
                if self._has_last_line:
                    self._is_closed = True
                else:
                    flags = os.O_WRONLY | os.O_APPEND
                    self._fd = open_private(self._path, flags, dir_fd=self._dir_fd)
            except OSError as error:
                self.problem = self._make_error(error)
                raise self.problem from error
            self._early.clear()

    def add(self, lines: Iterable[bytes], *, last: bool) -> None:
        """Append lines; after `begin` the `last` ones are on disk on return.

        RecordError if that failed. Lines after the last ones are dropped.
        """
        with self._lock:
            if self._has_last_line or self._is_closed:
                return
            if self._fd is None:
                self._early += lines
            else:
                self._write(self._fd, lines, last=last)
            self._has_last_line = last

    def _write(self, fd: int, lines: Iterable[bytes], *, last: bool) -> None:
        try:
            write_all(fd, lines)
            if last:
                sync_fd(fd)
        except OSError as error:
            self.problem = self._make_error(error)
            raise self.problem from error

    def close(self) -> None:
        """Close the file; may be called again."""
        with self._lock:
            self._is_closed = True
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _make_error(self, error: OSError) -> RecordError:
        return RecordError(f"{self._path} cannot be written: {describe_error(error)}")

"""The file of a plan to which lines are added while its first units run."""

import os
from itertools import islice
from typing import Iterable, Optional

from procsup.errors import RecordError
from procsup.host.files import (
    describe_error,
    open_private,
    open_record,
    sync_fd,
    write_all,
    write_atomically,
)


class PlanFile:
    """An existing plan in a run directory, open for lines at its end; `close` it.

    `dir_fd` is of the run directory, as in `host.files`. OSError if it cannot be opened. `problem`
    is what kept a line from being written.
    """

    def __init__(self, path: str, *, dir_fd: Optional[int] = None) -> None:
        self.problem: Optional[RecordError] = None
        self._path = path
        self._dir_fd = dir_fd
        self._is_whole = False
        self._fd = open_private(path, os.O_WRONLY | os.O_APPEND, dir_fd=dir_fd)

    def add(self, lines: Iterable[bytes], *, last: bool) -> None:
        """Append lines; the `last` ones are on disk on return. RecordError if that failed."""
        try:
            write_all(self._fd, lines)
            if last:
                sync_fd(self._fd)
        except OSError as error:
            self.problem = self._make_error(error)
            raise self.problem from error
        self._is_whole = last

    def finish(self, count: int, end: bytes) -> None:
        """End the plan after `count` units if it has no end yet; RecordError if that failed.

        A policy ended the run: lines that were written after these units belong to none of it.
        """
        if self._is_whole:
            return
        try:
            with open_record(self._path) as file:
                lines = list(islice(file, 1 + count))
            write_atomically(self._path, [*lines, end], dir_fd=self._dir_fd)
        except OSError as error:
            raise self._make_error(error) from error
        self._is_whole = True

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _make_error(self, error: OSError) -> RecordError:
        return RecordError(f"{self._path} cannot be written: {describe_error(error)}")

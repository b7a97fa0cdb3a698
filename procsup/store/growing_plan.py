"""The file of a plan to which lines are added while its first units run."""

import os
from typing import Iterable, Optional

from procsup.errors import RecordError
from procsup.host.files import describe_error, open_private, sync_fd, write_all


class PlanFile:
    """An existing plan in a run directory, open for lines at its end; `close` it.

    `dir_fd` is of the run directory, as in `host.files`. OSError if it cannot be opened.
    """

    def __init__(self, path: str, *, dir_fd: Optional[int] = None) -> None:
        self._path = path
        self._fd = open_private(path, os.O_WRONLY | os.O_APPEND, dir_fd=dir_fd)

    def add(self, lines: Iterable[bytes], *, last: bool) -> None:
        """Append lines; the `last` ones are on disk on return. RecordError if that failed."""
        try:
            write_all(self._fd, lines)
            if last:
                sync_fd(self._fd)
        except OSError as error:
            what = f"{self._path} cannot be written: {describe_error(error)}"
            raise RecordError(what) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

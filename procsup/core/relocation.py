"""Records as the journal has them: files below the run file's folder are relative to it.

So a project may be moved, copied, or come to by a link, and its records find its files.
"""

from typing import Callable, Iterable, NamedTuple, Optional, Tuple, Union

import msgspec

from procsup.core.outcome import Reading
from procsup.core.records import Begin, End, Record, Seen
from procsup.core.rooted import at, below, folder_of, is_absolute, separator_of, start_of

Place = Callable[[str], str]


class Root:
    """The run file's folder, and how `Begin.root` says it: the way there from the run directory."""

    def __init__(self, folder: str, way: str) -> None:
        self.folder = folder
        self._way = way
        self._start = start_of(folder)
        self._before_logs = way + separator_of(folder)
        self._is_posix = folder.startswith("/")

    def recorded(self, record: Record) -> Record:
        """Return a record as the journal has it."""
        if type(record) is Seen:
            readings = placed(record.readings, self._file)
            return msgspec.structs.replace(record, readings=readings)
        if type(record) is not End:
            return record
        named = [path for path in (record.stdout_path, record.stderr_path) if path]
        if not (record.outputs or record.inputs or any(map(self._is_absolute, named))):
            return record  # its logs are relative to the run directory already
        return msgspec.structs.replace(
            record,
            outputs=placed(record.outputs, self._file),
            inputs=placed(record.inputs, self._file),
            stdout_path=self._log(record.stdout_path),
            stderr_path=self._log(record.stderr_path),
        )

    def _file(self, path: str) -> str:
        return below(self.folder, path) or path

    def _log(self, path: Optional[str]) -> Optional[str]:
        """Logs that the user named are recorded from the run directory, as the others are."""
        within = None if path is None else below(self.folder, path)
        if within is None or self._is_absolute(self._way):
            return path
        return self._before_logs + within

    def _is_absolute(self, path: str) -> bool:
        return is_absolute(path, self.folder)

    # --- and back --------------------------------------------------------------------------

    def file(self, path: str) -> str:
        """Return where a recorded file is."""
        if self._is_posix:  # for each file of a journal: at once
            return path if path.startswith("/") else self._start + path
        return at(self.folder, path)

    def log(self, path: str) -> str:
        """Return where a recorded log is: from the run directory, absolute if the user named it."""
        before = self._before_logs
        return self._start + path[len(before) :] if path.startswith(before) else path


class Rebased(NamedTuple):
    """Where the files of a journal of the first form are, which has absolute paths."""

    was: str
    now: str

    def file(self, path: str) -> str:
        """Return where a recorded file is by now."""
        within = below(self.was, path)
        return path if within is None else at(self.now, within)

    def log(self, path: str) -> str:
        """Return where a recorded log is by now."""
        return self.file(path)


Places = Union[Root, Rebased]


def places_of(begin: Begin, folder: Optional[str]) -> Optional[Places]:
    """Return where the paths of a sitting's records lead, if the run file is in `folder` by now.

    None if they are as they are: the folder is not known, or has not moved.
    """
    if folder is None:
        return None
    if begin.root:
        return Root(folder, begin.root)
    was = None if begin.run_file is None else folder_of(begin.run_file)
    return None if was in (None, folder) else Rebased(str(was), folder)


def in_place(end: End, places: Places) -> End:
    """Return an end that was read with its files where they are by now."""
    if not (end.outputs or end.inputs or end.stdout_path or end.stderr_path):
        return end
    return msgspec.structs.replace(
        end,
        outputs=placed(end.outputs, places.file),
        inputs=placed(end.inputs, places.file),
        stdout_path=end.stdout_path and places.log(end.stdout_path),
        stderr_path=end.stderr_path and places.log(end.stderr_path),
    )


def placed(readings: Iterable[Reading], place: Place) -> Tuple[Reading, ...]:
    """Return readings with each path taken to another place."""
    return tuple([msgspec.structs.replace(one, path=place(one.path)) for one in readings])

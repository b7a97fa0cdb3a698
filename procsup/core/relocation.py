"""Converts paths for the journal: files below the run file's folder are relative to it.

So the files of a record are found even if a project is moved, copied or opened through a link.
"""

from typing import Callable, Iterable, Optional, Tuple, Union

import msgspec
from msgspec import Struct

from procsup.core.outcome import Reading
from procsup.core.records import Begin, End, Record, Seen
from procsup.core.rooted import (
    find_folder,
    find_separator,
    find_start,
    is_absolute,
    join_folder,
    strip_folder,
)

Place = Callable[[str], str]


class Root:
    """The run file's folder, and the path to it from the run directory (`Begin.root`)."""

    def __init__(self, folder: str, way: str) -> None:
        self.folder = folder
        self._way = way
        self._start = find_start(folder)
        self._before_logs = way + find_separator(folder)
        self._is_posix = folder.startswith("/")

    def map_record(self, record: Record) -> Record:
        """Return a record with its paths as in the journal."""
        if type(record) is Seen:
            readings = map_readings(record.readings, self._file)
            return msgspec.structs.replace(record, readings=readings)
        if type(record) is not End:
            return record
        named = [path for path in (record.stdout_path, record.stderr_path) if path]
        if not (record.outputs or record.inputs or any(map(self._is_absolute, named))):
            return record  # its logs are already relative to the run directory
        return msgspec.structs.replace(
            record,
            outputs=map_readings(record.outputs, self._file),
            inputs=map_readings(record.inputs, self._file),
            stdout_path=self._log(record.stdout_path),
            stderr_path=self._log(record.stderr_path),
        )

    def _file(self, path: str) -> str:
        return strip_folder(self.folder, path) or path

    def _log(self, path: Optional[str]) -> Optional[str]:
        """Return a log's path relative to the run directory, also if the user named the log."""
        within = None if path is None else strip_folder(self.folder, path)
        if within is None or self._is_absolute(self._way):
            return path
        return self._before_logs + within

    def _is_absolute(self, path: str) -> bool:
        return is_absolute(path, self.folder)

    # --- from the journal ------------------------------------------------------------------

    def file(self, path: str) -> str:
        """Return the current path of a recorded file."""
        if self._is_posix:  # a fast path, for each file of a journal
            return path if path.startswith("/") else self._start + path
        return join_folder(self.folder, path)

    def split(self, path: str) -> Tuple[str, str]:
        """Return that path in two parts: a start that many files share (or ""), and the rest."""
        if is_absolute(path, self.folder):
            return "", path
        return self._start, path

    def log(self, path: str) -> str:
        """Return a log's current path: absolute if the user named it, else in the run directory."""
        before = self._before_logs
        return self._start + path[len(before) :] if path.startswith(before) else path


class RebasedPaths(Struct, frozen=True):
    """Moves the absolute paths of a journal of the first form to the project's current folder."""

    was: str
    now: str

    def file(self, path: str) -> str:
        """Return the current path of a recorded file."""
        within = strip_folder(self.was, path)
        return path if within is None else join_folder(self.now, within)

    def split(self, path: str) -> Tuple[str, str]:
        """Return that path in two parts: a start that many files share (or ""), and the rest."""
        return "", self.file(path)

    def log(self, path: str) -> str:
        """Return the current path of a recorded log."""
        return self.file(path)


Places = Union[Root, RebasedPaths]


def make_places(begin: Begin, folder: Optional[str]) -> Optional[Places]:
    """Return the mapping of a sitting's recorded paths if the run file is now in `folder`.

    None if they need no mapping: the folder is not known, or has not moved.
    """
    if folder is None:
        return None
    if begin.root:
        return Root(folder, begin.root)
    was = None if begin.run_file is None else find_folder(begin.run_file)
    return None if was in (None, folder) else RebasedPaths(str(was), folder)


def relocate_end(end: End, places: Places) -> End:
    """Return an end read from the journal with the current paths of its files."""
    if not (end.outputs or end.inputs or end.stdout_path or end.stderr_path):
        return end
    return msgspec.structs.replace(
        end,
        outputs=map_readings(end.outputs, places.file),
        inputs=map_readings(end.inputs, places.file),
        stdout_path=end.stdout_path and places.log(end.stdout_path),
        stderr_path=end.stderr_path and places.log(end.stderr_path),
    )


def map_readings(readings: Iterable[Reading], place: Place) -> Tuple[Reading, ...]:
    """Return readings with each path mapped by `place`."""
    return tuple([msgspec.structs.replace(one, path=place(one.path)) for one in readings])

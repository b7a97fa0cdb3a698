"""Compares the files that a process has open for writing with those that its unit declared."""

import os
from typing import Dict, List, Optional, Sequence, Tuple

from msgspec.structs import replace

from procsup.attempt.declared_outputs import DeclaredOutputs
from procsup.attempt.ending import Leftover, Stamps
from procsup.attempt.files import AttemptFiles, Stream
from procsup.attempt.outputs import display_path
from procsup.core.spec import OutputSpec
from procsup.core.task import Task
from procsup.host import readings, system
from procsup.paths.identity import Stamp, read_stamp
from procsup.paths.walk import list_files

_FileId = Tuple[int, int]


class OutputHolders:
    """The outputs and logs of one attempt, recognized by inode or by name.

    These are the declared files, folders and globs, the files of stdout and stderr, and siblings
    ``OUT.*`` and ``.OUT.*``: many programs write there first and rename.
    """

    def __init__(self, task: Task, files: AttemptFiles) -> None:
        unit = task.unit
        self._folder = task.rules.folder
        self._outputs = readings.list_outputs(unit)
        self._streams = [one for one in (files.stdout, files.stderr) if one is not None]
        self._promised = DeclaredOutputs([[unit]])
        self._files = [one.path for one in self._outputs if one.kind == "file"]

    @property
    def has_outputs(self) -> bool:
        """Whether the unit declares outputs."""
        return bool(self._outputs)

    def find_leftovers(self, seen: Sequence[system.TreeProcess]) -> List[Leftover]:
        """Return for each process the output or log that it may write to."""
        if not seen:
            return []
        outputs, logs = self._list_output_ids(), self._list_log_ids()
        names = self._list_names()
        return [self._describe_leftover(one, outputs, logs, names) for one in seen]

    def _describe_leftover(
        self,
        seen: system.TreeProcess,
        outputs: Dict[_FileId, str],
        logs: Sequence[_FileId],
        names: Dict[str, str],
    ) -> Leftover:
        left = Leftover(seen.pid, seen.start_ticks, seen.name)
        if seen.files is None:
            return replace(left, log=True, is_told=False)
        for file in seen.files:
            output = outputs.get((file.device, file.inode)) or self._find_name(file.path, names)
            if output:
                return replace(left, output=output)
        ids = [(file.device, file.inode) for file in seen.files]
        return replace(left, log=any(one in logs for one in ids))

    def _find_name(self, path: str, names: Dict[str, str]) -> str:
        """Return the output that is this path, contains it or is its sibling; empty if none."""
        if path in self._promised:
            return display_path(path, self._folder)
        folder, name = os.path.split(path)
        parts = name.lstrip(".").split(".")
        for count in range(1, len(parts)):
            declared = names.get(os.path.join(folder, ".".join(parts[:count])))
            if declared is not None:
                return declared
        return ""

    def _list_names(self) -> Dict[str, str]:
        """Return the declared files, also by their paths with links to folders resolved."""
        names: Dict[str, str] = {}
        for path in self._files:
            label = display_path(path, self._folder)
            folder, name = os.path.split(path)
            for place in (folder, os.path.realpath(folder)):
                names[os.path.join(place, name)] = label
                names[os.path.join(place, name.lstrip("."))] = label
        return names

    def _list_output_ids(self) -> Dict[_FileId, str]:
        ids: Dict[_FileId, str] = {}
        for output in self._outputs:
            for path in _list_files(output):
                _note(ids, path, display_path(path, self._folder))
        for stream in self._streams:
            if stream.target is not None:
                _note(ids, stream.written_path, display_path(stream.target, self._folder))
        return ids

    def _list_log_ids(self) -> List[_FileId]:
        ids: Dict[_FileId, str] = {}
        for stream in self._list_logs():
            _note(ids, stream.written_path, stream.written_path)
        return list(ids)

    def _list_logs(self) -> List[Stream]:
        return [stream for stream in self._streams if stream.target is None]

    def look(self) -> Stamps:
        """Return the present stamps of the outputs; without outputs the sizes of the logs."""
        if not self._outputs:
            return tuple(_read_size(stream.written_path) for stream in self._list_logs())
        found: List[Tuple[str, Optional[Stamp]]] = []
        for output in self._outputs:
            found.extend((path, _read_stamp(path)) for path in _list_files(output))
        targets = [stream for stream in self._streams if stream.target is not None]
        found.extend((one.written_path, _read_stamp(one.written_path)) for one in targets)
        return tuple(found)


def _list_files(output: OutputSpec) -> List[str]:
    try:
        return list_files(output)
    except OSError:
        return []  # the inspection reports it


def _note(ids: Dict[_FileId, str], path: str, label: str) -> None:
    try:
        status = os.stat(path)
        ids[status.st_dev, status.st_ino] = label
    except OSError:
        pass  # not made yet, or removed: its name may still match


def _read_stamp(path: str) -> Optional[Stamp]:
    try:
        return read_stamp(path)
    except OSError:
        return None


def _read_size(path: str) -> Optional[int]:
    try:
        return os.stat(path).st_size
    except OSError:
        return None

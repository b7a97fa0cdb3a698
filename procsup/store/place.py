"""Finds the present folder of a project from the path of its run directory.

A project that is moved, copied or restored usually takes its run directory with it. Then the
relative path between them is unchanged, and all recorded files are found through it.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from procsup.core.manifest import Head, OutputRecord
from procsup.core.outcome import Reading
from procsup.core.rooted import HOME, find_folder, join_folder, strip_folder
from procsup.host.files import AnyPath

if TYPE_CHECKING:  # `wait` reads only manifests and must not import records (start-up budget)
    from procsup.core.records import Begin


def find_way(folder: str, directory: AnyPath) -> str:
    """Return the value of `Begin.root`: the run file's folder, relative to a directory below it."""
    within = strip_folder(folder, os.fspath(directory))
    return folder if within is None else os.path.relpath(folder, os.fspath(directory))


def find_folder_now(directory: AnyPath, begin: "Begin") -> Optional[str]:
    """Return the present folder of a sitting's run file; None if it is unknown.

    `directory` is the run directory. A journal of the first version does not record `root`: the
    run file is then looked for in its default place.
    """
    if begin.root:
        return os.path.normpath(os.path.join(os.fspath(directory), begin.root))
    if begin.run_file is None:
        return None
    home = Path(directory).parent
    if home.name == HOME and os.path.isfile(home.parent / os.path.basename(begin.run_file)):
        return str(home.parent)
    return find_folder(begin.run_file)


def find_folder_before(directory: AnyPath, begin: "Begin") -> Optional[str]:
    """Return the folder's path when the sitting began; None if it is unknown."""
    if begin.run_file is None:
        return None
    folder = find_folder(begin.run_file)
    if not begin.root or run_file_now(directory, begin) != _find_within(directory, begin.run_file):
        return folder
    return os.path.normpath(os.path.join(folder, begin.root))  # a plan in the run directory


def _find_within(directory: AnyPath, file: str) -> str:
    return os.path.join(os.fspath(directory), os.path.basename(file))


def run_file_now(directory: AnyPath, begin: "Begin") -> Optional[str]:
    """Return the present path of a sitting's run file; None if it had none.

    A plan made by a program is in the run directory itself.
    """
    if begin.run_file is None:
        return None
    plan = _find_within(directory, begin.run_file)
    folder = find_folder_now(directory, begin)
    return plan if folder is None or os.path.exists(plan) else _find_within(folder, begin.run_file)


class Project:
    """Finds the files of a manifest from the present path of its run directory."""

    def __init__(self, directory: AnyPath, head: Head) -> None:
        self._was = head.root or (None if head.run_file is None else find_folder(head.run_file))
        self._now = self._was
        self._file = head.run_file
        within = None if self._was is None else strip_folder(self._was, head.directory)
        if within is not None and self._was is not None:
            way = os.path.relpath(self._was, head.directory)
            self._now = os.path.normpath(os.path.join(os.fspath(directory), way))

    @property
    def run_file(self) -> Optional[str]:
        """The present path of the run file; None if it had none."""
        if self._file is None or self._now is None:
            return None
        return os.path.join(self._now, os.path.basename(self._file))

    def make_reading(self, record: OutputRecord) -> Reading:
        """Return the manifest's record of a file as a `Reading`, with its present path."""
        relative = record.relative
        if relative is None and self._was is not None:  # written by an older procsup
            relative = strip_folder(self._was, record.path)
        path = record.path
        if relative is not None and self._now is not None:
            path = join_folder(self._now, relative)
        return record.make_reading(path)

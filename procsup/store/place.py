"""Where a project is by now: its folder found from where its run directory lies.

A project that was moved, copied or restored takes its run directory with it, as a rule: then both
are as far from each other as they were, and everything that is recorded is found from there.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from procsup.core.manifest import Head, OutputRecord
from procsup.core.outcome import Reading
from procsup.core.rooted import at, below, folder_of
from procsup.host.files import AnyPath

if TYPE_CHECKING:  # who waits reads manifests only
    from procsup.core.records import Begin

HOME = ".procsup"


def way_to(folder: str, directory: AnyPath) -> str:
    """Return what `Begin.root` is: how the run file's folder is found from the run directory."""
    within = below(folder, os.fspath(directory))
    return folder if within is None else os.path.relpath(folder, os.fspath(directory))


def folder_now(directory: AnyPath, begin: "Begin") -> Optional[str]:
    """Return where the folder of a sitting's run file is; None if that is not known.

    `directory` is the run directory. A journal of the first form does not say how far that is
    from the folder: the run file is looked for where it lies by default.
    """
    if begin.root:
        return os.path.normpath(os.path.join(os.fspath(directory), begin.root))
    if begin.run_file is None:
        return None
    home = Path(directory).parent
    if home.name == HOME and os.path.isfile(home.parent / os.path.basename(begin.run_file)):
        return str(home.parent)
    return folder_of(begin.run_file)


def folder_before(directory: AnyPath, begin: "Begin") -> Optional[str]:
    """Return where the folder was when the sitting began; None if that is not known."""
    if begin.run_file is None:
        return None
    folder = folder_of(begin.run_file)
    if not begin.root or run_file_now(directory, begin) != _within(directory, begin.run_file):
        return folder
    return os.path.normpath(os.path.join(folder, begin.root))  # of a plan in the run directory


def _within(directory: AnyPath, file: str) -> str:
    return os.path.join(os.fspath(directory), os.path.basename(file))


def run_file_now(directory: AnyPath, begin: "Begin") -> Optional[str]:
    """Return where the file that a sitting was made from is by now; None if there was none.

    The plan of a program lies in the run directory itself.
    """
    if begin.run_file is None:
        return None
    plan = _within(directory, begin.run_file)
    folder = folder_now(directory, begin)
    return plan if folder is None or os.path.exists(plan) else _within(folder, begin.run_file)


class Project:
    """The files of a manifest, found from where its run directory lies by now."""

    def __init__(self, directory: AnyPath, head: Head) -> None:
        self._was = head.root or (None if head.run_file is None else folder_of(head.run_file))
        self._now = self._was
        within = None if self._was is None else below(self._was, head.directory)
        if within is not None and self._was is not None:
            way = os.path.relpath(self._was, head.directory)
            self._now = os.path.normpath(os.path.join(os.fspath(directory), way))

    def reading(self, record: OutputRecord) -> Reading:
        """Return what the manifest says of a file, with the path that it has by now."""
        relative = record.relative
        if relative is None and self._was is not None:  # of an older procsup
            relative = below(self._was, record.path)
        path = record.path
        if relative is not None and self._now is not None:
            path = at(self._now, relative)
        return record.reading(path)

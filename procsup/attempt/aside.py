"""`on-failed-outputs = "aside"`: moves away the files that an attempt without a good end left.

A file was left by that attempt if it is among the declared outputs, was written or renamed there
since the attempt started, and differs from the file of the last success. Its stamps decide: after
the death of a supervisor nothing else is known. If the clock of the file system is behind, files
written right after the start may look older: they stay, and are leftover files. In a copied project
all files are as new as the copy, so files from before the attempt are moved aside, too.
"""

import os
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

from procsup.attempt.outputs import display_path, name_temporary_output
from procsup.attempt.private_files import open_private_folder
from procsup.core.outcome import AttemptId, Reading
from procsup.core.rooted import strip_folder
from procsup.core.spec import UnitSpec
from procsup.core.task import Aside, Task
from procsup.core.text import count_noun
from procsup.host.files import describe_error
from procsup.host.opened import Folder
from procsup.host.readings import find_input_files, list_inputs, list_outputs
from procsup.paths.identity import find_link, is_intact, read_stamp
from procsup.paths.walk import list_files

_COARSEST_CLOCK_NS = 2_000_000_000  # of file systems
_NAMED = 3


def put_aside(task: Task, folder: Path, run_dir: str) -> Tuple[str, ...]:
    """Rename the files that the previous attempt left into `folder`; return remarks about it.

    A file that cannot be moved stays, and a remark names it. RecordError if one of the folders
    below the run directory is not a folder of ours.
    """
    aside = task.aside
    if aside is None:
        return ()
    root = task.rules.folder
    stuck: List[str] = []
    left = list(_find_left(task, aside, stuck))
    problems = {path: _try_move(path, _choose_target(path, folder, root), run_dir) for path in left}
    stuck += [f"{display_path(path, root)} ({why})" for path, why in problems.items() if why]
    moved = [display_path(path, root) for path, why in problems.items() if not why]
    said: List[str] = []
    if moved:
        files, where = count_noun(len(moved), "file"), display_path(os.fspath(folder), root)
        said.append(
            f"moved {files} that attempt {aside.number} left to {where}: {_join_some(moved)}"
        )
    if stuck:
        files = count_noun(len(stuck), "file")
        said.append(f"could not move {files} that attempt {aside.number} left: {_join_some(stuck)}")
    return tuple(said)


def _find_left(task: Task, aside: Aside, stuck: List[str]) -> Iterator[str]:
    """Yield the files that the attempt left; add unreadable paths to `stuck`."""
    unit = task.unit
    since_ns = int(aside.since * 1e9) - _COARSEST_CLOCK_NS
    vouched: Dict[str, Reading] = {reading.path: reading for reading in task.vouched}
    try:
        spared = {
            path
            for one in list_inputs(unit)
            for path in find_input_files(unit, one, task.rules.published)
        }
        found = [path for output in list_outputs(unit) for path in list_files(output)]
    except OSError as error:
        stuck.append(f"{error.filename} ({describe_error(error)})")
        return
    found += _list_temporaries(unit, aside.number)
    for path in dict.fromkeys(found):
        if path in spared or not _is_newer(path, since_ns):
            continue
        recorded = vouched.get(path)
        if recorded is not None and is_intact(recorded, checksum=task.rules.checksum):
            continue
        yield path


def _list_temporaries(unit: UnitSpec, number: int) -> Iterator[str]:
    """Yield the files for stdout and stderr that were never published."""
    for target in (unit.stdout, unit.stderr):
        if target is not None:
            path = name_temporary_output(target, AttemptId(unit.id, number))
            if os.path.lexists(path):
                yield path


def _is_newer(path: str, since_ns: int) -> bool:
    """Whether a file, or the link in its place, was made or changed since then."""
    try:
        one = find_link(path) or read_stamp(path)
    except OSError:
        return False
    return one is not None and max(one.ctime_ns, one.mtime_ns) >= since_ns


def _choose_target(path: str, folder: Path, root: str) -> Path:
    """Return a file's new path: below `folder` by its path from the run file's folder, or root."""
    inside = strip_folder(root, path)
    if inside is not None:
        return folder / inside
    return folder / "@" / os.path.splitdrive(path)[1].lstrip("/" + os.sep)


def _try_move(path: str, target: Path, run_dir: str) -> str:
    """Move a file; return why that failed, empty if it was moved."""
    above, name = os.path.split(path)
    try:
        with open_private_folder(os.fspath(target.parent), run_dir) as folder:
            if folder.has(target.name):
                return f"{target} is there already"
            with Folder.open_followed(above) as source:
                folder.take(source, name, target.name)
    except OSError as error:
        return describe_error(error)
    return ""


def _join_some(words: List[str]) -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more

"""Checks and makes the folders that a stage will write to, before its first unit starts."""

import errno
import os
from functools import partial
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

from procsup.core.spec import RunSpec, UnitSpec
from procsup.core.text import list_some, make_visible
from procsup.host import readings as look
from procsup.host.files import describe_error, make_temporary_name
from procsup.host.opened import Folder
from procsup.paths.walk import find_home

_LISTED_MOST = 5


def check_run_directory(spec: RunSpec) -> List[str]:
    """Write a small file to the run directory, to detect a full disk before the start."""
    probe = make_temporary_name()
    try:
        with Folder.open(spec.directory) as folder:
            if not folder.is_ours():  # it has been exchanged since the sitting opened it
                raise PermissionError(errno.EPERM, "it belongs to another user")
            fd = folder.create(probe)
            try:
                os.write(fd, b"\0" * 4096)
            finally:
                os.close(fd)
                folder.unlink(probe)
    except OSError as error:
        where = make_visible(spec.directory)
        why = f"{describe_error(error)}; {_describe_cure(error)}"
        return [f"the run directory {where} cannot be written: {why}"]
    return []


def make_output_folders(spec: RunSpec, units: Sequence[UnitSpec]) -> List[str]:
    """Make the folders of the outputs; on return their names are durable."""
    homes = {find_home(output) for unit in units for output in look.list_outputs(unit)}
    changed: Set[str] = set()
    groups: Dict[Tuple[str, str], List[str]] = {}
    for folder in sorted(homes):
        reason = _try_make(partial(_make_folder, folder, changed))
        if reason is not None:
            groups.setdefault(reason, []).append(folder)
    if spec.sync_outputs:
        readable = (folder for folder in sorted(changed) if os.access(folder, os.R_OK))
        for folder in readable:  # a folder without read permission cannot be opened for a sync
            reason = _try_make(partial(look.sync_folder, folder))
            if reason is not None:
                groups.setdefault(reason, []).append(folder)
    return [
        f"the output folder {join_names(folders)} cannot be written: {reason}; {cure}"
        for (reason, cure), folders in groups.items()
    ]


def _try_make(act: Callable[[], None]) -> Optional[Tuple[str, str]]:
    try:
        act()
    except OSError as error:
        return describe_error(error), _describe_cure(error)
    return None


def _make_folder(folder: str, changed: Set[str]) -> None:
    """Make a folder and those above it; add every folder that has a new entry to `changed`.

    An existing folder counts as new: a start that was killed before its sync may have made it.
    """
    if os.path.isdir(folder):
        changed.add(os.path.dirname(folder))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return
    parent = os.path.dirname(folder)
    if parent == folder:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    _make_folder(parent, changed)
    try:
        os.mkdir(folder)
    except FileExistsError:
        if os.path.isdir(folder):
            return  # another process made it in the meantime
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is a file", folder) from None
    changed.add(parent)


def _describe_cure(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room"
    if error.errno == errno.EROFS:
        return "choose another place: the file system is read-only"
    return "make it a folder that you may write to, or choose another"


def join_names(names: Sequence[str]) -> str:
    """Return the first few names, and the number of the rest."""
    return make_visible(list_some(names, _LISTED_MOST))

"""The folders and small files that are made for an attempt before it starts."""

import os
import stat
from typing import Mapping, Tuple

from procsup.core.spec import UnitSpec
from procsup.errors import RecordError
from procsup.paths.walk import home_of


def make_folders(unit: UnitSpec) -> None:
    """Make the folders that hold the declared files (of a glob: what precedes its wildcards)."""
    homes = [home_of(output) for output in unit.outputs]
    homes += [os.path.dirname(path) for path in (unit.stdout, unit.stderr) if path is not None]
    for folder in homes:
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)


def write_lists(lists: Mapping[str, Tuple[str, ...]]) -> None:
    """Write the lists that are too long for a command line."""
    for path, lines in lists.items():
        make_private_folder(os.path.dirname(path))
        write_private(path, b"".join(os.fsencode(line) + b"\n" for line in lines))


def make_private_folder(path: str) -> None:
    """Make a private folder (mode 0700), and the one above it, if they are missing.

    RecordError if something else stands there.
    """
    # `makedirs` applies the mode to the last folder only: so the parent gets a call of its own.
    for folder in (os.path.dirname(path), path):
        refuse_planted(folder)
        os.makedirs(folder, mode=0o700, exist_ok=True)


def refuse_planted(folder: str) -> None:
    """Raise RecordError if the path exists and is not a folder."""
    try:
        mode = os.lstat(folder).st_mode
    except FileNotFoundError:
        return  # it will be made
    if not stat.S_ISDIR(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "no folder"
        raise RecordError(f"{folder} is {kind}: refused, remove it")


def write_private(path: str, data: bytes) -> None:
    """Write a private file and rename it into place: an earlier attempt may still read the old."""
    temporary = path + ".new"
    with open(temporary, "wb", opener=_open_private) as file:
        file.write(data)
    os.replace(temporary, path)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)

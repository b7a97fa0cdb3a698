"""The folders and small files that are made for an attempt before it starts."""

import os
import stat
from typing import Mapping, Tuple

from msgspec import Struct

from procsup.core.spec import UnitSpec
from procsup.core.text import make_visible
from procsup.errors import RecordError
from procsup.host.files import describe_error
from procsup.host.opened import Folder, Identity
from procsup.paths.walk import find_home


def make_folders(unit: UnitSpec) -> None:
    """Make the folders of the declared files (of a glob: the folders before its wildcards)."""
    homes = [find_home(output) for output in unit.outputs]
    homes += [os.path.dirname(path) for path in (unit.stdout, unit.stderr) if path is not None]
    for folder in homes:
        if not os.path.isdir(folder):
            os.makedirs(folder, exist_ok=True)


def write_lists(lists: Mapping[str, Tuple[str, ...]], run_dir: str) -> None:
    """Write the lists that are too long for a command line."""
    for path, lines in lists.items():
        write_private(path, b"".join(os.fsencode(line) + b"\n" for line in lines), run_dir)


def write_private(path: str, data: bytes, run_dir: str) -> None:
    """Write a private file below the run directory; its folder is made if it is missing.

    It is renamed into place: an earlier attempt may still read the old one. RecordError as
    `open_private_folder`.
    """
    name = os.path.basename(path)
    with open_private_folder(os.path.dirname(path), run_dir) as folder:
        with os.fdopen(folder.create(f"{name}.new"), "wb") as file:
            file.write(data)
        folder.rename(f"{name}.new", name)


def open_private_folder(path: str, run_dir: str) -> Folder:
    """Open a folder below the run directory; make it, and those above it, with mode 0700.

    RecordError if one of them is not a folder of ours.
    """
    # It is opened by its path: another process than the supervisor may start attempts.
    folder = Folder.open(run_dir)
    if not folder.is_ours():
        folder.close()
        raise RecordError(f"{run_dir} belongs to another user: refused")
    for name in os.path.relpath(path, run_dir).split(os.sep):
        with folder:
            try:
                folder = folder.make(name)
            except (NotADirectoryError, PermissionError) as error:
                refuse_planted(os.path.join(folder.path, name))
                raise RecordError(f"{error.filename}: {describe_error(error)}: refused") from error
    return folder


class Scratch(Struct, frozen=True):
    """The scratch folder that was made for an attempt."""

    path: str
    made: Identity

    @classmethod
    def make(cls, path: str, run_dir: str) -> "Scratch":
        """Make it, empty; RecordError as `open_private_folder`, OSError if it cannot be made."""
        above, name = os.path.split(path)
        with open_private_folder(above, run_dir) as folder, folder.make_anew(name) as made:
            return cls(path, made.identity)

    def remove(self) -> str:
        """Remove it with its contents; return a remark about entries that stay, empty if none does.

        Links are not followed. Mounts in it stay, and so does another folder that has its name.
        """
        try:
            with Folder.open(os.path.dirname(self.path)) as folder:
                folder.remove_tree(os.path.basename(self.path), self.made)
        except FileNotFoundError:
            return ""  # the unit has removed it
        except OSError as error:
            where = make_visible(str(error.filename or self.path))
            return f"scratch folder: {where} could not be removed: {describe_error(error)}"
        return ""


def refuse_planted(folder: str) -> None:
    """Raise RecordError if the path exists and is not a folder."""
    try:
        mode = os.lstat(folder).st_mode
    except FileNotFoundError:
        return  # it will be made
    if not stat.S_ISDIR(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "no folder"
        raise RecordError(f"{folder} is {kind}: refused, remove it")

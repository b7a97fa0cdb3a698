"""Paths relative to a folder, as text, in the notation of any system.

Folders and paths are absolute and normalized.
"""

from functools import lru_cache
from typing import Optional

HOME = ".procsup"  # beside a run file: the folder of its run directories, unless `dir` says other
RUN_LOCK, UNITS_LOCK = "run.lock", "units.lock"  # files that identify a run directory


def strip_folder(folder: str, path: str) -> Optional[str]:
    """Return the path relative to the folder; None if it is not below it."""
    start = find_start(folder)
    return path[len(start) :] if path.startswith(start) and path != start else None


def join_folder(folder: str, path: str) -> str:
    """Return a recorded path as an absolute one; relative ones start at this folder."""
    return path if is_absolute(path, folder) else find_start(folder) + path


def find_separator(folder: str) -> str:
    """Return the path separator of the system of an absolute path."""
    return "/" if folder.startswith("/") else "\\"


@lru_cache(maxsize=64)  # called for each file of a run, with very few folders
def find_start(folder: str) -> str:
    """Return the prefix of all paths below the folder."""
    separator = find_separator(folder)
    return folder if folder.endswith(separator) else folder + separator


def is_absolute(path: str, folder: str) -> bool:
    """Whether a path is absolute on the system of `folder`, which is absolute."""
    if folder.startswith("/"):
        return path.startswith("/")
    return path[:1] in ("\\", "/") or path[1:2] == ":"


def find_folder(file: str) -> str:
    """Return the folder that a file is in."""
    separator = find_separator(file)
    return file.rpartition(separator)[0] or separator

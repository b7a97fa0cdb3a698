"""Reads logs that are whole files, or parts of one."""

import errno
import os
from typing import BinaryIO, NamedTuple, Optional, Sequence, Tuple

from procsup.core.outcome import Part
from procsup.host.files import AnyPath, open_reading
from procsup.host.owners import is_ours, refuse_foreign
from procsup.paths.opening import read_part


class LogPlaces(NamedTuple):
    """Where the logs of a run are: relative paths start at the run directory `run`.

    `only` are the folders in which they must be; empty: they may be anywhere. `owner` is the user
    (uid) of the run, where that is known from the open run directory; None: who owns the folder
    that has the path `run` when a log is read.
    """

    run: str
    only: Tuple[str, ...] = ()
    owner: Optional[int] = None


def open_log(
    path: AnyPath,
    part: Optional[Part] = None,
    *,
    run: AnyPath,
    only: Sequence[str] = (),
    owner: Optional[int] = None,
) -> BinaryIO:
    """Open a log for reading; with a part, (offset, length) in bytes, only that can be read.

    A relative path starts at the run directory `run`. OSError if the log cannot be opened, or is
    not a regular file of the run's user: the record of another user's run may name any file that we
    may read. The record of a copy, which may come with a checkout, may do so, too: of a copy only
    logs that really are in one of the folders `only` are read. The path of a live run may lead to
    another user's folder by now: its supervisor knows the `owner` (uid).
    """
    name, folder = os.path.join(run, path), os.fspath(run)
    file = open_reading(name)
    try:
        # A path in our own run file may be on a file system that has other user ids.
        if _is_below(folder, name) or not is_ours(os.lstat(folder)):
            uid = os.lstat(folder).st_uid if owner is None else owner
            refuse_foreign(file.fileno(), name, uid)
        _refuse_link_out(name, folder)
        _refuse_outside(name, only)
    except BaseException:
        file.close()
        raise
    if part is None:
        return file
    with file:
        return read_part(os.dup(file.fileno()), *part)


def _refuse_link_out(path: str, run: str) -> None:
    """Raise OSError for a link: procsup makes none, and one in a checkout may lead to a secret."""
    if _is_below(run, path) and not _is_below(os.path.realpath(run), os.path.realpath(path)):
        raise OSError(errno.EINVAL, "it is a link out of the run directory", path)


def _refuse_outside(path: str, only: Sequence[str]) -> None:
    real = os.path.realpath(path)
    if only and not any(_is_below(os.path.realpath(folder), real) for folder in only):
        problem = (
            "it is outside of the run directory, and the records are a copy, which may name any"
            " file. If you know it, open it yourself, or keep what the copy says: procsup run"
            " --adopt"
        )
        raise OSError(errno.EINVAL, problem, path)


def _is_below(folder: str, path: str) -> bool:
    """Whether a path is that of something in a folder, as text."""
    return os.path.normpath(path).startswith(os.path.join(folder, ""))

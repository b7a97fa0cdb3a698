"""Finds out whether a journal is the file that its last sitting wrote to, or a copy of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional

import msgspec

from procsup.core.manifest import Head
from procsup.core.rooted import join_folder, strip_folder
from procsup.host import identity
from procsup.host.files import open_record, read_file_id
from procsup.store.place import find_folder_before, find_folder_now, run_file_now
from procsup.store.rundir import RunDir

if TYPE_CHECKING:  # `wait` reads only manifests and must not import these (start-up budget)
    from typing import Protocol

    from procsup.core.records import Begin
    from procsup.host.opened import Folder

    class _Beginning(Protocol):
        """The fields of a `Begin` record that identify its journal."""

        @property
        def journal(self) -> str: ...
        @property
        def born_ns(self) -> Optional[int]: ...
        @property
        def host(self) -> str: ...
        @property
        def boot_id(self) -> str: ...


_LONGEST_BYTES = 1 << 20


def is_copy(rundir: RunDir, begin: _Beginning, folder: Optional[Folder] = None) -> bool:
    """Whether this record is known to come from another journal than the run directory's.

    `folder` is the run directory, if a sitting has it open: then the journal in it is compared.
    Device numbers may change with every boot; inodes and creation times do not. Some file systems
    have no creation times, and older versions did not record them. The oldest records do not
    identify their file: such a journal counts as a copy on any other host.
    """
    if not begin.journal:
        return begin.host != identity.get_host_name()
    dir_fd = None if folder is None else folder.fd
    device, _, inode = begin.journal.partition(":")
    here_device, _, here_inode = read_file_id(rundir.journal, dir_fd=dir_fd).partition(":")
    if inode != here_inode:
        return True
    if begin.boot_id == identity.read_boot_id() and device != here_device:
        return True
    if begin.born_ns is None:
        return False
    from procsup.host.birth import read_born_ns  # loads ctypes

    here_born = read_born_ns(rundir.journal, dir_fd=dir_fd)
    return here_born is not None and here_born != begin.born_ns


def is_original(rundir: RunDir, begin: _Beginning, folder: Optional[Folder] = None) -> bool:
    """Whether this record is known to have been written to the run directory's own journal."""
    return begin.journal != "" and not is_copy(rundir, begin, folder)


class _First:
    """The few fields of a `Begin` record that are needed: `wait` must not load core/records.py."""

    born_ns = None  # not compared: that needs ctypes

    def __init__(self, fields: object) -> None:
        """Take the decoded fields; ValueError if they are not those of a record."""
        if not isinstance(fields, dict):
            raise ValueError("no record")
        texts = [fields.get(name, "") for name in ("journal", "host", "boot_id")]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("no record")
        self.journal, self.host, self.boot_id = texts


def find_copy_source(rundir: RunDir, head: Head) -> Optional[str]:
    """Return where the result in a copied run directory was made: ``HOST:DIRECTORY``.

    None if it was made here, as far as is known: journals of other users cannot be read, and a
    missing or damaged journal proves nothing. Most runs began here: then only one line is read.
    """
    try:
        if not is_copy(rundir, _read_first(rundir)):
            return None
        from procsup.store.reader import read_last_begin  # rarely needed, and slow to load

        begin = read_last_begin(rundir.journal)
        if begin is not None and not is_copy(rundir, begin):
            return None  # the copy was adopted: its run continues here
    except PermissionError:
        return None
    except (OSError, ValueError):
        pass  # a damaged journal proves nothing
    return f"{head.host}:{head.directory}"


def _read_first(rundir: RunDir) -> _First:
    """Return the first record of the journal; OSError, or ValueError if it cannot be decoded."""
    with open_record(rundir.journal) as file:
        line = file.readline(_LONGEST_BYTES)
    try:
        return _First(msgspec.json.decode(line.split(b" ", 2)[-1]))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"no record: {error}") from error


def find_origin(rundir: RunDir, begin: Begin) -> Optional[str]:
    """Return where the last sitting of a copied journal began: ``HOST:DIRECTORY``.

    None if it began here, as far as is known. Of a run directory that was copied without its run
    file only the folder of that file is known.
    """
    if not is_copy(rundir, begin):
        return None
    was, now = find_folder_before(rundir.path, begin), find_folder_now(rundir.path, begin)
    if was is None:
        return f"{begin.host}:{rundir.path}"
    file, within = run_file_now(rundir.path, begin), None
    if now is not None and file is not None and os.path.isfile(file):
        within = strip_folder(now, str(rundir.path))
    return f"{begin.host}:{was if within is None else join_folder(was, within)}"


def describe_copy(rundir: RunDir, source: str, ended: Optional[str] = None) -> str:
    """Say that these are the records of a copy, and what to do; `ended` is the end of their run."""
    where = "restored from a copy" if source.endswith(f":{rundir.path}") else f"a copy of {source}"
    when = "" if ended is None else f", at {ended}"
    return (
        f"{rundir.path} is {where}: what it says was recorded there{when}."
        " `procsup run` with --adopt keeps what is intact here, with --fresh it runs all again"
    )

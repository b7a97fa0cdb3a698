"""Removes run directories; after a kill in between, either the run or only a remainder exists.

A run directory is renamed first, while its lock is held: from then on it is not a run any more,
and the next `prune` removes the remainder. Only files that procsup makes are removed, no link is
followed, and nothing is removed across a mount. The folder that is removed is the one that was
examined when the removal was decided, even if another one has its name now.
"""

import errno
import os
import re
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from procsup.core.regexes import compile_at_use
from procsup.core.rooted import RUN_LOCK
from procsup.errors import RecordError, RunBusy
from procsup.host.files import describe_error, sync_folder
from procsup.host.locks import FileLock, locks_work
from procsup.host.mounts import find_mount_below
from procsup.host.opened import Folder, Identity, make_identity
from procsup.host.owners import is_root
from procsup.host.units_lock import UnitsLock
from procsup.store.rundir import JOURNAL, OURS, RunDir, has_records
from procsup.store.sitting import (
    is_live,
    is_starting,
    read_owner,
    refuse_unprovable,
    take_when_ended,
)
from procsup.store.trust import is_trusted

_REST = compile_at_use(r"\.procsup-\d+-[0-9a-f]+-.*\.part", re.DOTALL)  # see _rename_target
_ATTEMPTS = 100  # when two processes remove the same directory
_LAST = (RUN_LOCK, JOURNAL)


class Mounted(RecordError):
    """A run that can be removed as soon as something is unmounted."""


class RemovedFiles(NamedTuple):
    """How many files and bytes were removed, or would be."""

    files: int = 0
    size_bytes: int = 0


class Target(NamedTuple):
    """A folder to remove, as it was when that was decided. `home`: its parent; None: any."""

    path: Path
    folder: Identity
    home: Optional[Identity] = None


# --- what may be removed -----------------------------------------------------------------------


def make_target(rundir: RunDir) -> Target:
    """Return a run directory as a target; RecordError says why it must stay."""
    with _open_planned(rundir.path) as (home, folder):
        inside = RunDir(folder.place)
        problem = _explain_no_run(folder.list_names())
        if not problem and not any(path.is_file() for path in (inside.journal, inside.run_lock)):
            problem = "it has no journal and no supervisor ever held it: it is no run directory"
        problem = problem or _explain_busy(inside)
        if problem:
            raise RecordError(f"{rundir.path} is left alone: {problem}")
        return Target(rundir.path, folder.identity, home.identity)


@contextmanager
def _open_planned(path: Path, planned: Optional[Target] = None) -> Iterator[Tuple[Folder, Folder]]:
    """Open a folder, and the folder that it is in.

    RecordError if it is not the planned one, or if other users may exchange it or own it.
    """
    with ExitStack() as stack:
        try:
            home = stack.enter_context(Folder.open(path.parent))
            folder = stack.enter_context(home.open_plain_child(path.name))
            if planned is not None:
                folder.require(planned.folder)
                home.require(planned.home or home.identity)
            if planned is None or planned.home is not None:
                _refuse_foreign(home, folder)
        except OSError as error:
            kind = Mounted if error.errno == errno.EBUSY else RecordError  # see `refuse_mount`
            raise kind(f"{path} is left alone: {_explain_closed(error, path)}") from error
        yield home, folder


def _explain_closed(error: OSError, path: Path) -> str:
    where = os.fspath(path) if error.filename is None else os.fspath(error.filename)
    named = "" if where == os.fspath(path) else f"{where}: "
    if isinstance(error, NotADirectoryError):
        return f"{named}it is a link or no folder: remove what it leads to by its own path"
    return named + describe_error(error)


def _refuse_foreign(home: Folder, folder: Folder) -> None:
    """Raise RecordError if other users could decide what is removed.

    For an ordinary user it is enough that the inode is the planned one. Root may remove everything,
    so for root no other user may be able to exchange a folder.
    """
    uid, why = home.status.st_uid, home.explain_others_may_write()
    problem = ""
    if not (home.is_ours() or uid == 0 or is_trusted(home.path)):
        problem = f"{home.path} belongs to another user (uid {uid}): keep runs elsewhere (--dir)"
    elif (uid == 0 or is_root()) and why is not None and not is_trusted(home.path):
        problem = f"{home.path} {why}: `chmod go-w` it first"
    elif not folder.is_ours():
        problem = f"it belongs to another user (uid {folder.status.st_uid}), who alone removes it"
    if problem:
        raise RecordError(f"{folder.path} is left alone: {problem}")


def _explain_no_run(names: Iterable[str]) -> Optional[str]:
    """Return why a folder with these names was not made by procsup; None if it was."""
    stranger = min((name for name in names if not OURS.fullmatch(name)), default=None)
    if stranger is None:
        return None
    return f"it holds {stranger}, which is not procsup's: move that away first"


def _explain_busy(rundir: RunDir) -> Optional[str]:
    owner = read_owner(rundir)
    if owner is not None and (is_live(rundir, owner) or is_starting(owner)):
        return f"it is in use by {owner.describe()}"
    if not take_when_ended(rundir, lambda: not FileLock(rundir.run_lock).is_held()):
        return "it is in use"
    if UnitsLock(rundir.units_lock).is_held():
        return "units of it still run; `procsup run` or `procsup stop` ends them"
    return None


def list_half_removed(home: Path) -> List[Target]:
    """Return what interrupted removals left in a folder of runs; only folders of our own."""
    try:
        names = sorted(name for name in os.listdir(home) if _REST.fullmatch(name))
    except OSError:
        return []
    found: List[Target] = []
    for name in names:
        try:
            with _open_planned(home / name) as (above, folder):
                if not (_explain_no_run(folder.list_names()) or _is_being_removed(folder)):
                    found.append(Target(home / name, folder.identity, above.identity))
        except (OSError, RecordError):  # noqa: PERF203
            continue  # a link, another user's folder, or gone by now
    return found


def _is_being_removed(folder: Folder) -> bool:
    return FileLock(RunDir(folder.place).run_lock).is_held()


def refuse_mount_in(path: Path) -> None:
    """Raise Mounted if something is mounted in a folder."""
    point = find_mount_below(path)
    if point:
        raise Mounted(f"{path} is left alone: {point} is a mount point: unmount it first")


# --- removal of runs ---------------------------------------------------------------------------


def remove_run(rundir: RunDir, planned: Target) -> None:
    """Remove a run directory with its contents.

    RunBusy if a supervisor holds or takes it, RecordError if it is not the planned one or cannot
    be removed.
    """
    with _open_planned(rundir.path, planned) as (home, folder):
        _remove_held(rundir, home, folder, _hold(rundir, folder))


def _remove_held(rundir: RunDir, home: Folder, folder: Folder, held: FileLock) -> None:
    try:
        renamed = _rename_target(home, rundir.path.name, folder.identity, held)
        _clear(home, renamed, folder.identity, but=_LAST)
    finally:
        held.close()  # Windows removes no file that is open
    _remove_rest(home, renamed, folder.identity)


def remove_unbegun(rundir: RunDir, made: Identity) -> None:
    """Remove a run directory in which nothing was recorded; leave it if that fails.

    `made` identifies the directory: one that has replaced it belongs to another run.
    """
    try:
        with _open_planned(rundir.path, Target(rundir.path, made)) as (home, folder):
            held = _hold(rundir, folder)
            if has_records(RunDir(folder.place)):
                held.close()  # a supervisor took it first
            else:
                _remove_held(rundir, home, folder, held)
    except (OSError, RecordError, RunBusy):
        pass  # another run has it now, or it stays empty, and `prune` removes it


def _hold(rundir: RunDir, folder: Folder) -> FileLock:
    """Lock a run directory without changing it; close the lock to release it.

    RunBusy and RecordError as `remove_run`.
    """
    inside = RunDir(folder.place)
    lock = FileLock(inside.run_lock)
    try:
        lockable = locks_work(inside.path)
        if not lockable:
            lock.open()
        elif not take_when_ended(inside, lock.try_exclusive):
            raise RunBusy(f"{rundir.path} is left alone: it is in use")
    except OSError as error:
        raise RecordError(f"{rundir.path} cannot be locked: {describe_error(error)}") from error
    try:
        owner = read_owner(inside)
        refuse_unprovable(rundir, owner, lockable=lockable)
        if UnitsLock(inside.units_lock).is_held():
            raise RunBusy(f"{rundir.path} is left alone: units of it still run")
        # Checked again: with the lock held no other procsup can add files.
        problem = _explain_no_run(folder.list_names())
        if not folder.shows(inside.run_lock.name, lock.fd):
            problem = "another folder has taken its place"
        if problem:
            raise RecordError(f"{rundir.path} is left alone: {problem}")
    except BaseException:
        lock.close()
        raise
    return lock


def _rename_target(home: Folder, name: str, planned: Identity, held: FileLock) -> str:
    """Rename it to a name that no run can have, and return the name; durable on return."""
    new = f".procsup-{os.getpid()}-{os.urandom(8).hex()}-{name[:40]}.part"
    try:
        try:
            home.rename(name, new)
        except PermissionError:
            # Windows renames no folder with an open file. If a process opens one now, this fails.
            held.close()
            home.rename(name, new)
        if make_identity(home.look(new)) != planned:
            home.rename(new, name)
            raise OSError(errno.ESTALE, "another folder has taken its place", name)
        sync_folder(home.path)
    except OSError as error:
        path = os.path.join(home.path, name)
        raise RecordError(f"{path} cannot be removed: {describe_error(error)}") from error
    return new


def finish(rest: Target) -> None:
    """Remove the rest of a run directory that was renamed. RecordError names files that stay."""
    with _open_planned(rest.path, rest) as (home, folder):
        _remove_rest(home, rest.path.name, folder.identity)


def _remove_rest(home: Folder, renamed: str, planned: Identity) -> None:
    """Remove a renamed directory; its lock and journal last."""
    _clear(home, renamed, planned, but=_LAST)
    _clear(home, renamed, planned)
    try:
        home.remove_empty(renamed, planned)
    except FileNotFoundError:
        pass  # another prune was faster
    except OSError as error:
        path = os.path.join(home.path, renamed)
        raise RecordError(f"{path} cannot be removed: {describe_error(error)}") from error


def _clear(home: Folder, renamed: str, planned: Identity, *, but: Tuple[str, ...] = ()) -> None:
    """Empty a folder but for these names; RecordError for a name that procsup does not use."""
    try:
        with home.child(renamed) as folder:
            folder.require(planned)
            for _attempt in range(_ATTEMPTS):
                names = [name for name in folder.list_names() if name not in but]
                problem = _explain_no_run(names)
                if problem:
                    raise RecordError(f"{folder.path} is left alone: {problem}")
                for name in names:
                    _remove(folder, name)
                if not names:
                    return
    except FileNotFoundError:
        return  # another prune was faster
    except OSError as error:
        where = error.filename or os.path.join(home.path, renamed)
        raise RecordError(f"{where} cannot be removed: {describe_error(error)}") from error


def _remove(folder: Folder, name: str) -> None:
    try:
        folder.remove(name)
    except FileNotFoundError:
        pass  # another prune was faster


# --- removal of single files -------------------------------------------------------------------


def remove_logs(rundir: RunDir, planned: Target, paths: Sequence[str]) -> None:
    """Remove these files of a run directory.

    RunBusy if a supervisor holds it, RecordError if it is not the planned one or one of the files
    cannot be removed.
    """
    with _open_planned(rundir.path, planned) as (_home, folder):
        held = _hold(rundir, folder)
        try:
            errors = remove_files(folder, [os.path.relpath(path, rundir.path) for path in paths])
        finally:
            held.close()
    if errors:
        where = errors[0].filename
        raise RecordError(f"{where} cannot be removed: {describe_error(errors[0])}") from errors[0]


def remove_files(root: Folder, paths: Iterable[str]) -> List[OSError]:
    """Remove files, by relative path, of a run directory that we hold; return the errors."""
    errors: List[OSError] = []
    names = sorted(path.replace(os.sep, "/").split("/") for path in paths)
    for parents, group in groupby(names, key=lambda parts: parts[:-1]):
        try:
            with _descend(root, parents) as folder:
                errors += [found for one in group for found in _unlink(folder, one[-1])]
        except FileNotFoundError:  # noqa: PERF203
            pass  # they were removed with their folder
        except (OSError, ValueError) as error:
            path = os.path.join(root.path, *parents)
            errors.append(_add_path(error, path))
    return errors


def _descend(root: Folder, parents: Sequence[str]) -> Folder:
    """Open the folder at this sequence of names below `root`; links and mounts are refused."""
    folder = root.open_plain_child(parents[0])
    for name in parents[1:]:
        with folder:
            folder = folder.open_plain_child(name)
    return folder


def _unlink(folder: Folder, name: str) -> List[OSError]:
    try:
        folder.unlink(name)
    except FileNotFoundError:
        pass  # it was removed before
    except OSError as error:
        return [_add_path(error, os.path.join(folder.path, name))]
    return []


def _add_path(error: Exception, path: str) -> OSError:
    if not isinstance(error, OSError):
        return OSError(errno.EINVAL, "it leads out of the run directory", path)
    error.filename = path
    return error


def measure_sizes(path: Path, only: Optional[Sequence[str]] = None) -> RemovedFiles:
    """Count the files below a folder (or only these) and their bytes; links are not followed."""
    total = RemovedFiles()
    for name in _list_files(path) if only is None else only:
        try:
            size = os.lstat(name).st_size
        except OSError:
            continue  # it was removed meanwhile
        total = RemovedFiles(total.files + 1, total.size_bytes + size)
    return total


def _list_files(path: Path) -> Iterator[str]:
    for folder, _folders, names in os.walk(path):
        for name in names:
            yield os.path.join(folder, name)

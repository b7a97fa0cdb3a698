"""Removes run directories; after a kill in between, either the run or only a remainder exists.

A run directory is renamed first, while its lock is held: from then on it is not a run any more,
and the next `prune` removes the remainder. Only files that procsup makes are removed, and no link
is followed.
"""

import os
import re
import shutil
import stat
import time
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from procsup.errors import RecordError, RunBusy
from procsup.host.files import is_temporary, reason, remove, sync_folder
from procsup.host.locks import FileLock, locks_work
from procsup.host.units_lock import UnitsLock
from procsup.store.rundir import RunDir, has_records
from procsup.store.sitting import is_live, is_starting, read_owner, refuse_unprovable

# Everything that procsup makes in a run directory.
_OURS = re.compile(
    r"journal\.jsonl(\.damaged.*)?|manifest\.json|plan\.jsonl|run\.lock|units\.lock"
    r"|supervisor\.log|\.gitignore|control|failed|lists|locks|logs|scratch|stages|unit-files|units"
    r"|\.procsup-.*"
)
_ATTEMPTS = 100  # when two processes remove the same directory
_LAST = ("run.lock", "journal.jsonl")


class Removed(NamedTuple):
    """What was freed, or would be."""

    files: int = 0
    size_bytes: int = 0


def why_not(rundir: RunDir) -> Optional[str]:
    """Return why this folder must stay; None if it is a run directory that may be removed."""
    status = os.lstat(rundir.path)
    if not stat.S_ISDIR(status.st_mode):
        return "it is a link or no folder: remove what it leads to by its own path"
    strangers = [name for name in os.listdir(rundir.path) if not _OURS.fullmatch(name)]
    if strangers:
        return f"it holds {strangers[0]}, which is not procsup's: move that away first"
    if not any(path.is_file() for path in (rundir.journal, rundir.run_lock)):
        return "it has no journal, and nobody has ever held it: it is no run directory"
    return _why_busy(rundir)


def _why_busy(rundir: RunDir) -> Optional[str]:
    owner = read_owner(rundir)
    if owner is not None and (is_live(rundir, owner) or is_starting(owner)):
        return f"it is in use by {owner.describe()}"
    if FileLock(rundir.run_lock).is_held():
        return "it is in use"
    if UnitsLock(rundir.units_lock).is_held():
        return "units of it still run; `procsup run` or `procsup stop` ends them"
    return None


def remove_run(rundir: RunDir) -> None:
    """Remove a run directory with its contents.

    RunBusy if a supervisor holds or takes it, RecordError if it is no run directory or cannot be
    removed.
    """
    _remove_held(rundir, hold(rundir))


def _remove_held(rundir: RunDir, held: FileLock) -> None:
    try:
        doomed = _renamed(rundir, held)
        _clear(doomed, but=_LAST)
    finally:
        held.close()  # Windows removes no file that is open
    finish(doomed)


def remove_unbegun(rundir: RunDir, made: os.stat_result) -> None:
    """Remove a run directory in which nothing was recorded; leave it if that fails.

    `made` is its `stat` from its creation: a directory that has replaced it is another run's,
    even if it is empty.
    """
    try:
        if not os.path.samestat(os.stat(rundir.path), made):
            return
        held = hold(rundir)
        if has_records(rundir):
            held.close()  # a supervisor took it first
        else:
            _remove_held(rundir, held)
    except (OSError, RecordError, RunBusy):
        pass  # another run has it now, or it stays empty, and `prune` removes it


def hold(rundir: RunDir) -> FileLock:
    """Lock a run directory without changing it; close the lock to release it.

    RunBusy and RecordError as `remove_run`.
    """
    lock = FileLock(rundir.run_lock)
    try:
        lockable = locks_work(rundir.path)
        if not lockable:
            lock.open()
        elif not lock.try_exclusive():
            raise RunBusy(f"{rundir.path} is left alone: it is in use")
    except OSError as error:
        raise RecordError(f"{rundir.path} cannot be locked: {reason(error)}") from error
    try:
        owner = read_owner(rundir)
        refuse_unprovable(rundir, owner, lockable=lockable)
        if UnitsLock(rundir.units_lock).is_held():
            raise RunBusy(f"{rundir.path} is left alone: units of it still run")
        problem = _why_no_run(rundir)
        if problem:
            raise RecordError(f"{rundir.path} is left alone: {problem}")
    except BaseException:
        lock.close()
        raise
    return lock


def _why_no_run(rundir: RunDir) -> Optional[str]:
    # Checked again: with the lock held no other procsup can add files.
    if not stat.S_ISDIR(os.lstat(rundir.path).st_mode):
        return "it is a link or no folder"
    strangers = [name for name in os.listdir(rundir.path) if not _OURS.fullmatch(name)]
    return f"it holds {strangers[0]}, which is not procsup's" if strangers else None


def _renamed(rundir: RunDir, held: FileLock) -> Path:
    """Rename it to a name that no run has; durable on return."""
    target = _free_name(rundir.path)
    try:
        try:
            os.rename(rundir.path, target)
        except PermissionError:
            # Windows renames no folder with an open file. If a process opens one now, this fails.
            held.close()
            os.rename(rundir.path, target)
        sync_folder(target.parent)
    except OSError as error:
        raise RecordError(f"{rundir.path} cannot be removed: {reason(error)}") from error
    return target


def _free_name(path: Path) -> Path:
    return path.parent / f".procsup-{os.getpid()}-{time.time_ns():x}-{path.name[:40]}.part"


def finish(doomed: Path) -> None:
    """Remove a renamed directory; its lock and journal last. RecordError names what stays."""
    _clear(doomed, but=_LAST)
    _clear(doomed)


def _clear(doomed: Path, *, but: Tuple[str, ...] = ()) -> None:
    """Empty a folder but for these names; without any, remove the folder, too."""
    for _attempt in range(_ATTEMPTS):
        try:
            for name in os.listdir(doomed):
                if name not in but:
                    _remove(doomed / name)
            if not but:
                os.rmdir(doomed)
        except FileNotFoundError:  # noqa: PERF203
            if not os.path.lexists(doomed):
                return  # another prune was faster
        except OSError as error:
            where = error.filename or doomed
            raise RecordError(f"{where} cannot be removed: {reason(error)}") from error
        else:
            return


def _remove(path: Path) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def remove_file(path: str, rundir: RunDir) -> None:
    """Remove one file of a run directory that is held; RecordError if it cannot be done."""
    folder = os.path.realpath(os.path.dirname(path))
    if not folder.startswith(os.path.realpath(rundir.path) + os.sep):
        raise RecordError(f"{path} leads out of {rundir.path}: it is left alone")
    try:
        remove(path)
    except OSError as error:
        raise RecordError(f"{path} cannot be removed: {reason(error)}") from error


def half_removed(home: Path) -> List[Path]:
    """Return the remains of interrupted removals in a folder of runs."""
    try:
        names = sorted(name for name in os.listdir(home) if is_temporary(name))
    except OSError:
        return []
    folders = [home / name for name in names if not os.path.islink(home / name)]
    return [path for path in folders if path.is_dir() and not _is_being_removed(path)]


def _is_being_removed(path: Path) -> bool:
    return FileLock(path / "run.lock").is_held()


def sizes(path: Path, only: Optional[Sequence[str]] = None) -> Removed:
    """Count the files below a folder (or these) and their bytes; links are not followed."""
    total = Removed()
    for name in _files(path) if only is None else only:
        try:
            size = os.lstat(name).st_size
        except OSError:
            continue  # it was removed meanwhile
        total = Removed(total.files + 1, total.size_bytes + size)
    return total


def _files(path: Path) -> Iterator[str]:
    for folder, _folders, names in os.walk(path):
        for name in names:
            yield os.path.join(folder, name)

"""Finds the run directory that a name, a path, an id, ``DIR@ID`` or ``last`` stands for."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, List, NamedTuple, Optional, Tuple

from procsup.core.rooted import HOME
from procsup.errors import RecordError, UsageError
from procsup.host.files import AnyPath, is_temporary, open_reading, reason
from procsup.host.folders import absolute, real_file, who_refuses
from procsup.store.manifest import read_head
from procsup.store.place import run_file_now
from procsup.store.rundir import RunDir
from procsup.store.sitting import read_owner

if TYPE_CHECKING:
    from procsup.core.records import Begin


class NoSuchRun(UsageError):
    """No run of that name exists (yet); `known` are the names of the existing runs."""

    def __init__(self, message: str, known: Tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.known = known


class Found(NamedTuple):
    """A run directory, and the id of the requested run (None: the latest of the directory)."""

    rundir: RunDir
    run_id: Optional[str] = None


HomeOf = Callable[[Path], Optional[Path]]


def find(run: str, start: AnyPath, *, home_of: HomeOf = lambda _file: None) -> Found:
    """Find a run, looking from the folder `start` upwards; NoSuchRun if none.

    `home_of` returns the folder of a run file's runs, if that is not the ``.procsup`` beside it.

    `run` is first taken as the path of a file or folder, then as ``last``, a name or an id in the
    nearest ``.procsup``. RecordError, which names the owner, if the run may not be read: its
    state would be unknown.
    """
    found = _find(run, start, home_of)
    try:
        open_reading(found.rundir.run_lock).close()
    except PermissionError as error:
        raise RecordError(f"run {run!r} cannot be read: {reason(error)}") from error
    except OSError:
        pass  # it was never begun, or is no file: the caller reports which
    return found


def _find(run: str, start: AnyPath, home_of: HomeOf) -> Found:
    folder, separator, run_id = run.rpartition("@")
    if separator and _is_run_dir(Path(start, folder)):
        return Found(RunDir(Path(start, folder)), run_id)
    path = Path(start, run)
    if _is_run_dir(path):
        return Found(RunDir(path))
    if os.path.isfile(path):
        return Found(_of_run_file(Path(real_file(path)), home_of))
    if separator and os.sep in folder:
        _refuse_closed(run, Path(start, folder))
        raise NoSuchRun(f"no run directory at {Path(start, folder)}")
    try:
        return _by_name(run, Path(start))
    except NoSuchRun:
        _refuse_closed(run, path)
        raise


def nearest_home(start: AnyPath) -> Optional[Path]:
    """Return the nearest ``.procsup`` folder from `start` upwards; None if there is none.

    UsageError if `start` does not exist any more, RecordError if a folder above it is unreadable.
    """
    here = Path(absolute(start))
    for folder in (here, *here.parents):
        if is_folder(folder / HOME):
            return folder / HOME
    return None


def is_folder(path: Path) -> bool:
    """Whether a folder exists; RecordError, which names the owner, without permission to look."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError as error:
        raise RecordError(f"{path} cannot be looked for: {reason(error)}") from error
    except (OSError, ValueError):  # not there, or no name that a file can have
        return False


def runs_in(home: AnyPath) -> List[RunDir]:
    """Return the run directories in a ``.procsup`` folder, by name.

    Directories that are being removed have a temporary name and are left out. Folders that may
    not be entered are included: they may be run directories. RecordError if `home` itself may not
    be read.
    """
    try:
        names = sorted(name for name in os.listdir(home) if not is_temporary(name))
    except PermissionError as error:
        raise RecordError(f"the runs in {home} cannot be read: {reason(error)}") from error
    except OSError:
        return []
    paths = (Path(home, name) for name in names)
    return [RunDir(path) for path in paths if _is_run_dir(path, if_closed=True)]


def _is_run_dir(path: Path, *, if_closed: bool = False) -> bool:
    for name in ("journal.jsonl", "run.lock"):
        try:
            if stat.S_ISREG(os.stat(path / name).st_mode):
                return True
        except PermissionError:  # noqa: PERF203 - it ends the loop
            return if_closed
        except (OSError, ValueError):  # not there, or no name that a file can have
            continue
    return False


def _refuse_closed(run: str, path: Path) -> None:
    """Raise RecordError if we have no permission for that path: a run may exist there."""
    try:
        os.stat(path / "run.lock")
    except PermissionError as error:
        raise RecordError(f"run {run!r} cannot be read: {reason(error)}") from error
    except (OSError, ValueError):
        return  # it does not exist: the caller reports that


def _by_name(run: str, start: Path) -> Found:
    home = nearest_home(start)
    if home is None:
        raise NoSuchRun(
            f"no run {run!r}: there is no {HOME} folder in {start} or above it (runs are kept"
            " beside their run file, whose path names its run, too)"
        )
    runs = runs_in(home)
    for rundir in runs:
        if rundir.path.name == run:
            return Found(rundir)
    if run == "last" and runs:
        return Found(max(runs, key=_begun))
    for rundir in runs:
        if run in _run_ids(rundir):
            return Found(rundir, run)
    closed = [who_refuses(rundir.run_lock) for rundir in runs]
    raise _no_such(run, home, [one.path.name for one in runs], [text for text in closed if text])


def _no_such(run: str, home: Path, names: List[str], closed: List[str]) -> NoSuchRun:
    if not names:
        return NoSuchRun(f"no run {run!r}: {home} holds none yet")
    import difflib  # for this message only

    close = difflib.get_close_matches(run, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    unknown = f"; what may not be read was not searched ({closed[0]})" if closed else ""
    message = f"no run {run!r} in {home}, which holds: {shown}{hint}{unknown}"
    return NoSuchRun(message, tuple(names))


def _of_run_file(path: Path, home_of: HomeOf) -> RunDir:
    """Return the run directory of a run file: the one it was run in, else the one by its stem.

    A file in a run directory, such as a plan, stands for that directory.
    """
    if _is_run_dir(path.parent):
        return RunDir(path.parent)
    home = path.parent / HOME
    by_stem = RunDir(home / path.stem)
    theirs = _of_file(path, home)
    if not theirs:
        other = home_of(path)
        home = home if other is None else other
        theirs = _of_file(path, home)
    if theirs:
        return max(theirs, key=_begun)
    if _is_run_dir(by_stem.path):
        return by_stem
    names = [rundir.path.name for rundir in runs_in(home)]
    raise NoSuchRun(
        f"{path}: {home} holds no run of it; if it was run with --dir, name its run directory",
        tuple(names),
    )


def _of_file(path: Path, home: Path) -> List[RunDir]:
    """Return the runs of a run file in a folder of runs."""
    return [rundir for rundir in runs_in(home) if _is_of(rundir, path)]


def _is_of(rundir: RunDir, file: Path) -> bool:
    # A directory always belongs to one run file: its first `Begin` names it.
    first = next(_beginnings(rundir), None)
    written = None if first is None else run_file_now(rundir.path, first)
    return written is not None and same_file(written, file)


def same_file(one: AnyPath, other: AnyPath) -> bool:
    """Return whether two paths lead to the same file; False if one does not exist."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _begun(rundir: RunDir) -> float:
    owner = read_owner(rundir)
    if owner is not None:
        return owner.started
    return max((begin.at for begin in _beginnings(rundir)), default=0.0)


def _run_ids(rundir: RunDir) -> Iterator[str]:
    """Return the ids of the runs of a directory; the journal, which may be long, comes last."""
    owner = read_owner(rundir)
    if owner is not None:
        yield owner.run_id
    try:
        head = read_head(rundir.manifest)
    except RecordError:
        head = None
    if head is not None:
        yield head.run_id
    for begin in _beginnings(rundir):
        yield begin.run_id


def _beginnings(rundir: RunDir) -> Iterator["Begin"]:
    from procsup.store.reader import begins  # the journal is read last

    try:
        yield from begins(rundir.journal)
    except OSError:
        return

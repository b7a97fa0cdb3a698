"""Finds the run directory that a name, a path, an id, ``DIR@ID`` or ``last`` stands for."""

import os
import stat
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Callable,
    ContextManager,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from procsup.core.manifest import Head
from procsup.core.rooted import HOME, RUN_LOCK
from procsup.core.text import find_nearest, quote_word
from procsup.errors import RecordError, UsageError
from procsup.host.files import AnyPath, describe_error, is_temporary
from procsup.host.folders import find_refusal, make_absolute, resolve_file
from procsup.host.owners import find_reader, is_ours, is_ours_or_roots, name_user
from procsup.paths.reader import read_as
from procsup.store.manifest import read_head
from procsup.store.owner import open_owner
from procsup.store.place import Project, run_file_now
from procsup.store.rundir import JOURNAL, QUEUE_FILE, RunDir
from procsup.store.sitting import read_owner
from procsup.store.trust import is_trusted, refuse_doubtful

if TYPE_CHECKING:
    from procsup.core.records import Begin


class NoSuchRun(UsageError):
    """No run of that name exists (yet); `known` are the names of the existing runs."""

    def __init__(self, message: str, known: Tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.known = known


class FoundRun(NamedTuple):
    """A run directory, and the id of the requested run (None: the latest of the directory)."""

    rundir: RunDir
    run_id: Optional[str] = None

    @property
    def other_owner(self) -> Optional[str]:
        """The user that the run belongs to; None if it is ours."""
        return _find_other_owner(self.rundir.path)

    def reading(self) -> ContextManager[None]:
        """Let this thread read only what the run's user may read; if it is ours, all that we may.

        RecordError if it is gone.
        """
        try:
            return read_as(find_reader(self.rundir.path))
        except OSError as error:
            raise RecordError(f"run {self.rundir.path}: {describe_error(error)}") from error


DirectoryOf = Callable[[Path], Optional[Path]]


def find(run: str, start: AnyPath, *, directory_of: DirectoryOf = lambda _file: None) -> FoundRun:
    """Find a run, looking from the folder `start` upwards; NoSuchRun if none.

    `directory_of` returns the run directory that a run file names; None if that is unknown.

    `run` is first taken as the path of a file or folder, then as ``last``, a name or an id in the
    nearest ``.procsup``. A name finds only our own runs, a run file also those of its owner.
    RecordError, which names the owner, if the run may not be read, since its state is then unknown.
    RecordError, too, if others could put another run in its place.
    """
    found = _find(run, start, directory_of)
    try:
        open_owner(found.rundir).close()
    except PermissionError as error:
        raise RecordError(f"run {run!r} cannot be read: {describe_error(error)}") from error
    except OSError:
        pass  # it was never begun, or is not a file: the caller reports which
    return found


def _find(run: str, start: AnyPath, directory_of: DirectoryOf) -> FoundRun:
    folder, separator, run_id = run.rpartition("@")
    if separator and _is_run_dir(Path(start, folder)):
        return FoundRun(RunDir(Path(start, folder)), run_id)
    path = Path(start, run)
    if _is_run_dir(path):
        if os.path.basename(run) != run:
            return FoundRun(RunDir(path))
        if is_believed(path):
            return _check_safe_place(FoundRun(RunDir(path)))
    if os.path.isfile(path):
        return _check_safe_place(
            FoundRun(_find_by_run_file(Path(resolve_file(path)), directory_of))
        )
    if separator and os.sep in folder:
        _refuse_closed(run, Path(start, folder))
        raise NoSuchRun(f"no run directory at {Path(start, folder)}")
    try:
        return _check_safe_place(_find_by_name(run, Path(start)))
    except NoSuchRun:
        _refuse_closed(run, path)
        inside = _list_inside(path)
        if inside:
            shown = ", ".join(os.path.join(run, name) for name in inside)
            raise NoSuchRun(f"{run} is no run directory, but holds some: {shown}") from None
        raise


def _list_inside(path: Path) -> List[str]:
    """Return the names of some run directories in a folder, such as one given with --dir."""
    try:
        return [rundir.path.name for rundir in list_run_dirs(path)[:10]]
    except (RecordError, ValueError):
        return []  # it may not be read, or no file can have such a name


def _check_safe_place(found: FoundRun) -> FoundRun:
    """Return a run; RecordError if it is ours, and others could have put another in its place."""
    if found.other_owner is None:
        refuse_doubtful(found.rundir.path)
    return found


def find_nearest_home(start: AnyPath, left_out: Optional[List[str]] = None) -> Optional[Path]:
    """Return the nearest ``.procsup`` folder from `start` upwards; None if there is none.

    Those of other users are skipped, and added to `left_out` with the reason. UsageError if
    `start` does not exist any more, RecordError if a folder above it is unreadable, or if others
    could replace that ``.procsup`` by another folder.
    """
    here = Path(make_absolute(start))
    for folder in (here, *here.parents):
        home = folder / HOME
        if not is_folder(home):
            continue
        why = _explain_not_ours(home)
        if why is None:
            refuse_doubtful(home)
            return home
        if left_out is not None:
            left_out.append(f"{home} is left out: it {why}")
    return None


def find_queue_home() -> Path:
    """Return the folder of queues, whether it is there or not: ``.procsup`` in the home folder."""
    return Path(os.path.expanduser("~"), HOME)


def format_queue_start(rundir: RunDir) -> str:
    """Return the command line that starts a queue."""
    home, name = os.path.split(os.path.abspath(rundir.path))
    where = [] if home == str(find_queue_home()) else ["--dir", quote_word(home)]
    return " ".join(["procsup queue start", *where, quote_word(name)])


def _find_queue(name: str) -> Optional[FoundRun]:
    """Return the queue of that name, which is found from any folder; None if there is none."""
    path = find_queue_home() / name
    if os.path.basename(name) != name or not is_believed(path):
        return None
    return FoundRun(RunDir(path)) if os.path.lexists(path / QUEUE_FILE) else None


def _explain_not_ours(home: Path) -> Optional[str]:
    """Return why a folder of runs is not used: its owner. None if it is ours, root's or trusted."""
    for status, itself in ((os.lstat(home), True), (os.stat(home), False)):
        if not is_ours_or_roots(status) and not is_trusted(str(home), itself=itself):
            return f"belongs to {name_user(status.st_uid)}"
    return None


def is_believed(path: Path) -> bool:
    """Whether a run directory is our own, or in a folder that the user trusts.

    UsageError if the user's configuration is wrong.
    """
    try:
        link, folder = os.lstat(path), os.stat(path)
    except (OSError, ValueError):  # not there, or no name that a file can have
        return False
    return (is_ours(link) or is_trusted(str(path), itself=True)) and (
        is_ours(folder) or is_trusted(str(path))
    )


def _find_other_owner(path: Path) -> Optional[str]:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return None if is_ours(status) else name_user(status.st_uid)


def is_folder(path: Path) -> bool:
    """Whether a folder exists; RecordError, which names the owner, without permission to look."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError as error:
        raise RecordError(f"{path} cannot be looked for: {describe_error(error)}") from error
    except (OSError, ValueError):  # not there, or no name that a file can have
        return False


def list_run_dirs(home: AnyPath) -> List[RunDir]:
    """Return the run directories in a ``.procsup`` folder, by name.

    Directories that are being removed have a temporary name and are left out. Folders that may
    not be entered are included: they may be run directories. RecordError if `home` itself may not
    be read.
    """
    try:
        names = sorted(name for name in os.listdir(home) if not is_temporary(name))
    except PermissionError as error:
        raise RecordError(f"the runs in {home} cannot be read: {describe_error(error)}") from error
    except OSError:
        return []
    paths = (Path(home, name) for name in names)
    return [RunDir(path) for path in paths if _is_run_dir(path, if_closed=True)]


def _is_run_dir(path: Path, *, if_closed: bool = False) -> bool:
    for name in (JOURNAL, RUN_LOCK):
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
        os.stat(path / RUN_LOCK)
    except PermissionError as error:
        raise RecordError(f"run {run!r} cannot be read: {describe_error(error)}") from error
    except (OSError, ValueError):
        return  # it does not exist: the caller reports that


def _find_by_name(run: str, start: Path) -> FoundRun:
    try:
        return _find_near(run, start)
    except NoSuchRun:
        found = _find_queue(run)
        if found is None:
            raise
        return found


def _find_near(run: str, start: Path) -> FoundRun:
    left_out: List[str] = []
    home = find_nearest_home(start, left_out)
    if home is None:
        raise NoSuchRun(
            f"no run {run!r}: there is no {HOME} folder in {start} or above it (runs are kept"
            f" beside their run file, whose path names its run, too){_join_left_out(left_out)}"
        )
    runs = list_run_dirs(home)
    believed = [rundir for rundir in runs if is_believed(rundir.path)]
    for rundir in believed:
        if rundir.path.name == run:
            return FoundRun(rundir)
    if run == "last" and believed:
        return FoundRun(max(believed, key=_find_begin_time))
    for rundir in believed:
        if run in _run_ids(rundir):
            return FoundRun(rundir, run)
    closed = [text for text in map(_find_closed, believed) if text]
    if closed:
        left_out.append(f"what may not be read was not searched ({closed[0]})")
    others = len(runs) - len(believed)
    if others:
        left_out.append(f"{others} of other users are found by their paths only")
    raise _make_no_such_run(
        run, home, [one.path.name for one in believed], _join_left_out(left_out)
    )


def _find_closed(rundir: RunDir) -> str:
    try:
        open_owner(rundir).close()
    except PermissionError as error:
        return find_refusal(error.filename)
    except OSError:
        pass  # it was never begun
    return ""


def _join_left_out(left_out: Sequence[str]) -> str:
    return "".join(f"; {text}" for text in left_out)


def _make_no_such_run(run: str, home: Path, names: List[str], left_out: str) -> NoSuchRun:
    if not names:
        return NoSuchRun(f"no run {run!r}: {home} holds none yet{left_out}")
    near = find_nearest(run, names)
    hint = f"; did you mean {near!r}?" if near else ""
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    message = f"no run {run!r} in {home}, which holds: {shown}{hint}{left_out}"
    return NoSuchRun(message, tuple(names))


def _find_by_run_file(path: Path, directory_of: DirectoryOf) -> RunDir:
    """Return the run directory of a run file: the one it was run in, else the one by its stem.

    A file in a run directory, such as a plan, stands for that directory. RecordError, which names
    the owner, if none is found, and some may not be read.
    """
    if _is_run_dir(path.parent):
        return RunDir(path.parent)
    home = path.parent / HOME
    by_stem = RunDir(home / path.stem)
    closed: List[str] = []
    theirs = _list_by_file(path, home, closed)
    if not theirs:
        named = directory_of(path) or by_stem.path
        home = named.parent
        theirs = _list_by_file(path, home, closed)
    if theirs:
        return max(theirs, key=_find_begin_time)
    if _is_run_dir(by_stem.path) and _may_be_of(by_stem.path, path):
        return by_stem
    if closed:
        raise RecordError(f"{path}: its runs cannot be looked for: {closed[0]}")
    names = [rundir.path.name for rundir in list_run_dirs(home) if _may_be_of(rundir.path, path)]
    raise NoSuchRun(
        f"{path}: {home} holds no run of it; if it was run with --dir DIR, name its run directory,"
        f" DIR/{named.name}",
        tuple(names),
    )


def _list_by_file(path: Path, home: Path, closed: List[str]) -> List[RunDir]:
    """Return the runs of a run file in a folder; add those that may not be read to `closed`."""
    found = []
    for rundir in list_run_dirs(home):
        try:
            if _may_be_of(rundir.path, path) and _is_of(rundir, path):
                found.append(rundir)
        except PermissionError as error:  # noqa: PERF203
            closed.append(describe_error(error))
    return found


def _may_be_of(directory: Path, file: Path) -> bool:
    """Whether a run directory is ours, or belongs to the owner of the run file that was named.

    PermissionError if the system refuses to show its owner.
    """
    try:
        owner = os.stat(file).st_uid
        theirs = {os.lstat(directory).st_uid, os.stat(directory).st_uid} == {owner}
    except PermissionError:
        raise
    except OSError:
        return False
    return theirs or is_believed(directory)


def _is_of(rundir: RunDir, file: Path) -> bool:
    """Whether it is a run of that file; PermissionError if that may not be read."""
    from procsup.store.reader import read_begins

    try:
        # A directory always belongs to one run file: its first `Begin` names it.
        first = next(read_begins(rundir.journal), None)
        written = None if first is None else run_file_now(rundir.path, first)
    except PermissionError:
        head = _read_shared_head(rundir)
        if head is None:
            raise
        written = Project(rundir.path, head).run_file
    except OSError:
        return False
    return written is not None and is_same_file(written, file)


def _read_shared_head(rundir: RunDir) -> Optional[Head]:
    """Return the head of some manifest; None if we may not read one, or there is none."""
    try:
        return read_head(rundir.manifest)
    except RecordError:
        return None


def is_same_file(one: AnyPath, other: AnyPath) -> bool:
    """Whether two paths lead to the same file or folder; False if one does not exist.

    Hard links count as different files: `cp -al` makes them, and each copy has its own folder.
    """
    try:
        if not os.path.samefile(one, other):
            return False
        status = os.stat(one)
        is_one = stat.S_ISDIR(status.st_mode) or status.st_nlink == 1
        return is_one or os.path.realpath(one) == os.path.realpath(other)
    except (OSError, ValueError):
        return False


def _find_begin_time(rundir: RunDir) -> float:
    owner = read_owner(rundir)
    if owner is not None:
        return owner.started
    return max((begin.at for begin in _list_beginnings(rundir)), default=0.0)


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
    for begin in _list_beginnings(rundir):
        yield begin.run_id


def _list_beginnings(rundir: RunDir) -> Iterator["Begin"]:
    from procsup.store.reader import read_begins  # the journal is read last

    try:
        yield from read_begins(rundir.journal)
    except OSError:
        return

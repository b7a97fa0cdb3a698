"""Lists the runs of a folder from the heads of their manifests, or else from their journals."""

import os
import time
from pathlib import Path
from typing import Iterable, Iterator, List, Optional, Tuple

from msgspec import Struct
from msgspec.structs import replace

from procsup.core.manifest import Head, parse_rfc3339
from procsup.core.rooted import HOME
from procsup.errors import RecordError, UsageError
from procsup.host.files import AnyPath
from procsup.host.folders import make_absolute
from procsup.queries.session_end import explain_end
from procsup.queries.view import RunView
from procsup.store.find import NoSuchRun, find_nearest_home, is_folder, list_run_dirs
from procsup.store.history import read_history
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner

JOURNALS_BYTES = 1 << 25  # the most that is read of journals, of all runs together, unless `whole`
FILES_MOST = 100_000  # the most files of which sizes are read


class ListedRun(Struct, frozen=True):
    """One run; a value that is unknown, or would take too long to read, is None.

    `state` is ``running``, ``starting``, ``succeeded``, ``failed``, ``unfinished``, ``empty`` or
    ``unreadable``; `message` explains it where the word is not enough. `done` counts verdicts; if
    it `grows`, `planned` is the number so far. `began` and `ended` are seconds since 1970.
    """

    rundir: RunDir
    name: str
    run_id: Optional[str]
    state: str
    message: str = ""
    done: Optional[int] = None
    planned: Optional[int] = None
    succeeded: Optional[int] = None
    began: Optional[float] = None
    ended: Optional[float] = None
    size_bytes: Optional[int] = None
    grows: bool = False

    @property
    def user(self) -> Optional[str]:
        """The user whose run it is; None if it is ours."""
        return RunView(self.rundir).other_owner

    @property
    def directory(self) -> str:
        """The path of its run directory."""
        return str(self.rundir.path)

    @property
    def when(self) -> float:
        """Its latest known time: its end, else its beginning; 0 if unknown."""
        return self.ended or self.began or 0.0

    @property
    def age_s(self) -> Optional[float]:
        """How long ago it ended, or began if it has not; None if unknown."""
        return max(time.time() - self.when, 0.0) if self.when else None


class Budget:
    """How much may still be read; with `whole` there is no limit."""

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._left_bytes = JOURNALS_BYTES
        self._left_files = FILES_MOST
        self.spent = False

    def allows_journal(self, size_bytes: int) -> bool:
        """Subtract the size of a journal; false if the rest is too small."""
        if self._whole:
            return True
        if size_bytes > self._left_bytes:
            self.spent = True
            return False
        self._left_bytes -= size_bytes
        return True

    def allows_file(self) -> bool:
        """Subtract one file; false if none is left."""
        if not self._whole and self._left_files <= 0:
            self.spent = True
            return False
        self._left_files -= 1
        return True


def find_home(directory: Optional[str], start: AnyPath = ".") -> Path:
    """Return the folder of runs: the nearest ``.procsup``, or the one of `directory`.

    NoSuchRun if there is none, UsageError if `directory` is not a folder.
    """
    if directory is None:
        left_out: List[str] = []
        home = find_nearest_home(start, left_out)
        if home is None:
            why = "".join(f"; {text}" for text in left_out)
            raise NoSuchRun(f"there is no {HOME} folder in {make_absolute(start)} or above it{why}")
        return home
    folder = Path(make_absolute(os.path.join(start, directory)))
    if not is_folder(folder):
        raise UsageError(f"--dir {directory}: there is no such folder")
    return folder / HOME if is_folder(folder / HOME) else folder


def list_runs(home: AnyPath, *, whole: bool = False) -> Tuple[List[ListedRun], bool]:
    """Return the runs of a folder, newest first, and whether the limits left nothing out.

    With `whole` there are no limits: every journal is read and every file measured.
    """
    budget = Budget(whole=whole)
    found = sorted(map(look_at, list_run_dirs(home)), key=lambda one: one.when, reverse=True)
    return [_measure_size(_count_units(one, budget), budget) for one in found], not budget.spent


def look_at(rundir: RunDir) -> ListedRun:
    """Return a run's state from its owner and the head of its manifest, without its journal."""
    view = RunView(rundir)
    owner, name = view.owner, rundir.path.name
    began = None if owner is None else owner.started
    if view.live is not None:
        live = view.live
        return ListedRun(rundir, name, live.run_id, "running", live.describe(), began=began)
    if owner is not None and view.is_starting:
        return ListedRun(rundir, name, None, "starting", owner.describe(), began=began)
    try:
        head = view.head()
    except RecordError as error:
        return ListedRun(rundir, name, None, "unreadable", str(error), began=began, ended=began)
    if head is not None:
        return _list_final(rundir, head)
    return _list_unfinished(rundir, owner)


def _list_final(rundir: RunDir, head: Head) -> ListedRun:
    counts = head.stages.values()
    planned = sum(count.planned for count in counts)
    return ListedRun(
        rundir,
        rundir.path.name,
        head.run_id,
        head.status,
        done=planned,
        planned=planned,
        succeeded=sum(count.succeeded for count in counts),
        began=parse_rfc3339(head.started),
        ended=parse_rfc3339(head.ended),
    )


def _list_unfinished(rundir: RunDir, owner: Optional[Owner]) -> ListedRun:
    touched = _find_touch_time(rundir)
    if owner is None or not _has_content(rundir.journal):
        words = "nothing was begun here"
        return ListedRun(rundir, rundir.path.name, None, "empty", words, began=touched)
    return ListedRun(
        rundir,
        rundir.path.name,
        owner.run_id or None,
        "unfinished",
        explain_end(rundir, owner),
        began=owner.started,
        ended=owner.ended or touched,
    )


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _find_touch_time(rundir: RunDir) -> Optional[float]:
    try:
        path = rundir.journal if rundir.journal.exists() else rundir.run_lock
        return path.stat().st_mtime
    except OSError:
        return None


# --- slow parts ----------------------------------------------------------------------------


def _count_units(one: ListedRun, budget: Budget) -> ListedRun:
    """Count units by the journal if no manifest has the numbers."""
    if one.state not in ("running", "unfinished"):
        return one
    try:
        if not budget.allows_journal(one.rundir.journal.stat().st_size):
            return one
        history = read_history(one.rundir)
    except (OSError, RecordError):
        return one  # only the owner may read it; the other columns are known
    first = history.first_begin
    counts = [history.count_verdicts(stage) for stage in history.plan]
    return replace(
        one,
        run_id=one.run_id or history.run_id,
        done=sum(sum(count.values()) for count in counts),
        planned=sum(map(len, history.plan.values())),
        succeeded=history.count_succeeded(),
        began=one.began if first is None else first.at,
        grows=any(map(history.grows, history.plan)),
    )


def _measure_size(one: ListedRun, budget: Budget) -> ListedRun:
    total = 0
    for entry in list_files_below(one.rundir.path):
        if not budget.allows_file():
            return one
        try:
            total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # it was removed while we read
    return replace(one, size_bytes=total)


def list_files_below(folder: AnyPath) -> "Iterator[os.DirEntry[str]]":
    """Yield all entries below a folder that are not folders; links are not followed."""
    folders = [os.fspath(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                found = list(entries)
        except OSError:
            continue  # it was removed, or belongs to another user
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                yield entry


def describe_unknown(runs: Iterable[ListedRun]) -> str:
    """Describe what the limits left out; empty if they left out nothing."""
    counts = sum(1 for one in runs if one.planned is None and one.state == "unfinished")
    sizes = sum(1 for one in runs if one.size_bytes is None)
    parts = [f"the units of {counts}"] if counts else []
    parts += [f"the sizes of {sizes}"] if sizes else []
    return f"not looked at, to be quick: {' and '.join(parts)} (--whole does)" if parts else ""

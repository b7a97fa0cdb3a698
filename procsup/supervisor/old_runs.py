"""Removes old unnamed runs, so that only the newest ones remain.

It works on a side thread of a run that is under way. What the thread has not removed when that run
ends, another run removes.
"""

import os
import threading
import time
from pathlib import Path
from typing import Callable, List, Optional

from procsup.errors import ProcsupError
from procsup.host.threads import try_start_thread
from procsup.runfile.plan import PLAN_FILE, is_own_name, read_plan_head
from procsup.store.manifest import read_head
from procsup.store.rundir import RunDir

# Programs may still read the manifest and the logs of a run that ended so recently.
_SPARED_S = 3600.0
_FIRST_REMOVED_S = 1.0


class OldRuns:
    """The runs beside one that is under way; `keep_last` of them remain, that one included.

    None: all remain.
    """

    def __init__(self, keep_last: Optional[int]) -> None:
        self._keep_last = keep_last
        self._has_removed = threading.Event()
        self._has_removed.set()

    def begin_to_remove(self, directory: str) -> None:
        """Remove old runs beside this run directory, on a thread that ends with the process."""
        keep_last, home = self._keep_last, Path(directory).parent
        if keep_last is None:
            return

        def work() -> None:
            try:
                remove_old(home, keep_last, on_removed=self._has_removed.set)
            finally:
                self._has_removed.set()

        self._has_removed.clear()
        if try_start_thread(work, "procsup-old-runs") is None:
            self._has_removed.set()

    def wait_for_first(self) -> None:
        """Wait up to a second for one removal, so that very short runs do not accumulate."""
        self._has_removed.wait(_FIRST_REMOVED_S)


def remove_old(home: Path, keep_last: int, *, on_removed: Callable[[], object] = bool) -> None:
    """Remove final runs without a name, but the newest `keep_last` - 1 and those just ended.

    A run that `procsup prune` refuses to remove stays, and so does one that cannot be removed: that
    is no failure of the run under way, and `procsup prune` says why.
    """
    doomed = list_old(home, keep_last, time.time())
    if not doomed:
        return
    from procsup.store import removal

    for rest in removal.list_half_removed(home):
        try:
            removal.finish(rest)
        except ProcsupError:  # noqa: PERF203  see above
            continue
    for path in doomed:
        try:
            _remove(path)
            on_removed()
        except (ProcsupError, OSError):  # noqa: PERF203  see above
            continue


def list_old(home: Path, keep_last: int, now: float) -> List[Path]:
    """Return the final runs to remove, the oldest first, by their names and manifests' ages."""
    try:
        names = [name for name in os.listdir(home) if is_own_name(name)]
    except OSError:
        return []
    if len(names) <= keep_last:
        return []  # the usual case needs no further look
    ended = []
    for name in names:
        try:
            ended.append((os.stat(RunDir(home / name).manifest).st_mtime, home / name))
        except OSError:  # noqa: PERF203
            continue  # it is not final
    ended.sort()
    old = ended[: max(len(ended) - keep_last + 1, 0)]
    return [path for at, path in old if now - at > _SPARED_S]


def _remove(path: Path) -> None:
    from procsup.store import removal

    rundir = RunDir(path)
    target = removal.make_target(rundir)  # RecordError if it is not ours
    is_unnamed = not read_plan_head(os.fspath(path / PLAN_FILE)).named
    if is_unnamed and read_head(rundir.manifest) is not None:
        removal.refuse_mount_in(path)
        removal.remove_run(rundir, target)

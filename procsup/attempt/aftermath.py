"""What becomes of an attempt's files when it is over: streams, scratch folders."""

import os
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Callable, Optional, Tuple, Union

from procsup.attempt.child import Started, Stream

_Job = Optional[Callable[[], None]]  # None: no more work


class Aftermath:
    """Says where an attempt's output is to be found, and clears away behind it.

    What may take long is done on a side thread, which starts when it is first needed.
    """

    def __init__(self, run_dir: Union[str, Path]) -> None:
        self._prefix = os.path.join(os.fspath(run_dir), "")
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._thread: Optional[threading.Thread] = None

    def settle(self, started: Started, *, well: bool) -> Tuple[Optional[str], Optional[str]]:
        """Return the paths of stdout and stderr as they are recorded (None: not apart).

        What was meant for a file of the user's is left for the inspection to publish if all is
        `well`; otherwise it becomes the attempt's log.
        """
        stderr = started.stderr
        shown = self._settle(started.stdout, well=well)
        return shown, None if stderr is None else self._settle(stderr, well=well)

    def _settle(self, stream: Stream, *, well: bool) -> str:
        if stream.target is not None and well:
            return stream.target
        if stream.target is not None and not _move(stream.written_path, stream.log_path):
            return stream.written_path
        return self._shown(stream.log_path)

    def _shown(self, path: str) -> str:
        """Return a path relative to the run directory if it is in there; always with slashes."""
        if not path.startswith(self._prefix):
            return path
        shown = path[len(self._prefix) :]
        return shown if os.sep == "/" else shown.replace(os.sep, "/")

    def clear(self, folder: str) -> None:
        """Remove a folder, soon."""
        from shutil import rmtree

        if self._thread is None and not self._try_thread():
            rmtree(folder, ignore_errors=True)
            return
        self._jobs.put(lambda: rmtree(folder, ignore_errors=True))

    def _try_thread(self) -> bool:
        thread = threading.Thread(target=self._work, name="procsup-clear", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system allows no more
            return False
        self._thread = thread
        return True

    def _work(self) -> None:
        job = self._jobs.get()
        while job is not None:
            job()
            job = self._jobs.get()

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Return when all is cleared, or the time is over."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout_s)


def _move(source: str, target: str) -> bool:
    """Move a file; False if it had to stay: what was written is not thrown away."""
    try:
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        import shutil

        shutil.move(source, target)  # perhaps to another file system
    except OSError:
        return False
    return True

"""`--joblog` and `--results` of `procsup map`: files in GNU Parallel's form, beside the records.

A separate thread writes them, so that a slow disk does not delay the run.
"""

import os
import shutil
import stat
import threading
from queue import SimpleQueue
from typing import BinaryIO, Dict, NamedTuple, Optional, Sequence, Tuple

from procsup.core.events import Settled, Start
from procsup.core.outcome import Exited, NotStarted, Part, Signaled, Verdict
from procsup.core.plan.summary import Summary
from procsup.core.records import End
from procsup.host.files import describe_error
from procsup.host.logfiles import LogPlaces, open_log
from procsup.interfaces import Printer
from procsup.store.rundir import make_safe_name

_COLUMNS = (
    *("Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive"),
    *("Exitval", "Signal", "Command"),
)
_NO_EXIT = -1  # GNU Parallel has it for a job that was killed for its timeout
_NOT_FOUND = 127
_LONGEST_NAME_BYTES = 200


class Line(NamedTuple):
    """What the files say of a unit: its number, its command, and its inputs with their names."""

    number: int
    command: str
    inputs: Sequence[Tuple[str, str]]


class Results(NamedTuple):
    """Where the files are; `lines` has each unit's, by its id. `joblog` is open for appending."""

    joblog: Optional[BinaryIO]
    folder: Optional[str]
    lines: Dict[str, Line]
    appends: bool = False  # to a joblog that may be another run's


class ResultFiles:
    """A watcher that writes the files, and passes all on to `inner`.

    A run that is not `again` begins a new joblog.
    """

    def __init__(self, results: Results, places: LogPlaces, inner: Printer, *, again: bool) -> None:
        self._problem = ""
        self._results, self._places, self._inner = results, places, inner
        self._ends: SimpleQueue[Optional[End]] = SimpleQueue()
        self._begin_joblog(again=again or results.appends)
        self._thread = threading.Thread(target=self._run, name="procsup-results", daemon=True)
        self._thread.start()

    def note_start(self, order: Start) -> None:
        """An attempt is started."""
        self._inner.note_start(order)

    def note_end(self, order: Settled) -> None:
        """A unit's end is on disk."""
        if order.end.final:
            self._ends.put(order.end)
        self._inner.note_end(order)

    def show(self, summary: Summary) -> None:
        """Pass the state on."""
        self._inner.show(summary)

    def close(self) -> None:
        """Take no more ends."""
        self._ends.put(None)
        self._inner.close()

    def finish(self) -> None:
        """Return when everything is written, or cannot be."""
        while self._thread.is_alive():
            self._thread.join(0.5)  # so that Ctrl-C works
        self._inner.finish()

    @property
    def gone(self) -> bool:
        """Stdout has no reader any more."""
        return self._inner.gone

    @property
    def problem(self) -> str:
        """The first error of writing."""
        return self._problem or self._inner.problem

    def _begin_joblog(self, *, again: bool) -> None:
        file = self._results.joblog
        if file is None:
            return
        try:
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)  # else a pipe or a device
            if is_file and not again:
                file.truncate(0)
            if not is_file or os.fstat(file.fileno()).st_size == 0:
                self._write_row(_COLUMNS)
        except OSError as error:
            self._problem = f"--joblog: {describe_error(error)}"

    def _run(self) -> None:
        while True:
            end = self._ends.get()
            if end is None:
                break
            line = self._results.lines.pop(end.unit, None)
            if line is not None and end.attempt and not self._problem:
                try:
                    self._write(end, line)
                except OSError as error:
                    self._problem = f"results: {describe_error(error)}"
        if self._results.joblog is not None:
            self._results.joblog.close()

    def _write(self, end: End, line: Line) -> None:
        if self._results.folder is not None:
            folder = os.path.join(self._results.folder, *map(_name, sum(line.inputs, ())))
            os.makedirs(folder, exist_ok=True)
            self._copy(end.stdout_path, end.stdout_part, os.path.join(folder, "stdout"))
            self._copy(end.stderr_path, end.stderr_part, os.path.join(folder, "stderr"))
            with open(os.path.join(folder, "seq"), "w") as file:
                file.write(str(line.number))
        if self._results.joblog is not None:
            code, signum = find_exit(end)
            started = end.at if end.started is None else end.started
            times = f"{started:.3f}", f"{end.wall_s or 0.0:10.3f}"
            size = self._measure(end.stdout_path, end.stdout_part)
            numbers = map(str, (0, size, code, signum))
            self._write_row((str(line.number), ":", *times, *numbers, line.command))

    def _write_row(self, cells: Sequence[str]) -> None:
        file = self._results.joblog
        if file is not None:
            file.write("\t".join(cells).encode("utf-8", "surrogateescape") + b"\n")
            file.flush()

    def _copy(self, path: Optional[str], part: Optional[Part], target: str) -> None:
        with open(target, "wb") as copy:
            if path is not None:
                with open_log(path, part, **self._places._asdict()) as log:
                    shutil.copyfileobj(log, copy)

    def _measure(self, path: Optional[str], part: Optional[Part]) -> int:
        if part is not None or path is None:
            return 0 if part is None else part[1]
        return os.path.getsize(os.path.join(self._places.run, path))


def find_exit(end: End) -> Tuple[int, int]:
    """Return the exit value and the signal of a unit in a joblog; (0, 0) only of a success."""
    if end.verdict is Verdict.SUCCEEDED:
        return 0, 0
    exit = end.exit
    if isinstance(exit, Signaled):
        return (_NO_EXIT if end.verdict is Verdict.TIMED_OUT else 0), exit.signum
    if isinstance(exit, NotStarted):
        return _NOT_FOUND, 0
    code = exit.code if isinstance(exit, Exited) else 0
    return code or _NO_EXIT, 0


def _name(text: str) -> str:
    """Return the name of a folder for a text, as GNU Parallel does where a file may have it."""
    name = text.replace("\\", "\\\\").replace("\t", "\\t").replace("/", "\\_")
    if os.sep != "/" or text in ("", ".", "..") or len(os.fsencode(name)) > _LONGEST_NAME_BYTES:
        return make_safe_name(text)
    return name

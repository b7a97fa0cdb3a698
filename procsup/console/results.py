"""`--joblog` and `--results` of `procsup map`: files in GNU Parallel's form, beside the records.

A separate thread writes them, so that a slow disk does not delay the run. What cannot be written is
counted, and does not keep the rest from being written.
"""

import io
import os
import shutil
import stat
import threading
from functools import partial
from queue import SimpleQueue
from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from procsup.console.terminal import write_whole
from procsup.core.events import Settled, Start
from procsup.core.outcome import Exited, NotStarted, Part, Signaled, Verdict
from procsup.core.plan.summary import Summary
from procsup.core.records import End
from procsup.core.spec import UnitSpec
from procsup.core.text import are, count_noun
from procsup.host.files import describe_error, remove
from procsup.host.logfiles import LogPlaces, open_log
from procsup.host.shortages import retry_on_shortage
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
    """Where the files are; `joblog` is open for appending, without a buffer."""

    joblog: Optional[io.RawIOBase]
    folder: Optional[str]
    appends: bool = False  # to a joblog that may be another run's


class ResultFiles:
    """A watcher that writes the files, and passes all on to `inner`.

    `describe` returns what they say of a unit. A run that is not `again` begins a new joblog.
    """

    def __init__(
        self,
        results: Results,
        describe: Callable[[UnitSpec], Line],
        places: LogPlaces,
        inner: Printer,
        *,
        again: bool,
    ) -> None:
        self._results, self._places, self._inner = results, places, inner
        self._describe = describe
        self._live: Dict[str, UnitSpec] = {}
        self._missing_lines = _Missing("--joblog", "line")
        self._missing_results = _Missing("--results", "unit")
        self._is_torn = False  # the joblog ends with a part of a line
        self._ends: SimpleQueue[Optional[Tuple[UnitSpec, End]]] = SimpleQueue()
        self._begin_joblog(again=again or results.appends)
        self._thread = threading.Thread(target=self._run, name="procsup-results", daemon=True)
        self._thread.start()

    def note_start(self, order: Start) -> None:
        """An attempt is started."""
        self._live[order.attempt.unit] = order.task.unit
        self._inner.note_start(order)

    def note_end(self, order: Settled) -> None:
        """A unit's end is on disk."""
        end = order.end
        unit = self._live.pop(end.unit, None) if end.final else None
        if unit is not None and end.attempt:
            self._ends.put((unit, end))
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
        """What could not be written."""
        own = (self._missing_lines.describe(), self._missing_results.describe())
        return "; ".join(filter(None, (*own, self._inner.problem)))

    def _begin_joblog(self, *, again: bool) -> None:
        file = self._results.joblog
        if file is None:
            return
        with self._missing_lines:
            is_file = stat.S_ISREG(os.fstat(file.fileno()).st_mode)  # else a pipe or a device
            if is_file and not again:
                file.truncate(0)
            if not is_file or os.fstat(file.fileno()).st_size == 0:
                self._write_row(file, _COLUMNS)

    def _run(self) -> None:
        while True:
            ended = self._ends.get()
            if ended is None:
                break
            unit, end = ended
            line = self._describe(unit)
            if self._results.folder is not None:
                with self._missing_results:
                    self._write_results(self._results.folder, end, line)
            if self._results.joblog is not None:
                with self._missing_lines:
                    self._write_row(self._results.joblog, self._make_row(end, line))
        if self._results.joblog is not None:
            self._results.joblog.close()

    def _write_results(self, folder: str, end: End, line: Line) -> None:
        own = os.path.join(folder, *map(_name, sum(line.inputs, ())))
        os.makedirs(own, exist_ok=True)
        for name, path, part in (
            ("stdout", end.stdout_path, end.stdout_part),
            ("stderr", end.stderr_path, end.stderr_part),
        ):
            copy = partial(self._copy, path, part, os.path.join(own, name))
            retry_on_shortage(copy)  # of descriptors: the run's own units use them
        with open(os.path.join(own, "seq"), "w") as file:
            file.write(str(line.number))

    def _make_row(self, end: End, line: Line) -> Sequence[str]:
        code, signum = find_exit(end)
        started = end.at if end.started is None else end.started
        times = f"{started:.3f}", f"{end.wall_s or 0.0:10.3f}"
        size = self._measure(end.stdout_path, end.stdout_part)
        numbers = map(str, (0, size, code, signum))
        return (str(line.number), ":", *times, *numbers, line.command)

    def _write_row(self, file: io.RawIOBase, cells: Sequence[str]) -> None:
        row = "\t".join(cells).encode("utf-8", "surrogateescape") + b"\n"
        start = b"\n" if self._is_torn else b""
        self._is_torn = True
        write_whole(file, start + row)
        self._is_torn = False

    def _copy(self, path: Optional[str], part: Optional[Part], target: str) -> None:
        """Copy a log; no half of it is left."""
        with open(target, "wb") as copy:
            if path is None:
                return
            try:
                with open_log(path, part, **self._places._asdict()) as log:
                    shutil.copyfileobj(log, copy)
                copy.flush()
            except OSError:
                remove(target)
                raise

    def _measure(self, path: Optional[str], part: Optional[Part]) -> int:
        if part is not None or path is None:
            return 0 if part is None else part[1]
        return os.path.getsize(os.path.join(self._places.run, path))


class _Missing:
    """A context in which something is written; it counts failures and knows the first cause."""

    def __init__(self, option: str, noun: str) -> None:
        self._option, self._noun = option, noun
        self._count = 0
        self._first = ""

    def describe(self) -> str:
        """Return a text, empty if nothing is missing."""
        if not self._count:
            return ""
        missing = f"{count_noun(self._count, self._noun)} {are(self._count)} missing"
        return f"{self._option}: {self._first} ({missing})"

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: Optional[BaseException], _trace: object) -> bool:
        if not isinstance(error, (OSError, UnicodeError)):
            return False
        self._count += 1
        if not self._first:
            where = getattr(error, "filename", None)
            said = describe_error(error) if isinstance(error, OSError) else str(error)
            self._first = said if where is None else f"{os.fsdecode(where)}: {said}"
        return True


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

"""`procsup logs`: the output of units."""

import codecs
import os
from abc import ABC, abstractmethod
from base64 import b64encode
from typing import Any, BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import click

from procsup.cli.options import RUN_HELP, UNITS_HELP, add_json, exit_codes
from procsup.console.terminal import Screen, write_stderr, write_stdout, write_stdout_bytes
from procsup.core.outcome import AttemptId, Part
from procsup.core.quantities import show_bytes
from procsup.core.records import Launch
from procsup.core.replay import History
from procsup.core.text import count_noun, escape, list_some, make_visible
from procsup.errors import RecordError
from procsup.host.files import describe_error
from procsup.host.logfiles import LogPlaces, open_log
from procsup.queries.logs import STREAMS, Choice, Log, list_logs, list_running_logs
from procsup.queries.selection import SelectedUnits
from procsup.queries.view import find_run
from procsup.report.tables import format_json
from procsup.store.history import read_history
from procsup.store.journal import follow, read_journal
from procsup.store.log_places import make_log_places
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner, SittingEnd

_HELP = f"""Print what units wrote: of one unit its bytes unchanged, of several with a header each.

Of all units, or of those that UNIT selects. Shown is the last attempt of each, stdout before
stderr. On a terminal, characters that act on it (escape sequences, marks of text direction) are
shown as escapes; --raw sends them.

{RUN_HELP}
{UNITS_HELP}
\b
Examples:
  procsup logs survey measure/mod=abc
  procsup logs survey --failed --stderr
  procsup logs last -f
  procsup logs survey --failed --json | jq -r .text
"""

_CODES = exit_codes(
    _0="printed",
    _2="there is no such run, unit or attempt",
    _74="the journal or a log could not be read, or a newer procsup wrote it",
)

_CHUNK_BYTES = 1 << 16
_CODED_BYTES = 3 << 14  # whole groups of base64
_LONGEST_LINE_BYTES = 1 << 24
_LOOK_S = 0.2
_MOST_NAMED = 5


@click.command("logs", help=_HELP, epilog=_CODES)
@click.argument("run", metavar="RUN")
@click.argument("units", nargs=-1, metavar="[UNIT]...")
@click.option("--failed", is_flag=True, help="Only of units that did not succeed.")
@click.option(
    "--follow", "-f", is_flag=True, help="Print what running units write, until the run ends."
)
@click.option("--stdout", "only_stdout", is_flag=True, help="Only their stdout.")
@click.option("--stderr", "only_stderr", is_flag=True, help="Only their stderr.")
@click.option("--attempt", type=click.IntRange(min=1), help="This attempt instead of the last.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--raw", is_flag=True, help="On a terminal, too, print the bytes unchanged.")
@add_json("Print one object per stream: its text, escaped, and base64 if it is not UTF-8.")
def command(
    run: str,
    units: Tuple[str, ...],
    failed: bool,
    follow: bool,
    only_stdout: bool,
    only_stderr: bool,
    attempt: Optional[int],
    tail: Optional[int],
    raw: bool,
    as_json: bool,
) -> int:
    """Find the log files and print them; with -f continue until the sitting is over."""
    if follow and (attempt is not None or failed):
        raise click.UsageError("-f follows running units: leave --attempt and --failed out")
    streams = _choose_streams(only_stdout=only_stdout, only_stderr=only_stderr)
    view = find_run(run, ".", notice=write_stderr)
    rundir, owner = view.rundir, view.owner  # read before the journal: `follow` finds later records
    journal = read_journal(rundir.journal, digesting=False)
    history = read_history(rundir, journal)
    journal.check_writable()  # written by a newer procsup: we could misread it
    live = view.live is not None
    later = [one for one in owner.stages if one not in history.plan] if owner and follow else []
    known = SelectedUnits(units, rundir, history, live=live, later=later)
    choice = Choice(known, failed, streams, attempt)
    logs = list_logs(history, rundir, choice)
    places = make_log_places(rundir, history.begin)
    printer: Printer
    if as_json:
        printer = JsonPrinter(places, in_chunks=follow, tail=tail)
    else:
        printer = BytesPrinter(
            places,
            with_headers=follow or len({log.unit for log in logs}) > 1,
            tail=tail,
            screen=Screen(raw=raw),
        )
    printer.print_new(logs)
    if follow and owner is not None and live:
        _follow(printer, _LogQuery(rundir, owner, history, choice), journal.good_length)
    printer.finish()
    if not follow and printer.is_empty and not printer.problems and tail != 0:
        write_stderr(_describe_nothing(logs, failed=failed))
    write_stderr(*(f"procsup: {problem}" for problem in printer.problems.values()))
    return RecordError.exit_code if printer.problems else 0


def _describe_nothing(logs: Sequence[Log], *, failed: bool) -> str:
    units = [make_visible(unit) for unit in dict.fromkeys(log.unit for log in logs)]
    if units:
        which = "failed unit" if failed else "unit"
        return f"{count_noun(len(units), which)} wrote nothing: {list_some(units, _MOST_NAMED)}"
    return "no selected unit failed" if failed else "no selected unit has started"


def _choose_streams(*, only_stdout: bool, only_stderr: bool) -> Sequence[str]:
    if only_stdout == only_stderr:
        return STREAMS
    return ("stdout",) if only_stdout else ("stderr",)


class _LogQuery(NamedTuple):
    rundir: RunDir
    owner: Owner
    history: History
    choice: Choice


def _follow(printer: "Printer", query: _LogQuery, from_offset: int) -> None:
    """Print the output of running attempts until that sitting is over."""
    journal = follow(query.rundir.journal, from_offset)
    live = dict.fromkeys(_open_logs(query))
    end, over = SittingEnd(query.rundir, query.owner), False
    while not over:
        over = end.wait(_LOOK_S)
        for entry in journal.read():
            query.history.add(entry.seq, entry.record)
            if isinstance(entry.record, Launch):
                live.update(dict.fromkeys(_list_logs_of_launch(query, entry.record)))
        printer.print_new(list(live))
        now_open = set(_open_logs(query))
        live = dict.fromkeys(log for log in live if log in now_open)


def _open_logs(query: _LogQuery) -> Iterator[Log]:
    for unit in query.history.units.values():
        if unit.open_launch is not None:
            yield from _list_logs_of_launch(query, unit.open_launch)


def _list_logs_of_launch(query: _LogQuery, launch: Launch) -> List[Log]:
    stage = launch.unit.partition("/")[0]
    if not query.choice.units.is_selected(launch.unit):
        return []
    attempt = AttemptId(launch.unit, launch.attempt)
    return list_running_logs(attempt, query.rundir, stage, query.choice.streams)


class Printer(ABC):
    """Prints the new content of files, each from where it stopped before."""

    def __init__(self, places: LogPlaces, *, tail: Optional[int]) -> None:
        self._places = places
        self._tail = tail
        self._offsets: Dict[Tuple[str, Optional[Part]], int] = {}
        self.is_empty = True  # nothing was found to print
        self.problems: Dict[str, str] = {}  # path -> why an existing file cannot be read

    def print_new(self, logs: Sequence[Log]) -> None:
        """Print the new content of these files; a missing file has none."""
        for log in logs:
            try:
                file = open_log(log.path, log.part, **self._places._asdict())
            except (FileNotFoundError, NotADirectoryError):  # not made yet, or not kept
                continue
            except OSError as error:
                self.problems[log.path] = f"{log.path}: {describe_error(error)}"
                continue
            key = log.path, log.part
            with file:
                if key not in self._offsets:
                    size = file.seek(0, os.SEEK_END)
                    self._offsets[key], is_cut = _find_tail(file, size, self._tail)
                    if is_cut:
                        most = show_bytes(_LONGEST_LINE_BYTES)
                        write_stderr(
                            f"{log.path}: of a line of more than {most} only the end is shown"
                        )
                start = file.seek(self._offsets[key])
                self._print(file, log)
                self._offsets[key] = file.tell()
                self.is_empty = self.is_empty and self._offsets[key] == start

    @abstractmethod
    def finish(self) -> None:
        """Print the bytes that were held back; no more content follows."""

    @abstractmethod
    def _print(self, file: BinaryIO, log: Log) -> None:
        """Print from the file's position, and leave the position at the end of the printed part."""


class BytesPrinter(Printer):
    """Prints bytes as `Screen` returns them, with a header before each file."""

    def __init__(
        self, places: LogPlaces, *, with_headers: bool, tail: Optional[int], screen: Screen
    ) -> None:
        super().__init__(places, tail=tail)
        self._with_headers = with_headers
        self._screen = screen
        self._last: Optional[Log] = None

    def finish(self) -> None:
        """Print held bytes, which could have been the first part of a character."""
        write_stdout_bytes([self._screen.fit(b"", last=True)])

    def _print(self, file: BinaryIO, log: Log) -> None:
        write_stdout_bytes(self._read_chunks(file, log))

    def _read_chunks(self, file: BinaryIO, log: Log) -> Iterator[bytes]:
        for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
            if self._with_headers and log != self._last:
                yield self._screen.fit(b"", last=True)
                yield self._screen.encode(_format_header(log, first=self._last is None))
            self._last = log
            yield self._screen.fit(chunk)


class JsonPrinter(Printer):
    """Prints an object for each file, or for each chunk of a growing file."""

    def __init__(self, places: LogPlaces, *, in_chunks: bool, tail: Optional[int]) -> None:
        super().__init__(places, tail=tail)
        self._in_chunks = in_chunks
        self._held: Dict[Log, None] = {}  # files whose last character may be incomplete

    def finish(self) -> None:
        """Print bytes that were held back as the first part of a character."""
        self._in_chunks = False
        self.print_new(list(self._held))

    def _print(self, file: BinaryIO, log: Log) -> None:
        held = self._held.pop(log, None) is not None
        if self._in_chunks or held:
            for data in self._read_pieces(file, log):
                write_stdout(format_json(_format_data(log, data)))
        else:
            write_stdout_bytes(_format_whole_object(file, log))

    def _read_pieces(self, file: BinaryIO, log: Log) -> Iterator[bytes]:
        if not self._in_chunks:
            yield file.read()  # the first part of a character
            return
        for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
            held = _cut_off_bytes(chunk)
            file.seek(-held, os.SEEK_CUR)
            if held == len(chunk):
                self._held[log] = None
                return
            yield chunk[: len(chunk) - held]


def _format_whole_object(file: BinaryIO, log: Log) -> Iterator[bytes]:
    """Yield the JSON of the present content of a file, in parts: it may be larger than the memory.

    The file is read twice if it is not UTF-8. Its position is at the end afterwards.
    """
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    is_utf8 = True
    yield format_json(_format_about(log))[:-1].encode("ascii") + b', "text": "'
    for chunk, last in _read_chunks(file, start, size):
        text = decoder.decode(chunk, last)
        is_utf8 = is_utf8 and escape(text) == text
        yield format_json(text)[1:-1].encode("ascii")
    if not is_utf8:
        yield b'", "base64": "'
        yield from (b64encode(chunk) for chunk, _last in _read_chunks(file, start, size))
    yield b'"}' + os.linesep.encode("ascii")


def _read_chunks(file: BinaryIO, start: int, size: int) -> Iterator[Tuple[bytes, bool]]:
    """Yield a part of a file in pieces, each with whether it is the last; then an empty piece."""
    file.seek(start)
    while size > 0:
        chunk = file.read(min(size, _CODED_BYTES))
        size = size - len(chunk) if chunk else 0
        yield chunk, size <= 0
    yield b"", True


def _format_about(log: Log) -> Dict[str, Any]:
    body: Dict[str, Any] = log._asdict()
    if body["part"] is None:
        del body["part"]  # the log is the whole file
    return body


def _format_data(log: Log, data: bytes) -> Dict[str, Any]:
    body = _format_about(log)
    try:
        body["text"] = data.decode("utf-8")
    except UnicodeDecodeError:
        body["text"] = data.decode("utf-8", "surrogateescape")
        body["base64"] = b64encode(data).decode("ascii")
    return body


def _cut_off_bytes(chunk: bytes) -> int:
    """Return how many bytes at the end are the first part of an incomplete character."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(chunk)
    return len(decoder.getstate()[0])


def _format_header(log: Log, *, first: bool) -> str:
    text = f"==> {make_visible(log.unit)} (attempt {log.attempt}, {log.stream}) <==\n"
    return text if first else f"\n{text}"


def _find_tail(file: BinaryIO, size: int, count: Optional[int]) -> Tuple[int, bool]:
    """Return the offset of the last `count` lines (None: of all), and whether the first is cut.

    A line may have no end, as in a sparse file: only the last part of the file is searched.
    """
    if count is None:
        return 0, False
    if count == 0:
        return size, False
    at, seen, line_end = size, 0, size
    while at > 0:
        if line_end - at >= _LONGEST_LINE_BYTES:
            return at, True
        start = max(at - _CHUNK_BYTES, 0)
        file.seek(start)
        chunk = file.read(at - start)
        found = len(chunk)
        if at == size and chunk.endswith(b"\n"):
            found -= 1  # the last line feed begins no line
        while seen < count:
            found = chunk.rfind(b"\n", 0, found)
            if found < 0:
                break
            seen, line_end = seen + 1, start + found
        if seen == count:
            return start + found + 1, False
        at = start
    return 0, False

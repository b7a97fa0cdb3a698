"""`procsup logs`: what units wrote."""

import os
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import click

from procsup.api.logs import STREAMS, Choice, Log, logs_of, running_logs, selects
from procsup.cli.options import RUN_HELP, exit_codes
from procsup.console.terminal import pay_bytes, say
from procsup.core.outcome import AttemptId
from procsup.core.records import Launch
from procsup.core.replay import History
from procsup.core.text import visible
from procsup.host.files import open_reading
from procsup.store.journal import follow, read_journal
from procsup.store.rundir import RunDir
from procsup.store.sitting import Owner, is_live, read_owner, wait_sitting

_HELP = f"""Print what units wrote: of one unit its bytes unchanged, of several with a header each.

UNIT is an id, an id without its stage, a pattern, or a stage; all units if none is given. Shown is
the last attempt of each, stdout before stderr.

{RUN_HELP}
\b
Examples:
  procsup logs survey measure/mod=abc
  procsup logs survey --failed --stderr
  procsup logs last -f
"""

_CODES = exit_codes(
    _0="printed",
    _2="there is no such run, unit or attempt",
    _74="the journal could not be read, or a newer procsup wrote it",
)

_CHUNK_BYTES = 1 << 16
_LOOK_S = 0.2


@click.command("logs", help=_HELP, epilog=_CODES)
@click.argument("run", metavar="RUN")
@click.argument("units", nargs=-1, metavar="[UNIT]...")
@click.option("--failed", is_flag=True, help="Only of units that did not succeed.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what runs until the run ends.")
@click.option("--stdout", "only_stdout", is_flag=True, help="Only their stdout.")
@click.option("--stderr", "only_stderr", is_flag=True, help="Only their stderr.")
@click.option("--attempt", type=click.IntRange(min=1), help="This attempt instead of the last.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
def command(
    run: str,
    units: Tuple[str, ...],
    failed: bool,
    follow: bool,
    only_stdout: bool,
    only_stderr: bool,
    attempt: Optional[int],
    tail: Optional[int],
) -> int:
    """Find the files and print them; with -f go on until the sitting is over."""
    if follow and (attempt is not None or failed):
        raise click.UsageError("-f goes on with what runs: leave --attempt and --failed out")
    streams = _streams(only_stdout=only_stdout, only_stderr=only_stderr)
    choice = Choice(units, failed, streams, attempt)
    rundir = RunDir.find(run, ".").rundir
    owner = read_owner(rundir)  # before the journal: what it writes later, `follow` finds
    journal = read_journal(rundir.journal)
    history = History()
    for entry in journal:
        history.add(entry.seq, entry.record)
    journal.check_writable()  # of a newer procsup: what it says may not mean what it seems to
    logs = logs_of(history, rundir, choice)
    printer = Printer(with_headers=follow or len({log.unit for log in logs}) > 1, tail=tail)
    printer.print_new(logs)
    if follow and owner is not None and is_live(rundir, owner):
        _follow(printer, _Scene(rundir, owner, history, choice), journal.good_length)
    elif not logs:
        say("nothing was written by what is meant here")
    return 0


def _streams(*, only_stdout: bool, only_stderr: bool) -> Sequence[str]:
    if only_stdout == only_stderr:
        return STREAMS
    return ("stdout",) if only_stdout else ("stderr",)


class _Scene(NamedTuple):
    rundir: RunDir
    owner: Owner
    history: History
    choice: Choice


def _follow(printer: "Printer", scene: _Scene, from_offset: int) -> None:
    """Print what the running attempts write until that sitting is over."""
    journal = follow(scene.rundir.journal, from_offset)
    live = dict.fromkeys(_open_logs(scene))
    over = False
    while not over:
        over = wait_sitting(scene.rundir, scene.owner, None, _LOOK_S)
        for entry in journal.read():
            scene.history.add(entry.seq, entry.record)
            if isinstance(entry.record, Launch):
                live.update(dict.fromkeys(_logs_of_launch(scene, entry.record)))
        printer.print_new(list(live))
        now_open = set(_open_logs(scene))
        live = dict.fromkeys(log for log in live if log in now_open)


def _open_logs(scene: _Scene) -> Iterator[Log]:
    for unit in scene.history.units.values():
        if unit.open_launch is not None:
            yield from _logs_of_launch(scene, unit.open_launch)


def _logs_of_launch(scene: _Scene, launch: Launch) -> List[Log]:
    stage = launch.unit.partition("/")[0]
    words = scene.choice.units
    if words and not any(selects(word, launch.unit, stage) for word in words):
        return []
    attempt = AttemptId(launch.unit, launch.attempt)
    return running_logs(attempt, scene.rundir, stage, scene.choice.streams)


class Printer:
    """Prints what files hold beyond what it has printed of them; a header where another begins."""

    def __init__(self, *, with_headers: bool, tail: Optional[int]) -> None:
        self._with_headers = with_headers
        self._tail = tail
        self._offsets: Dict[str, int] = {}
        self._last: Optional[Log] = None

    def print_new(self, logs: Sequence[Log]) -> None:
        """Print what is new in these files; a file that is not there yet has nothing new."""
        for log in logs:
            try:
                file = open_reading(log.path)
            except OSError:  # not made yet, or kept for failures only
                continue
            with file:
                if log.path not in self._offsets:
                    size = file.seek(0, os.SEEK_END)
                    self._offsets[log.path] = _tail_start(file, size, self._tail)
                file.seek(self._offsets[log.path])
                pay_bytes(self._chunks(file, log))
                self._offsets[log.path] = file.tell()

    def _chunks(self, file: BinaryIO, log: Log) -> Iterator[bytes]:
        for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
            if self._with_headers and log != self._last:
                yield _header(log, first=self._last is None)
            self._last = log
            yield chunk


def _header(log: Log, *, first: bool) -> bytes:
    text = f"==> {visible(log.unit)} (attempt {log.attempt}, {log.stream}) <==\n"
    return (text if first else f"\n{text}").encode("utf-8")


def _tail_start(file: BinaryIO, size: int, count: Optional[int]) -> int:
    """Return where the last `count` lines begin (None: at the start)."""
    if count is None:
        return 0
    if count == 0:
        return size
    at, seen = size, 0
    while at > 0:
        start = max(at - _CHUNK_BYTES, 0)
        file.seek(start)
        chunk = file.read(at - start)
        found = len(chunk)
        if at == size and chunk.endswith(b"\n"):
            found -= 1  # it ends the last line, and begins none
        while seen < count:
            found = chunk.rfind(b"\n", 0, found)
            if found < 0:
                break
            seen += 1
        if seen == count:
            return start + found + 1
        at = start
    return 0

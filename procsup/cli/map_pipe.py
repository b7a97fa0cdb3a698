"""`--pipe` of `procsup map`: lines of stdin go to the stdin of units, in parts."""

import os
import sys
import threading
from hashlib import sha256
from typing import BinaryIO, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import click

from procsup.attempt.private_files import open_private_folder
from procsup.cli.map_inputs import Origin
from procsup.cli.map_job import Job, Maker, MapOptions, count_slots, make_outputs_maker
from procsup.core.plan.summary import Summary
from procsup.core.quantities import NoQuantity, parse_size_bytes
from procsup.host.names import find_script
from procsup.host.opened import Folder
from procsup.host.shells import get_native_shell
from procsup.interfaces import Printer
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.oneliner import (
    ArgvMaker,
    Manner,
    ShellMaker,
    Values,
    read_words,
)
from procsup.store.rundir import PIPED
from procsup.supervisor.requests import Opening

_BY_LINE = "a part is whole lines: let a program before it put each record on one line"
_ONE_UNIT = "each part of stdin goes to one unit of its own"
_IN_A_FILE = "the command reads its stdin: --pipe --shell 'cat >part{#}; COMMAND part{#}'"
CURES = {
    **dict.fromkeys(("--pipepart", "--pipe-part"), "--pipe COMMAND <FILE reads a file"),
    **dict.fromkeys(("--recstart", "--recend", "--regexp", "--rrs"), _BY_LINE),
    **dict.fromkeys(("--round-robin", "--roundrobin", "--round", "--tee"), _ONE_UNIT),
    **dict.fromkeys(("--shard", "--bin", "--group-by", "--groupby"), _ONE_UNIT),
    **dict.fromkeys(("--cat", "--fifo"), _IN_A_FILE),
    **dict.fromkeys(("--block-timeout", "--blocktimeout"), "a part ends by -N or --block"),
}
_BLOCK_BYTES = 1 << 20  # GNU Parallel's
_READ_BYTES = 1 << 16
_MOST_AHEAD, _MOST_AHEAD_BYTES = 200, 1 << 26  # parts beyond those of the units that run


class Cutter:
    """Cuts a stream into parts of whole lines, of so many lines or of about so many bytes."""

    def __init__(self, source: BinaryIO, *, lines: Optional[int], size_bytes: int) -> None:
        self._source = source
        self._lines = lines
        self._size_bytes = size_bytes
        self._rest = b""  # read, and part of the next part
        self._at = 0

    def cut_part(self) -> Iterator[bytes]:
        """Yield the bytes of the next part; none at the end of the stream."""
        return self._cut_block() if self._lines is None else self._cut_lines(self._lines)

    def _take(self, most: int) -> bytes:
        if self._at == len(self._rest):
            self._rest = self._source.read1(_READ_BYTES)  # type: ignore[attr-defined]
            self._at = 0
        start, self._at = self._at, min(self._at + most, len(self._rest))
        return self._rest[start : self._at]

    def _give_back(self, tail: bytes) -> None:
        """Have these bytes taken next; they were taken last."""
        self._rest, self._at = tail + self._rest[self._at :], 0

    def _cut_lines(self, left: int) -> Iterator[bytes]:
        while left:
            data = self._take(_READ_BYTES)
            if not data:
                return
            count = data.count(b"\n")
            if count >= left:
                end = _find_line_end(data, left)
                self._give_back(data[end:])
                data, count = data[:end], left
            left -= count
            yield data

    def _cut_block(self) -> Iterator[bytes]:
        left, has_line = self._size_bytes, False
        begun: List[bytes] = []  # a line whose end has not come
        while left:
            data = self._take(min(left, _READ_BYTES))
            left -= len(data)
            end = data.rfind(b"\n") + 1
            if end:
                has_line = True
                yield b"".join((*begun, data[:end]))
                begun.clear()
            begun.append(data[end:])
            if not data:
                break
        if has_line and not left:
            self._give_back(b"".join(begun))
            return
        yield from begun
        if not left:
            yield from self._cut_lines(1)  # a line that is longer goes whole


def _find_line_end(data: bytes, count: int) -> int:
    """Return where that many lines end."""
    end = 0
    for _ in range(count):
        end = data.index(b"\n", end) + 1
    return end


class Parts:
    """The parts of stdin, each a file of the run directory; its reading waits for the units.

    It begins with `open`, and goes on as units are done: `count_done`. A part's name tells its
    number and its content.
    """

    def __init__(self, cutter: Cutter, slots: int) -> None:
        self._cutter = cutter
        self._slots = slots
        self._changed = threading.Condition()
        self._run_dir: Optional[str] = None
        self._names: Dict[int, str] = {}
        self._done = 0

    def open(self, run_dir: str) -> None:
        """Let the reading begin."""
        with self._changed:
            self._run_dir = run_dir
            self._changed.notify_all()

    def count_done(self, done: int) -> None:
        """Note how many units are done."""
        if done != self._done:
            with self._changed:
                self._done = done
                self._changed.notify_all()

    def take_name(self, number: int) -> str:
        """Return the name of a unit's part."""
        return self._names.pop(number)

    def make_units(self) -> Iterator[Values]:
        """Yield a unit for each part, once that is written."""
        with self._changed:
            self._changed.wait_for(lambda: self._run_dir is not None)
        run_dir = str(self._run_dir)
        with open_private_folder(os.path.join(run_dir, PIPED), run_dir) as folder:
            for name in folder.list_names():  # of an earlier stdin: it is read anew
                folder.unlink(name)
            number, size = 0, 0
            while True:
                self._wait_for_room(number, size)
                name, size = _write_part(self._cutter, folder, number + 1)
                if not size:
                    return
                number += 1
                self._names[number] = name
                yield Values((), number, label=(str(number),))

    def _wait_for_room(self, written: int, size: int) -> None:
        def has_room() -> bool:
            ahead = written - self._done - self._slots
            return ahead <= 0 or (ahead < _MOST_AHEAD and ahead * size < _MOST_AHEAD_BYTES)

        with self._changed:
            self._changed.wait_for(has_room)


def _write_part(cutter: Cutter, folder: Folder, number: int) -> Tuple[str, int]:
    """Write the next part; return its name and its size, 0 at the end."""
    fresh, size, digest = f"{number}.new", 0, sha256()
    with os.fdopen(folder.create(fresh), "wb") as file:
        for data in cutter.cut_part():
            size += file.write(data)
            digest.update(data)
    if not size:
        folder.unlink(fresh)
        return "", 0
    name = f"{number}-{digest.hexdigest()[:32]}"
    folder.rename(fresh, name)
    return name, size


class PipedOutput:
    """A watcher that counts the units that are done for `parts`, and passes all on to `inner`."""

    def __init__(self, parts: Parts, inner: Printer) -> None:
        self._parts, self._inner = parts, inner
        self.note_start, self.note_end = inner.note_start, inner.note_end
        self.close, self.finish = inner.close, inner.finish

    def show(self, summary: Summary) -> None:
        """Count, and pass the state on."""
        self._parts.count_done(sum(stage.done for stage in summary.stages.values()))
        self._inner.show(summary)

    @property
    def gone(self) -> bool:
        """Stdout has no reader any more."""
        return self._inner.gone

    @property
    def problem(self) -> str:
        """An error of writing."""
        return self._inner.problem


def open_parts(options: MapOptions, behind: Sequence[Origin]) -> Optional[Parts]:
    """Return the parts of stdin, None without ``--pipe``; UsageError if they have no meaning."""
    if not options.pipe:
        if options.block is not None:
            raise click.UsageError("--block divides stdin with --pipe only: leave it out")
        return None
    _refuse_other_inputs(options, behind)
    lines, size_bytes = options.most_in_place, _BLOCK_BYTES
    if lines == 0:
        raise click.UsageError("--pipe -N 0: expected a number of lines of at least 1")
    if options.block is not None:
        if lines is not None:
            raise click.UsageError("--pipe takes -N or --block: leave one of them out")
        try:
            size_bytes = parse_size_bytes(options.block)
        except NoQuantity as error:
            raise click.UsageError(f"--block: {error}") from None
    if sys.stdin is None:
        raise click.UsageError(
            "--pipe reads stdin, which is closed: give it input (... | procsup map)"
        )
    if count_slots(options) == 0:
        raise click.UsageError("--pipe: -j 0 is all units at once, whose number is not known")
    cutter = Cutter(sys.stdin.buffer, lines=lines, size_bytes=size_bytes)
    return Parts(cutter, count_slots(options))


def open_with(
    parts: Optional[Parts], printers: Callable[[Opening], Printer]
) -> Callable[[Opening], Printer]:
    """Return what makes a printer, and lets the reading of the parts begin."""
    if parts is None:
        return printers

    def make_printer(opening: Opening) -> Printer:
        parts.open(opening.directory)
        return PipedOutput(parts, printers(opening))

    return make_printer


def _refuse_other_inputs(options: MapOptions, behind: Sequence[Origin]) -> None:
    """Refuse what makes arguments of inputs: with ``--pipe`` they are the stdin of units."""
    given = {
        ":::": bool(behind),
        "-a": bool(options.files),
        "--glob": options.glob is not None,
        "-n": options.most is not None,
        "-X": options.spread,
        "--xargs": options.xargs,
        "-I": options.replacement != "{}",
        "-0, -d, -C, --csv, --header, --link and -r": any(options.shape),
    }
    for option, is_given in given.items():
        if is_given:
            raise click.UsageError(
                f"--pipe: {option} makes arguments of inputs, and with --pipe units read lines of"
                " stdin by their own stdin: leave one of them out"
            )
    for option, is_given in (
        ("--dry-run", options.dry_run),
        ("--as-run-file", options.as_run_file),
    ):
        if is_given:
            raise click.UsageError(
                f"--pipe: {option} would have to read all of stdin to know the units: leave one of"
                " them out"
            )


def make_piped_job(written: Sequence[str], parts: Parts, options: MapOptions) -> Job:
    """Return the units; UsageError if a placeholder is wrong."""
    if not written:
        raise click.UsageError("--pipe: there is no command that could read stdin")
    script = None if options.shell else find_script(written[0])
    words = list(written[1:] if script is not None else written)
    try:
        manner = Manner("{}", options.plus, {}, 0)
        read = read_words(words, manner, appends=False)
        wrong = [read.sources[name] for name, one in read.places.items() if one.which != "#"]
        if wrong:
            raise Wrong(f"{wrong[0]}: with --pipe there are {{#}} and {{%}}, inputs are in stdin")
        maker: Maker = ArgvMaker(read, repeats=False, several=True)
        if options.shell:
            maker = ShellMaker(read, get_native_shell(), several=True)
        outputs = make_outputs_maker(manner, options)
    except Wrong as wrong_words:
        text = "; ".join(message for _, message in wrong_words.faults)
        raise click.UsageError(text) from None
    slots = None if options.jobs is None else count_slots(options)
    units = parts.make_units()
    job = Job(maker, units, (), script, slots, False, outputs)
    return job._replace(fills_in=False, take_part=parts.take_name)

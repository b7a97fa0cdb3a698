"""The inputs of `procsup map`: the words behind ``:::``, files, stdin, a glob."""

import os
import re
import stat
import sys
from typing import (
    BinaryIO,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
)

import click
from msgspec import Struct

from procsup.console.terminal import is_terminal, write_stderr
from procsup.core import inputs as core
from procsup.core.inputs import InputError, Record, Source
from procsup.errors import UsageError
from procsup.host.folders import get_current_folder
from procsup.runfile.parameters.walk import Finder
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.patterns import read_glob
from procsup.runfile.templates.template import Template

_SEPARATORS = (":::", "::::", ":::+", "::::+")
_CHUNK_BYTES = 1 << 16
_SHORT_BYTES = 1 << 20
STDIN = "-"
_BYTE_ORDER_MARK = "\ufeff"


class Shape(NamedTuple):
    """How sources are read: the options of the command line, by their names."""

    delimiter: Optional[str] = None
    null: bool = False
    colsep: Optional[str] = None
    csv: bool = False
    header: bool = False
    link: bool = False
    no_run_if_empty: bool = False


class Origin(NamedTuple):
    """Where one source comes from: words, or a file's path."""

    words: Sequence[str] = ()
    path: Optional[str] = None
    is_linked: bool = False

    @property
    def shown(self) -> str:
        """How messages name it."""
        if self.path is None:
            return "inputs behind :::"
        return "stdin" if self.path == STDIN else self.path


class Inputs(Struct, frozen=True):
    """The inputs, combined; `names` of their columns, `width` if all have so many.

    `is_short`: all are there already, and few. Others may come late, or never end.
    """

    records: Iterator[Record]
    names: Dict[str, int]
    width: Optional[int]
    is_short: bool


def split(words: Sequence[str]) -> "tuple[List[str], List[Origin]]":
    """Return the command, and the sources behind it."""
    at = next((at for at, word in enumerate(words) if word in _SEPARATORS), len(words))
    return list(words[:at]), list(_read_origins(words[at:]))


def _read_origins(words: Sequence[str]) -> Iterator[Origin]:
    starts = [at for at, word in enumerate(words) if word in _SEPARATORS]
    for start, end in zip(starts, [*starts[1:], len(words)]):
        kind, given = words[start], words[start + 1 : end]
        is_linked = kind.endswith("+")
        if kind.startswith("::::"):
            if not given:
                raise click.UsageError(f"nothing stands behind {kind}, expected files")
            yield from (Origin(path=path, is_linked=is_linked) for path in given)
        else:
            yield Origin(given, is_linked=is_linked)


def find_glob(pattern: str) -> Origin:
    """Return the files that a glob matches as a source; UsageError if there are none."""
    finder = Finder(get_current_folder())
    try:
        glob = read_glob(Template(pattern, glob=True), {})
        found = list(finder.find(glob))
        if not found:
            raise Wrong(finder.explain_nothing(glob))
    except Wrong as wrong:
        text = "; ".join(message for _, message in wrong.faults)
        raise UsageError(f"--glob: {text}: expected files as inputs") from None
    return Origin([path.replace("/", os.sep) for path in found])


def open_inputs(origins: Sequence[Origin], shape: Shape) -> Inputs:
    """Return the inputs; UsageError where they cannot be read, then or while they are taken."""
    if sum(origin.path == STDIN for origin in origins) > 1:
        raise click.UsageError("stdin is two of the sources, and can be read only once")
    _parse_delimiter(shape.delimiter)
    names: Dict[str, int] = {}
    sources: List[Source] = []
    width: Optional[int] = 0
    for at, origin in enumerate(origins):
        is_paired = shape.link or any(one.is_linked for one in origins[at : at + 2])
        records = _read_origin(origin, shape, keeps_empty=is_paired)
        own: Optional[int] = None if shape.colsep or shape.csv else 1
        if shape.header:
            header, records = _explain(lambda: core.take_header(records, origin.shown))  # noqa: B023
            for name in header:
                if name in names:
                    raise click.UsageError(
                        f"--header: the name {name!r} occurs twice, rename a column"
                    )
                names[name] = len(names) + 1
            own = len(header)
        width = None if width is None or own is None else width + own
        sources.append(Source(records, origin.is_linked))
    combined = core.link(sources) if shape.link else core.combine(sources)
    return Inputs(_explain_each(combined), names, width, all(map(_is_short, origins)))


def _is_short(origin: Origin) -> bool:
    """Whether a source is words, or a file of modest size."""
    if origin.path is None:
        return True
    try:
        status = os.stat(0 if origin.path == STDIN else origin.path)
    except OSError:
        return True  # that is reported when it is read
    return stat.S_ISREG(status.st_mode) and status.st_size <= _SHORT_BYTES


def _explain(
    take: Callable[[], "tuple[Record, Iterator[Record]]"],
) -> "tuple[Record, Iterator[Record]]":
    try:
        return take()
    except InputError as error:
        raise UsageError(str(error)) from None


def _explain_each(records: Iterator[Record]) -> Iterator[Record]:
    try:
        yield from records
    except InputError as error:
        raise UsageError(str(error)) from None


def _read_origin(origin: Origin, shape: Shape, *, keeps_empty: bool) -> Iterator[Record]:
    texts: Iterator[str] = iter(origin.words)
    if origin.path is not None:
        texts = _read_texts(origin, shape)
        keeps_empty = keeps_empty or shape.null or shape.delimiter is not None
    if shape.no_run_if_empty or (origin.path is not None and not keeps_empty and not shape.csv):
        texts = filter(None, texts)
    if shape.csv:
        return core.split_csv((f"{text}\n" for text in texts), _read_cell_delimiter(shape))
    if shape.colsep is not None:
        return core.split_columns(texts, _compile_separator(shape.colsep))
    return ((text,) for text in texts)


def _read_cell_delimiter(shape: Shape) -> str:
    delimiter = b"," if shape.colsep is None else _parse_delimiter(shape.colsep)
    if len(delimiter) != 1:
        raise click.UsageError("--colsep: with --csv expected one character of ASCII")
    return delimiter.decode("ascii", "replace")


def _compile_separator(text: str) -> "re.Pattern[str]":
    try:
        return re.compile(text)
    except re.error as error:
        raise click.UsageError(f"--colsep: {text!r} is no regular expression: {error}") from None


def _parse_delimiter(text: Optional[str]) -> bytes:
    try:
        return b"\n" if text is None else core.parse_delimiter(text)
    except InputError as error:
        raise click.UsageError(f"--delimiter: {error}") from None


def _read_texts(origin: Origin, shape: Shape) -> Iterator[str]:
    """Yield the texts of a file, each without its delimiter."""
    is_lines = not shape.null and shape.delimiter is None
    delimiter = b"\0" if shape.null else _parse_delimiter(shape.delimiter)
    for at, part in enumerate(core.split_records(_read_chunks(origin), delimiter)):
        text = os.fsdecode(part)
        if at == 0 and shape.header and text.startswith(_BYTE_ORDER_MARK):
            text = text[1:]  # a byte order mark is no part of the first name
        yield text[:-1] if is_lines and os.linesep == "\r\n" and text[-1:] == "\r" else text


def _read_chunks(origin: Origin) -> Iterator[bytes]:
    try:
        if origin.path == STDIN:
            yield from _read_stdin()
        else:
            with open(str(origin.path), "rb") as file:
                yield from _read_all(file)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{origin.shown}: expected a file that can be read: {reason}") from None


def _read_stdin() -> Iterator[bytes]:
    if sys.stdin is None:
        return
    if is_terminal(sys.stdin):
        write_stderr("procsup map: inputs come from here, one a line; Ctrl-D ends them")
    yield from _read_all(sys.stdin.buffer)


def _read_all(file: BinaryIO) -> Iterable[bytes]:
    return iter(lambda: file.read1(_CHUNK_BYTES), b"")  # type: ignore[attr-defined]

"""`procsup init`: writes an example run file, with the programs and the data that it needs."""

import contextlib
import os
import pkgutil
from pathlib import Path
from typing import Dict, Iterator, NamedTuple, Tuple

import click

from procsup.cli.options import exit_codes
from procsup.console.terminal import write_stderr, write_stdout
from procsup.core.text import find_nearest, make_visible, quote_word
from procsup.errors import UsageError

RUN_FILE = "procsup.toml"
DEFAULT = "files"


class Example(NamedTuple):
    """The line of an example in the list, and its files beside the run file: examples/NAME/PATH."""

    summary: str
    files: Tuple[str, ...]


_TEXTS = ("texts/fox.txt", "texts/hamlet.txt", "texts/rose.txt")
_READS = tuple(f"reads/{sample}_{mate}.txt" for sample in "abc" for mate in (1, 2))
_ORDERS = tuple(f"inbox/{source}.csv" for source in ("amsterdam", "cardiff", "dublin"))

EXAMPLES: Dict[str, Example] = {
    "files": Example(
        "a script over files, then a table of them all", ("count.py", "table.py", *_TEXTS)
    ),
    "samples": Example(
        "pairs of files through several steps, each pair at its own pace",
        ("join.py", "sort.py", "report.py", *_READS),
    ),
    "sweep": Example(
        "a script with each combination of values, then the best", ("train.py", "best.py")
    ),
    "nightly": Example(
        "a run for each day, from a table of sources; for cron",
        ("load.py", "report.py", "sources.csv", *_ORDERS),
    ),
    "shards": Example(
        "the tests of a project in several processes",
        ("shard.py", "summary.py", "words.py", "tests/test_words.py"),
    ),
    "shell": Example("a shell pipeline for each file; needs bash", _TEXTS),
}

_HELP = f"""Write an example that runs: {RUN_FILE}, and the programs and data that it needs.

EXAMPLE is a name of --list (default: {DEFAULT}). FOLDER is made if need be (default: this one).
Nothing is overwritten: if one of the files exists, nothing is written.

\b
Examples:
  procsup init && procsup run
  procsup init --list
  procsup init sweep my-sweep
"""

_CODES = exit_codes(
    _0="the example has been written",
    _2="no such example, or a file of that name exists",
    _74="a file could not be written",
)


@click.command("init", help=_HELP, epilog=_CODES)
@click.argument("example", default=DEFAULT)
@click.argument("folder", default=".")
@click.option("--list", "only_list", is_flag=True, help="List the examples, one a line.")
def command(example: str, folder: str, only_list: bool) -> int:
    """Write an example, or list them."""
    if only_list:
        width = max(map(len, EXAMPLES))
        write_stdout(*(f"{name:{width}}  {found.summary}" for name, found in EXAMPLES.items()))
        return 0
    if example not in EXAMPLES:
        raise UsageError(_describe_unknown(example))
    root = Path(folder)
    files = (RUN_FILE, *EXAMPLES[example].files)
    _refuse_existing(root, files)
    with contextlib.ExitStack() as undo:
        for name in files:
            _write(root / name, _read(example, name), undo)
        undo.pop_all()
    write_stderr(*_describe_written(example, root, files))
    return 0


def _refuse_existing(root: Path, files: Tuple[str, ...]) -> None:
    found = [name for name in files if os.path.lexists(root / name)]
    if found:
        where = "here" if root == Path() else f"in {make_visible(str(root))}"
        raise UsageError(
            f"{where} exist already, and are not overwritten: {', '.join(found)}\n"
            "Name another folder for the example: procsup init EXAMPLE FOLDER"
        )


def _write(path: Path, data: bytes, undo: contextlib.ExitStack) -> None:
    """Write a new file, with the folders above it; `undo` removes what was made."""
    for folder in _find_missing(path.parent):
        folder.mkdir()
        undo.callback(folder.rmdir)
    with path.open("xb") as file:
        undo.callback(path.unlink)
        file.write(data)


def _find_missing(folder: Path) -> Iterator[Path]:
    """Yield the folders that have to be made for this one, the outermost first."""
    for one in (*reversed(folder.parents), folder):
        if not os.path.lexists(one):
            yield one


def _read(example: str, name: str) -> bytes:
    data = pkgutil.get_data("procsup", f"examples/{example}/{name}")
    assert data is not None
    return data


def _describe_written(example: str, root: Path, files: Tuple[str, ...]) -> Iterator[str]:
    """Yield lines that name the files written, and the next command."""
    yield f"{example}: {EXAMPLES[example].summary}"
    yield "  " + ", ".join(files)
    where = "" if root == Path() else f" {quote_word(str(root / RUN_FILE))}"
    yield f"now: procsup run{where}"


def _describe_unknown(example: str) -> str:
    near = find_nearest(example, EXAMPLES)
    hint = f": did you mean {near}?" if near else f": there are {', '.join(EXAMPLES)}"
    return (
        f"there is no example {make_visible(repr(example))}{hint}\n"
        "A folder is the second word: procsup init EXAMPLE FOLDER\n(see: procsup init --list)"
    )

"""What the steps share: reading FASTQ and FASTA, and writing a file whole or not at all."""

import contextlib
import gzip
import io
import os
import sys
from pathlib import Path
from typing import Iterator, NamedTuple, TextIO


class Read(NamedTuple):
    """One read: its name, its bases, and how sure the machine was of each."""

    name: str
    bases: str
    qualities: str


class Broken(Exception):
    """A file that is not what it should be."""


def reads(path: Path) -> Iterator[Read]:
    """Yield the reads of a ``.fastq.gz``; Broken if it is none, or is cut off."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as stream:
            while True:
                name = stream.readline().rstrip("\n")
                if not name:
                    return
                bases, plus, qualities = (stream.readline().rstrip("\n") for _ in range(3))
                if name[0] != "@" or plus[:1] != "+" or len(bases) != len(qualities):
                    raise Broken(f"{path}: not FASTQ at {name!r}")
                yield Read(name[1:], bases, qualities)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise Broken(f"{path}: {error}") from error


def reference(path: Path) -> str:
    """Return the sequence of a FASTA file with one record."""
    lines = path.read_text(encoding="ascii").splitlines()
    if not lines or not lines[0].startswith(">"):
        raise Broken(f"{path}: not FASTA")
    return "".join(lines[1:])


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[TextIO]:
    """Open a text file that appears under its name once it is complete; ``.gz`` compresses.

    The same text gives the same bytes: no time and no name in the header.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as raw, _text(raw, path.suffix == ".gz") as stream:
            yield stream
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # it may have failed before it was made
            partial.unlink()
        raise


@contextlib.contextmanager
def _text(raw: io.BufferedWriter, is_compressed: bool) -> Iterator[TextIO]:
    if not is_compressed:
        with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as stream:
            yield stream
        return
    packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
    with packed, io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as stream:
        yield stream


def fail(step: str, message: object) -> int:
    """Say what is wrong on stderr and return the exit code for it."""
    print(f"{step}: {message}", file=sys.stderr)
    return 2

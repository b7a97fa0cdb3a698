"""Looks at files: what they are like, and whether they still are what was recorded.

Nothing is written here, except that `sync_path` puts a file on disk for good.
"""

import fnmatch
import os
import re
import stat
from functools import partial
from typing import Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

from procsup.core.keep import Intact
from procsup.core.outcome import Reading
from procsup.core.records import End
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.paths.identity import MISSING, Compared, Contents, compare, read_file

_UNTOUCHED = Intact()
# What file managers and NFS leave in folders by themselves: never part of a result.
_LITTER = re.compile(
    r"\.DS_Store|Thumbs\.db|desktop\.ini|\.nfs[0-9a-f]+"
    r"|\..*\.procsup-\d+|\.procsup-.*\.part"  # ours, on their way to their names
)
_WILDCARD = re.compile(r"[*?[]")
_ESCAPED = re.compile(r"\[([*?[])\]")  # what glob.escape makes


def read_output(output: OutputSpec, *, checksum: str) -> List[Reading]:
    """Return a reading of each file that a declared output stands for now (see `files_of`)."""
    readings = (read_file(path, checksum=checksum) for path in files_of(output))
    return [reading for reading in readings if reading is not None]


# --- which files a declared path stands for ------------------------------------------------


def files_of(output: OutputSpec) -> List[str]:
    """Return the files that a declared output stands for now; none if there are none.

    A folder (declared as one, or found to be one) stands for every file below, sorted; a glob for
    its sorted matches, without hidden names and what is behind symlinked folders.
    """
    if output.kind == "glob":
        return sorted(set(_glob(output.path)))
    # Without the slash: Windows calls "file/" an invalid name. With its own: one spelling a file.
    path = output.path
    if output.kind == "folder":
        path = path.replace("/", os.sep).rstrip(os.sep) or os.sep
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except MISSING:
        return []
    if is_folder:
        return sorted(_files_below(path))
    return [] if output.kind == "folder" else [output.path]


def home_of(output: OutputSpec) -> str:
    """Return the folder that must be there before the output can be made."""
    if output.kind != "glob":
        return os.path.dirname(output.path.rstrip("/" + os.sep))
    folder, parts = _split(output.path)
    for part in parts[:-1]:
        name = _literal(part)
        if name is None:
            break
        folder = os.path.join(folder, name)
    return folder


def _files_below(folder: str) -> Iterator[str]:
    folders = [folder]
    while folders:
        for entry in _entries(folders.pop()):
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":  # written whenever a neighbour is imported
                    folders.append(entry.path)
            elif entry.is_file() and not _LITTER.fullmatch(entry.name):
                yield entry.path


def _entries(folder: str) -> List["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except MISSING:
        return []


def _glob(pattern: str) -> Iterator[str]:
    folder, parts = _split(pattern)
    return _matches(folder, parts)


def _split(pattern: str) -> Tuple[str, List[str]]:
    """Return the root of a pattern, and its parts below."""
    drive, rest = os.path.splitdrive(pattern)
    if os.altsep:
        rest = rest.replace(os.altsep, os.sep)
    parts = [part for part in rest.split(os.sep) if part]
    return drive + os.sep, parts + ["**", "*"] * rest.endswith(os.sep)


def _literal(part: str) -> Optional[str]:
    """Return the only name that a part of a pattern matches, None if it has wildcards."""
    if not _WILDCARD.search(_ESCAPED.sub("", part)):
        return _ESCAPED.sub(r"\1", part)
    return None


def _matches(folder: str, parts: Sequence[str]) -> Iterator[str]:
    part, rest = parts[0], parts[1:]
    name = _literal(part)
    if part == "**":
        yield from _matches(folder, rest or ["*"])
        for entry in _entries(folder):
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                yield from _matches(entry.path, parts)
    elif name is None:
        yield from _matches_of(folder, part, rest)
    else:
        path = os.path.join(folder, name)
        if rest and os.path.isdir(path):
            yield from _matches(path, rest)
        elif not rest and os.path.isfile(path):
            yield path


def _matches_of(folder: str, part: str, rest: Sequence[str]) -> Iterator[str]:
    fits = re.compile(fnmatch.translate(os.path.normcase(part))).match
    for entry in _entries(folder):
        if entry.name.startswith(".") and not part.startswith("."):
            continue
        if not fits(os.path.normcase(entry.name)):
            continue
        if rest and entry.is_dir(follow_symlinks=False):
            yield from _matches(entry.path, rest)
        elif not rest and entry.is_file():
            yield entry.path


# --- is it still what was recorded? ----------------------------------------------------------


def inputs_of(unit: UnitSpec) -> List[OutputSpec]:
    """Return the paths that a unit's result depends on, each once, as if they were outputs."""
    paths = [*unit.inputs, *unit.depends]
    if unit.stdin is not None:
        paths.append(unit.stdin)
    return [OutputSpec(path) for path in dict.fromkeys(paths)]


def outputs_of(unit: UnitSpec) -> List[OutputSpec]:
    """Return the declared outputs and the files named for stdout and stderr, each path once."""
    outputs = {output.path: output for output in unit.outputs}
    for path in (unit.stdout, unit.stderr):
        if path is not None and path not in outputs:
            outputs[path] = OutputSpec(path, empty=True)
    return list(outputs.values())


def intact(
    unit: UnitSpec, end: End, *, checksum: str, contents: Optional[Contents] = None
) -> Intact:
    """Compare a unit's inputs and outputs with those of its recorded end, file by file.

    A folder or a glob is its list of files: one more or one less is a change.
    """
    outputs, inputs = outputs_of(unit), inputs_of(unit)
    if not (outputs or inputs or end.outputs or end.inputs):
        return _UNTOUCHED
    seen: List[Reading] = []
    try:
        made = [(output, files_of(output)) for output in outputs]
        for output, files in made:
            if not files and not output.optional:
                return Intact(outputs=f"{output.path}: missing", missing=True)
        known = {reading.path for reading in end.outputs}
        made_now = [
            # An old file under an optional name was not vouched for: it does not count now either.
            [file for file in files if file in known] if output.optional else files
            for output, files in made
        ]
        used = [files_of(declared) for declared in inputs]
        look = partial(compare, checksum=checksum, contents=contents)
        return Intact(
            _difference(used, end.inputs, look, seen),
            _difference(made_now, end.outputs, look, seen),
            seen=tuple(seen),
        )
    except OSError as error:
        reason = f"{error.filename}: cannot be read: {error.strerror or error}"
        return Intact(reason, reason, missing=True)


def _difference(
    files: Iterable[Sequence[str]],
    recorded: Sequence[Reading],
    look: Callable[[Reading], Compared],
    seen: List[Reading],
) -> str:
    now = {path for paths in files for path in paths}
    known = {reading.path for reading in recorded}
    if now != known:
        path = min(now ^ known)
        return f"{path}: {'missing' if path in known else 'was not there'}"
    for reading in recorded:
        found = look(reading)
        if found.difference:
            return f"{reading.path}: {found.difference}"
        if found.seen is not None:
            seen.append(found.seen)
    return ""


# --- on disk for good ------------------------------------------------------------------------


def sync_file(path: str) -> None:
    """Return when the file's content is on disk; OSError if it could not be put there."""
    from procsup.host import files  # a run without outputs does not pay for it

    writable = os.O_RDONLY if os.name == "posix" else os.O_RDWR  # Windows flushes for writers only
    fd = os.open(path, writable | getattr(os, "O_BINARY", 0))
    try:
        files.sync_fd(fd)
    finally:
        os.close(fd)


def sync_folder(path: str) -> None:
    """Return when the names in the folder are on disk; OSError if they could not be put there."""
    from procsup.host import files

    files.sync_folder(path)


def sync_path(path: str) -> None:
    """Return when the file and its name in its folder are on disk; OSError if they are not."""
    sync_file(path)
    sync_folder(os.path.dirname(path))

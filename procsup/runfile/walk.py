"""Finds the files that a glob matches: sorted, no hidden names, symlinked folders not followed."""

import os
from typing import Iterator, List, NamedTuple, Sequence, Tuple

from procsup.runfile.patterns import Glob, Part
from procsup.runfile.problems import Wrong


class Match(NamedTuple):
    """A path as the glob would write it, and what was captured."""

    path: str
    captures: Tuple[str, ...]


def find(glob: Glob, folder: str) -> List[Match]:
    """Return what a glob matches, its relative base taken from `folder`.

    `Wrong` if a folder cannot be read; one that does not exist holds nothing.
    """
    base = os.path.join(folder, glob.base)
    matches: List[Match] = []
    for path in sorted(set(_below(base, "", glob.rest, folders=glob.folders))):
        captures = glob.split(path)
        if captures is not None:
            matches.append(Match(glob.below_base(path), captures))
    return matches


def why_nothing(glob: Glob, folder: str) -> str:
    """Say in a few words why a glob found nothing."""
    if not os.path.isdir(os.path.join(folder, glob.base)):
        return f"`{glob.source}` matches nothing: there is no folder `{glob.base}`"
    kind = "folder" if glob.folders else "file"
    return f"`{glob.source}` matches no {kind}"


def _below(folder: str, prefix: str, parts: Sequence[Part], *, folders: bool) -> Iterator[str]:
    part, rest = parts[0], parts[1:]
    if part.literal is not None:
        yield from _literal(folder, prefix, parts, folders=folders)
    elif part.regex is None:
        hidden = any(later.literal is not None and later.literal[:1] == "." for later in rest)
        yield from _everything(folder, prefix, folders=folders, hidden=hidden)
    else:
        for entry in _entries(folder):
            if not part.regex.fullmatch(entry.name):
                continue
            if rest:
                if entry.is_dir(follow_symlinks=False):
                    path = f"{prefix}{entry.name}/"
                    yield from _below(entry.path, path, rest, folders=folders)
            elif _is_wanted(entry, folders=folders):
                yield prefix + entry.name


def _literal(folder: str, prefix: str, parts: Sequence[Part], *, folders: bool) -> Iterator[str]:
    name = parts[0].literal or ""
    path = os.path.join(folder, name)
    if len(parts) > 1:
        if os.path.isdir(path):
            yield from _below(path, f"{prefix}{name}/", parts[1:], folders=folders)
    elif os.path.isdir(path) if folders else os.path.isfile(path):
        yield prefix + name


def _everything(folder: str, prefix: str, *, folders: bool, hidden: bool) -> Iterator[str]:
    todo = [(folder, prefix)]
    while todo:
        at, path = todo.pop()
        for entry in _entries(at):
            if entry.name.startswith(".") and not hidden:
                continue
            if _is_wanted(entry, folders=folders):
                yield path + entry.name
            if entry.is_dir(follow_symlinks=False):
                todo.append((entry.path, f"{path}{entry.name}/"))


def _is_wanted(entry: "os.DirEntry[str]", *, folders: bool) -> bool:
    return entry.is_dir(follow_symlinks=False) if folders else entry.is_file()


def _entries(folder: str) -> List["os.DirEntry[str]"]:
    try:
        with os.scandir(folder or os.curdir) as entries:
            return list(entries)
    except OSError as error:
        if not os.path.isdir(folder or os.curdir):
            return []
        raise Wrong(f"{folder}: cannot be read: {error.strerror or error}") from None

"""Finds files: those that a glob matches, those in a folder, those of a declared path.

Links to folders are followed where a part of a glob matches one name, but not in ``**``, which
could loop.
"""

import errno
import os
import stat
from functools import lru_cache
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from msgspec import Struct

from procsup.core.globs import Branch, Glob, is_deep, is_literal, parse, parse_without
from procsup.core.regexes import compile_at_use
from procsup.core.rooted import HOME, RUN_LOCK, UNITS_LOCK
from procsup.core.spec import OutputSpec
from procsup.core.wildcards import DEEP
from procsup.paths.opening import MISSING, is_folder
from procsup.paths.reader import list_names

CASE = os.path.normcase("A") == "A"  # whether names are case-sensitive

# Files that file managers and NFS create in folders: never part of a result.
_IGNORED_NAMES = compile_at_use(
    r"\.DS_Store|Thumbs\.db|desktop\.ini|\.nfs[0-9a-f]+"
    r"|\..*\.procsup-\d+|\.procsup-.*\.part"  # our own temporary files
)
_EDITORS_LOCK = ".#"  # Emacs: a link to USER@HOST while the file is edited
# Python writes the first one when a module beside it is imported.
_FOLDERS_OF_TOOLS = ("__pycache__", HOME)
_Captures = Tuple[str, ...]
_Found = Tuple[str, _Captures]


class LinkToNothing(OSError):
    """A glob matches a broken link, or a folder holds one; `filename` is the link."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOENT, "is a link to nothing", path)


class Found(Struct, frozen=True):
    """The matches of a glob, and the linked folders that its ``**`` did not enter, both sorted.

    `matches`: path in the notation of the glob -> captured texts.
    """

    matches: Dict[str, _Captures]
    left_out: List[str]


def find(glob: Glob, folder: str = "", *, case: bool = CASE) -> Found:
    """Return the current matches of a glob; its relative bases start at `folder`.

    Run directories are not looked into, unless the base itself is one. A missing folder counts as
    empty; OSError if a folder cannot be read, LinkToNothing if a matching link, or a link in place
    of a folder on the way, is broken.
    """
    found: Dict[str, _Captures] = {}
    left_out: Set[str] = set()
    for branch in glob.branches:
        if glob.excludes(branch.base, case=case):
            continue
        walker = _Walker(glob, branch, left_out, case=case)
        below = walker.walk_below(os.path.join(folder, branch.base))
        if branch.captures != glob.captures:
            below = ((path, glob.order_captures(branch, held)) for path, held in below)
        found = {**dict(below), **found}  # as `match` does: the first branch captures
    return Found({path: found[path] for path in sorted(found)}, sorted(left_out))


class _Walker:
    """Walks the tree below the base of one branch; paths are in the notation of the glob."""

    def __init__(self, glob: Glob, branch: Branch, left_out: Set[str], *, case: bool) -> None:
        self._glob = glob
        self._branch = branch
        self._left_out = left_out
        self._case = case
        self._parts = branch.rest
        self._prefix = branch.join_base("")
        self._deep = next((i for i, p in enumerate(self._parts) if _is_captured_deep(p)), -1)
        self._seen: Set[Tuple[str, int]] = set()  # with two `**`, a folder is reached in many ways
        self._top = ""

    def walk_below(self, folder: str) -> Iterator[_Found]:
        """Yield the matches, with the captured texts."""
        self._top = folder
        if self._deep < 0:
            return self._walk(folder, self._prefix, 0, ())
        return self._split(self._walk(folder, self._prefix, 0, ()))

    def _split(self, found: Iterator[_Found]) -> Iterator[_Found]:
        """Keep the paths that the whole pattern matches: a deep capture may end anywhere."""
        split = self._branch.make_matcher(case=self._case).split
        for path, _ in found:
            captures = split(path[len(self._prefix) :])
            if captures is not None:
                yield path, captures

    def _walk(self, folder: str, prefix: str, index: int, held: _Captures) -> Iterator[_Found]:
        part = self._parts[index]
        if index == self._deep:
            yield from self._walk_everything(folder, prefix, index)
        elif part == (DEEP,):
            yield from self._walk_deeper(folder, prefix, index, held)
        elif is_literal(part):
            yield from self._walk_named(folder, prefix, index, held)
        else:
            yield from self._walk_matching(folder, prefix, index, held)

    def _walk_deeper(
        self, folder: str, prefix: str, index: int, held: _Captures
    ) -> Iterator[_Found]:
        todo = [(folder, prefix)]
        while todo:
            at, path = todo.pop()
            if (at, index) in self._seen:
                continue
            if not held:
                self._seen.add((at, index))
            entries = _list_entries(at)
            if self._is_run_directory(at, entries):
                continue
            yield from self._walk(at, path, index + 1, held)
            todo += [
                (entry.path, f"{path}{entry.name}/")
                for entry in entries
                if not entry.name.startswith(".") and self._enters(entry, path + entry.name)
            ]

    def _enters(self, entry: "os.DirEntry[str]", path: str) -> bool:
        """Whether `**` enters a folder; a linked one is recorded as left out."""
        if not entry.is_dir() or self._is_out(path):
            return False
        if entry.is_symlink():
            self._left_out.add(path)
            return False
        return True

    def _walk_named(
        self, folder: str, prefix: str, index: int, held: _Captures
    ) -> Iterator[_Found]:
        name = "".join(map(str, self._parts[index]))
        path, shown = os.path.join(folder, name), prefix + name
        if self._is_out(shown):
            return
        is_last = index == len(self._parts) - 1
        leads_on = is_folder(path)
        if not is_last and leads_on:
            yield from self._walk(path, f"{shown}/", index + 1, held)
        elif is_last and (leads_on if self._branch.folders else os.path.isfile(path)):
            yield shown, held
        elif not leads_on and os.path.islink(path) and not os.path.exists(path):
            raise LinkToNothing(path)

    def _walk_matching(
        self, folder: str, prefix: str, index: int, held: _Captures
    ) -> Iterator[_Found]:
        split = self._branch.make_matcher(index, case=self._case).split
        is_last = index == len(self._parts) - 1
        wants_folder = not is_last or self._branch.folders
        may_be_out = bool(self._glob.excluded)
        for entry in self._list_entries(folder):
            captured = split(entry.name)
            if captured is None or (may_be_out and self._is_out(prefix + entry.name)):
                continue
            if entry.is_dir() if wants_folder else entry.is_file():
                if is_last:
                    yield prefix + entry.name, held + captured
                else:
                    inside = f"{prefix}{entry.name}/"
                    yield from self._walk(entry.path, inside, index + 1, held + captured)
            elif _is_broken(entry):
                raise LinkToNothing(entry.path)

    def _walk_everything(self, folder: str, prefix: str, index: int) -> Iterator[_Found]:
        """Yield the paths that a deep capture and the parts after it may match."""
        later = self._parts[index + 1 :]
        hidden = any(str(part[0]).startswith(".") for part in later if isinstance(part[0], str))
        wants_folder = self._branch.folders
        matcher = self._branch.make_matcher(case=self._case)
        todo = [(folder, prefix)]
        while todo:
            at, path = todo.pop()
            for entry in self._list_entries(at):
                shown = path + entry.name
                if (entry.name.startswith(".") and not hidden) or self._is_out(shown):
                    continue
                if self._enters(entry, shown):
                    todo.append((entry.path, f"{shown}/"))
                    if wants_folder:
                        yield shown, ()
                elif not wants_folder and entry.is_file():
                    yield shown, ()
                elif _is_broken(entry) and matcher.split(shown[len(self._prefix) :]) is not None:
                    raise LinkToNothing(entry.path)

    def _list_entries(self, folder: str) -> "List[os.DirEntry[str]]":
        entries = _list_entries(folder)
        return [] if self._is_run_directory(folder, entries) else entries

    def _is_run_directory(self, folder: str, entries: "List[os.DirEntry[str]]") -> bool:
        return folder != self._top and _is_run_directory(folder, entries)

    def _is_out(self, path: str) -> bool:
        """Whether a path is excluded; its folders were checked before."""
        if not self._glob.excluded:
            return False
        return any(one.match(path, case=self._case) is not None for one in self._glob.excluded)


def _is_broken(entry: "os.DirEntry[str]") -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def _is_captured_deep(part: Sequence[object]) -> bool:
    return part != (DEEP,) and is_deep(part)  # type: ignore[arg-type]


# --- declared paths ------------------------------------------------------------------------------


def list_files(
    output: OutputSpec,
    *,
    follow: bool = False,
    leaves_out: Optional[Callable[[str], bool]] = None,
) -> List[str]:
    """Return the current files of a declared path, which may be none.

    For a folder (declared or found) these are all files below it, by `list_files_below`. For
    a glob they are its sorted matches. Both are without the paths that are `excluded` or in an
    excluded folder; a folder also without those for which `leaves_out` is true. OSError if a folder
    cannot be read, LinkToNothing as in `find`.
    """
    if output.kind == "glob":
        found = find(make_glob(output)).matches
        return [path.replace("/", os.sep) for path in found]
    # Windows refuses the name "file/"; with its own separator each file has one spelling.
    path = output.path
    if output.kind == "folder":
        path = path.replace("/", os.sep).rstrip(os.sep) or os.sep
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except MISSING:
        return []
    if is_folder:
        tests = [
            test for test in (_make_leaves_out(output.excluded), leaves_out) if test is not None
        ]
        both = tests[0] if len(tests) == 1 else lambda path: any(test(path) for test in tests)
        return list_files_below(path, follow=follow, leaves_out=both if tests else None)
    return [] if output.kind == "folder" else [output.path]


def stands_for(output: OutputSpec, file: str) -> bool:
    """Whether this file, if it exists, is among those of a declared path."""
    if output.kind == "glob":
        return make_glob(output).match(file.replace(os.sep, "/"), case=CASE) is not None
    path = output.path.rstrip("/" + os.sep)
    inside = file == path or file.startswith(path + os.sep)
    return inside and not excludes(output, file)


def make_glob(output: OutputSpec) -> Glob:
    """Return the pattern of a declared glob, without the paths that it excludes."""
    excluded = tuple([one.replace(os.sep, "/") for one in output.excluded])
    return parse_without(output.path.replace(os.sep, "/"), excluded)


def read_excluded(output: OutputSpec) -> List[Glob]:
    """Return the patterns of the paths that a declared folder or glob excludes."""
    return [parse(one.replace(os.sep, "/")) for one in output.excluded]


def excludes(declared: OutputSpec, path: str) -> bool:
    """Whether a declared folder or glob excludes a path, or a folder above it."""
    leaves_out = _make_leaves_out(declared.excluded)
    return leaves_out is not None and leaves_out(path)


@lru_cache(maxsize=1024)
def _make_leaves_out(excluded: Tuple[str, ...]) -> "Optional[Callable[[str], bool]]":
    if not excluded:
        return None
    globs = [parse(one.replace(os.sep, "/")) for one in excluded]
    whole = globs[0].exclude(globs)
    return lambda path: whole.excludes(path.replace(os.sep, "/"), case=CASE)


def find_home(output: OutputSpec) -> str:
    """Return the folder that must exist before the output can be made.

    For a glob it is the deepest folder that all of its matches share.
    """
    if output.kind != "glob":
        return os.path.dirname(output.path.rstrip("/" + os.sep))
    bases = [branch.base for branch in parse(output.path.replace(os.sep, "/")).branches]
    return (bases[0] if len(bases) == 1 else os.path.commonpath(bases)).replace("/", os.sep)


def list_files_below(
    folder: str,
    *,
    follow: bool = False,
    leaves_out: Optional[Callable[[str], bool]] = None,
) -> List[str]:
    """Return every file in and below a folder, sorted, without ignored names and run directories.

    With `follow`, folders behind links count too, each once, unless they are already in the tree or
    above it; a broken link raises LinkToNothing. Without `follow` a broken link is returned. Files
    and folders for which `leaves_out` is true do not count.
    """
    links: List[str] = []
    folders = [folder]
    files = list(_list_files_in(folders, links, leaves_out, follow=follow))
    if follow and links:
        known = {_read_identity(one) for one in [*folders, *_list_above(folder)]}
        while links:
            link = min(links)
            links.remove(link)
            if _read_identity(link) not in known:
                more = [link]
                files += _list_files_in(more, links, leaves_out, follow=True)
                known.update(map(_read_identity, more))
    return sorted(files)


def _list_files_in(
    folders: List[str],
    links: List[str],
    leaves_out: Optional[Callable[[str], bool]],
    *,
    follow: bool,
) -> Iterator[str]:
    """Yield the files; add subfolders to `folders`, and links to folders to `links`."""
    top = folders[0]
    for at in folders:
        entries = _list_entries(at)
        if at != top and _is_run_directory(at, entries):
            continue
        for entry in entries:
            if leaves_out is not None and leaves_out(entry.path):
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _FOLDERS_OF_TOOLS:
                    folders.append(entry.path)
            elif entry.is_file():
                if not _IGNORED_NAMES.fullmatch(entry.name):
                    yield entry.path
            elif entry.is_symlink() and entry.is_dir():
                links.append(entry.path)
            elif _is_broken(entry) and not entry.name.startswith(_EDITORS_LOCK):
                if follow:
                    raise LinkToNothing(entry.path)
                yield entry.path


def _is_run_directory(folder: str, entries: "List[os.DirEntry[str]]") -> bool:
    named = RUN_LOCK in [entry.name for entry in entries]
    return named and os.path.exists(os.path.join(folder, UNITS_LOCK))


def _list_above(folder: str) -> List[str]:
    found = [os.path.realpath(folder)]
    while os.path.dirname(found[-1]) != found[-1]:
        found.append(os.path.dirname(found[-1]))
    return found


def _read_identity(folder: str) -> Tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _list_entries(folder: str) -> "List[os.DirEntry[str]]":
    try:
        with os.scandir(folder or os.curdir) as entries:
            found = list(entries)
        names = list_names(folder or os.curdir)
        return found if names is None else [entry for entry in found if entry.name in names]
    except MISSING:
        return []
    except OSError:
        if is_folder(folder or os.curdir):
            raise
        return []  # a file; some systems raise another error for it

"""Resolves links to folders, to tell whether two paths are one file."""

import os
import re
import stat
from typing import AbstractSet, Dict, Iterable, Optional

from msgspec.structs import replace

from procsup.core.globs import escape, unescape
from procsup.core.regexes import compile_at_use
from procsup.core.spec import OutputSpec
from procsup.paths.joining import join_path

_SEPARATORS = "/" + os.sep
_UNKNOWN = ""
_MANY = 50  # looks into a folder; listing it takes no longer than that
_SPECIAL = compile_at_use(r"[*?\[{]")  # in a pattern; the text before it is literal
_PARENTS = compile_at_use(r"(?:.*/)?\.\.(?=/|$)", re.DOTALL)  # in a pattern: before its wildcards


def join_pattern(folder: str, text: str) -> str:
    """Return a pattern from the root, as `joined`; the name of `folder` is literal."""
    parents = _PARENTS.match(text) if ".." in text else None
    if parents is None:
        return os.path.normpath(os.path.join(escape(folder), text))
    above = escape(join_path(folder, unescape(parents.group())))
    return os.path.normpath(above + text[parents.end() :])


class RealFolders:
    """Resolves folders and caches the results; paths in `root` keep their names."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._inside = root.rstrip(os.sep) + os.sep
        self._real_root: Optional[str] = None
        self._asked: Dict[str, int] = {}  # folder -> how often a path in it was looked up
        self._links: Dict[str, AbstractSet[str]] = {}
        self._known: Dict[str, Optional[str]] = {root: root}  # None: missing, and all below it, too

    def resolve(self, path: str) -> str:
        """Return a path with the links in its folders resolved; its last name is not.

        The name of a folder that does not exist yet is kept.
        """
        folder, separator, _ = path.rstrip(_SEPARATORS).rpartition(os.sep)
        real = self._resolve_folder(folder)
        if real is None or real == folder:
            return path
        return f"{real}{separator}{path[len(folder) + 1 :]}"

    def resolve_declared(self, path: str, *, is_glob: bool = False) -> str:
        """Return a declared path, or a pattern, with links in its folders resolved.

        A path that ends with a separator is a folder's, and may be a link itself.
        """
        if path.endswith(os.sep):
            folder = path[:-1]
            real = self._known[folder] if folder in self._known else self._find(folder)
            return path if real is None or real == folder else f"{real}{os.sep}"
        if not is_glob:
            return self.resolve(path)
        folder = _SPECIAL.split(path, maxsplit=1)[0].rpartition(os.sep)[0]
        real = self.resolve(f"{folder}{os.sep}_")[:-2]
        return path if real == folder else escape(real) + path[len(folder) :]

    def resolve_output(self, output: OutputSpec) -> OutputSpec:
        """Return an output with links in its folders resolved."""
        real = self.resolve_declared(output.path, is_glob=output.kind == "glob")
        if real == output.path:
            return output
        excluded = tuple([self.resolve_declared(one, is_glob=True) for one in output.excluded])
        return replace(output, path=real, excluded=excluded)

    @property
    def folders(self) -> Iterable[str]:
        """The folders in which the paths are, and those above them that are in `root`."""
        return self._known.keys()

    def _resolve_folder(self, folder: str) -> Optional[str]:
        real = self._known.get(folder, _UNKNOWN)
        if real is _UNKNOWN:
            real = self._known[folder] = self._find(folder)
        return real

    def _find(self, folder: str) -> Optional[str]:
        return (
            self._look(folder) if folder.startswith(self._inside) else self._resolve_outside(folder)
        )

    def _look(self, folder: str) -> Optional[str]:
        parent, separator, name = folder.rpartition(os.sep)
        above = self._resolve_folder(parent)
        if above is None:
            return None
        plain = folder if above == parent else f"{above}{separator}{name}"
        links = self._list_links(parent)
        if links is not None:
            return self._resolve_outside(folder) if name in links else plain
        try:
            is_link = stat.S_ISLNK(os.lstat(folder).st_mode)
        except OSError:
            return None if above == parent else plain
        return self._resolve_outside(folder) if is_link else plain

    def _list_links(self, folder: str) -> Optional[AbstractSet[str]]:
        """Return the names of the links in a folder that was asked for many times, else None."""
        asked = self._asked[folder] = self._asked.get(folder, 0) + 1
        if asked == _MANY:
            try:
                with os.scandir(folder) as entries:
                    self._links[folder] = {one.name for one in entries if one.is_symlink()}
            except OSError:
                pass  # each path is looked up by itself
        return self._links.get(folder)

    def _resolve_outside(self, folder: str) -> str:
        """Resolve a whole folder; if it is in the root, return its name there."""
        if self._real_root is None:
            self._real_root = os.path.realpath(self._root)
        real = os.path.realpath(folder)
        if real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep):
            return self._root + real[len(self._real_root) :]
        return real

"""Resolves links to folders, to tell whether two paths are one file."""

import os
import stat
from typing import Dict, Iterable, Optional

_SEPARATORS = "/" + os.sep
_UNKNOWN = ""


class RealFolders:
    """Resolves folders and caches the results; paths in `root` keep their names."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._inside = root.rstrip(os.sep) + os.sep
        self._real_root: Optional[str] = None
        self._known: Dict[str, Optional[str]] = {root: root}  # None: missing, and all below it, too

    def real(self, path: str) -> str:
        """Return a path with the links in its folders resolved, but not its last name.

        The name of a folder that does not exist yet is kept.
        """
        folder, separator, _ = path.rstrip(_SEPARATORS).rpartition(os.sep)
        real = self._known.get(folder, _UNKNOWN)
        if real is _UNKNOWN:
            real = self._folder(folder)
        if real is None or real == folder:
            return path
        return f"{real}{separator}{path[len(folder) + 1 :]}"

    @property
    def folders(self) -> Iterable[str]:
        """The resolved folders, and those above them that are in `root`."""
        return self._known.keys()

    def _folder(self, folder: str) -> Optional[str]:
        if folder not in self._known:
            inside = folder.startswith(self._inside)
            self._known[folder] = self._look(folder) if inside else self._outside(folder)
        return self._known[folder]

    def _look(self, folder: str) -> Optional[str]:
        parent, separator, name = folder.rpartition(os.sep)
        above = self._folder(parent)
        if above is None:
            return None
        try:
            is_link = stat.S_ISLNK(os.lstat(folder).st_mode)
        except OSError:
            return None if above == parent else f"{above}{separator}{name}"
        return self._outside(folder) if is_link else f"{above}{separator}{name}"

    def _outside(self, folder: str) -> str:
        """Resolve a whole folder; if it is in the root, return its name there."""
        if self._real_root is None:
            self._real_root = os.path.realpath(self._root)
        real = os.path.realpath(folder)
        if real == self._real_root or real.startswith(self._real_root.rstrip(os.sep) + os.sep):
            return self._root + real[len(self._real_root) :]
        return real

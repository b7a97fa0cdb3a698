"""Files that pending units will make: preflight does not report them as missing."""

import os
from typing import Iterable, List, Sequence, Set

from procsup.core.globs import Glob
from procsup.core.spec import UnitSpec
from procsup.host.names import make_path_key
from procsup.paths.walk import CASE, make_glob


class DeclaredOutputs:
    """The declared outputs of units; `path in promised` is also true below an output folder."""

    def __init__(self, stages: Iterable[Sequence[UnitSpec]] = ()) -> None:
        self._files: Set[str] = set()
        self._folders: Set[str] = set()
        self._globs: List[Glob] = []
        for units in stages:
            for unit in units:
                self._add(unit)

    def _add(self, unit: UnitSpec) -> None:
        for output in unit.outputs:
            key = make_path_key(output.path.rstrip(os.sep))
            if output.kind == "glob":
                self._globs.append(make_glob(output))
            else:
                (self._folders if output.kind == "folder" else self._files).add(key)
        self._files.update(make_path_key(path) for path in (unit.stdout, unit.stderr) if path)

    def __bool__(self) -> bool:
        return bool(self._files or self._folders or self._globs)

    def __contains__(self, path: str) -> bool:
        key = make_path_key(path.rstrip(os.sep))
        if key in self._files or self._is_matched(path):
            return True
        while key not in self._folders:
            above = os.path.dirname(key)
            if above == key:
                return False
            key = above
        return True

    def _is_matched(self, path: str) -> bool:
        shown = path.replace(os.sep, "/")
        return any(glob.match(shown, case=CASE) is not None for glob in self._globs)


NOTHING = DeclaredOutputs()

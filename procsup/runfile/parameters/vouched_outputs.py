"""Finds, among the matches of a glob, outputs that no succeeded unit has made."""

import os
from typing import Callable, Iterable, Set

from procsup.host.names import make_path_key
from procsup.paths.links import RealFolders


class VouchedOutputs:
    """Distinguishes outputs of earlier stages that a succeeded unit has made from others.

    `made` are the paths that were made; `is_output` returns by its key whether a path is, or is in,
    a declared output of a unit of these stages.
    """

    def __init__(
        self, made: Iterable[str], is_output: Callable[[str], bool], real: RealFolders
    ) -> None:
        self._is_output = is_output
        self._real = real
        self._made: Set[str] = set()  # with the folders that hold them
        for path in made:
            for name in {path, real.resolve(path)}:
                self._add(make_path_key(name))

    def _add(self, key: str) -> None:
        while key not in self._made:
            self._made.add(key)
            key = os.path.dirname(key)

    def leaves_out(self, path: str) -> bool:
        """Whether a file is an output that no succeeded unit made, or a folder with only such."""
        key = make_path_key(path)
        if key in self._made:
            return False
        real = make_path_key(self._real.resolve(path))
        if real in self._made:
            return False
        return self._is_output(key) or (real != key and self._is_output(real))

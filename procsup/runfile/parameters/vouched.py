"""Which of the files that a glob matches are outputs that nothing vouches for."""

import os
from typing import Callable, Iterable, Set

from procsup.host.names import path_key
from procsup.paths.links import RealFolders


class Vouched:
    """Tells the outputs of earlier stages that are vouched for from those that are not.

    `made` are the paths that are vouched for; `is_output` tells by its key whether a path is, or
    lies in, what a unit of these stages declares as output.
    """

    def __init__(
        self, made: Iterable[str], is_output: Callable[[str], bool], real: RealFolders
    ) -> None:
        self._is_output = is_output
        self._real = real
        self._made: Set[str] = set()  # with the folders that hold them
        for path in made:
            for name in {path, real.real(path)}:
                self._add(path_key(name))

    def _add(self, key: str) -> None:
        while key not in self._made:
            self._made.add(key)
            key = os.path.dirname(key)

    def leaves_out(self, path: str) -> bool:
        """Tell whether a file is an output that nothing vouches for, or a folder of only such."""
        key = path_key(path)
        if key in self._made:
            return False
        real = path_key(self._real.real(path))
        if real in self._made:
            return False
        return self._is_output(key) or (real != key and self._is_output(real))

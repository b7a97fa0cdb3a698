"""Finds inputs that other units make, although their readers do not wait for these units."""

import os
from typing import Callable, Collection, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from msgspec import Struct

from procsup.core.spec import OutputSpec, UnitSpec
from procsup.host.names import make_path_key
from procsup.paths.links import RealFolders
from procsup.runfile.checks.overlaps import Claims
from procsup.runfile.stages.recipe import Recipe


class Read(Struct, frozen=True):
    """An input (`path`, below `key`) of a unit that is, holds or lies in an output of another."""

    unit: UnitSpec
    key: str  # of the run file: inputs, depends
    path: str
    made: str  # the key of the output
    maker: str  # its unit
    lies_in: bool  # the input lies in the output


class _Shared(NamedTuple):
    key: str  # of an input
    made: str  # of an output that it is, holds or lies in
    maker: str  # its unit
    lies_in: bool = False


_Readers = Dict[Tuple[str, ...], List[Tuple[UnitSpec, str, str]]]  # by the patterns excluded
_SEVERAL = ""


class Reads:
    """The inputs of the units of a stage, found by the outputs that they may be."""

    def __init__(self, recipe: Recipe, units: Collection[UnitSpec], real: RealFolders) -> None:
        self.recipe = recipe
        self._units = units
        self._real = real
        self._readers: Dict[str, str] = {}  # key of an input -> the only unit that reads it
        for unit in units:
            for path in (*unit.inputs, *unit.depends):
                key = make_path_key(path)
                whose = self._readers.setdefault(key, unit.id)
                if whose != unit.id:
                    self._readers[key] = _SEVERAL

    @property
    def is_empty(self) -> bool:
        """Whether they read nothing."""
        return not self._readers

    def find_readers_of_others(
        self,
        outputs: Mapping[str, str],
        claims: Claims,
        follows: Callable[[UnitSpec, str], bool],
    ) -> Iterator[Read]:
        """Yield for each input the first reader of an output (key -> unit) of another unit.

        `follows` tells whether a unit starts after another one has succeeded.
        """
        found: Dict[str, List[_Shared]] = {}
        for one in self._find_shared(outputs, claims) if self._readers else ():
            if self._readers[one.key] != one.maker:
                found.setdefault(one.key, []).append(one)
        readers = self._list_readers(found) if found else {}
        for key, shared in found.items():
            yield from _find_first_bad(shared, readers[key], claims, follows)

    def _find_shared(self, outputs: Mapping[str, str], claims: Claims) -> Iterator[_Shared]:
        """Yield inputs, with an output that each is, holds or lies in, and its unit."""
        for key in self._readers.keys() & outputs.keys():
            yield _Shared(key, key, outputs[key])
        for key in self._readers.keys() & {one.rstrip(os.sep) for one in claims.folders}:
            yield _Shared(key, key + os.sep, outputs[key + os.sep])
        yield from self._find_in_folders(outputs, claims)
        keys = [] if claims.is_empty else self._list_keys_below(claims.homes)
        if keys:
            folders = Claims((OutputSpec(key + os.sep, kind="folder"), key) for key in keys)
            names = {name: key for key in keys for name in (key, key + os.sep)}
            for hit in claims.hits(names, folders):
                is_inside = hit.key == hit.unit  # otherwise a glob may match a path in it
                yield _Shared(hit.unit, make_path_key(hit.declared), hit.claimer, is_inside)

    def _find_in_folders(self, outputs: Mapping[str, str], claims: Claims) -> Iterator[_Shared]:
        keys = map(make_path_key, self._real.folders)
        read = {key for key in keys if key in self._readers}
        if not read:
            return
        known: Dict[str, Tuple[str, ...]] = {"": ()}  # folder -> the folders above it that are read

        def find_above(folder: str) -> Tuple[str, ...]:
            upper = folder.rpartition(os.sep)[0]
            if upper not in known:
                known[upper] = (*find_above(upper), upper) if upper in read else find_above(upper)
            return known[upper]

        for made, maker in outputs.items():
            for home in claims.list_homes(made):
                for key in (*find_above(home), home):
                    if key in read:
                        yield _Shared(key, made, maker)

    def _list_keys_below(self, homes: Collection[str]) -> List[str]:
        """Return the inputs in one of these folders, at any depth."""
        known: Dict[str, bool] = {"": "" in homes}

        def find_below(folder: str) -> bool:
            found = known.get(folder)
            if found is None:
                found = known[folder] = folder in homes or find_below(folder.rpartition(os.sep)[0])
            return found

        return [key for key in self._readers if find_below(key.rpartition(os.sep)[0])]

    def _list_readers(self, keys: Collection[str]) -> Dict[str, _Readers]:
        found: Dict[str, _Readers] = {key: {} for key in keys}
        for unit in self._units:
            for named, path in _list_paths(unit):
                readers = found.get(make_path_key(path))
                if readers is not None:
                    excluded = unit.excluded.get(path, ())
                    readers.setdefault(excluded, []).append((unit, named, path))
        return found


def _list_paths(unit: UnitSpec) -> Iterator[Tuple[str, str]]:
    for path in unit.inputs:
        yield "inputs", path
    for path in unit.depends:
        yield "depends", path


def _find_first_bad(
    shared: Sequence[_Shared],
    readers: _Readers,
    claims: Claims,
    follows: Callable[[UnitSpec, str], bool],
) -> Iterator[Read]:
    for key, made, maker, lies_in in shared:
        for excluded, some in readers.items():
            folder = OutputSpec(key + os.sep, kind="folder", excluded=excluded)
            if excluded and claims.are_excluded(made, folder):
                continue
            for unit, named, path in some:
                if unit.id != maker and not follows(unit, maker):
                    yield Read(unit, named, path, made, maker, lies_in)
                    return

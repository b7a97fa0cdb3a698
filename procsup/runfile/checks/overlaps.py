"""Finds outputs that are, or may be, in a folder or a glob that another unit declares.

Both units would then record the same files as their own.
"""

import os
from bisect import bisect_left
from typing import (
    Collection,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Set,
    Tuple,
)

from msgspec import Struct

from procsup.core.globs import Glob, find_ends, find_meeting, meet
from procsup.core.spec import OutputSpec
from procsup.host.names import make_path_key
from procsup.paths.walk import CASE, excludes, make_glob, read_excluded

_MOST_COMPARED = 64  # globs with the same start and end: 100,000 units stay fast


class Overlap(Struct, frozen=True):
    """An output (`key`) of a unit that lies in a folder or glob of the unit `claimer`.

    `common` is a path in both; None if the whole output lies in it.
    """

    key: str
    unit: str
    claimer: str
    declared: str
    common: Optional[str] = None


class _Claim(Struct, frozen=True):
    key: str
    unit: str
    path: str
    excluded: Tuple[str, ...] = ()

    @property
    def glob(self) -> Glob:
        """The pattern: 100,000 parsed ones would take much memory, and few are compared."""
        return _parse_glob(self.path, self.excluded)


class Claims:
    """The folders and globs that units of a stage declare, found by the start of their paths."""

    def __init__(self, declared: Iterable[Tuple[OutputSpec, str]]) -> None:
        self._folders: Dict[str, Tuple[str, str]] = {}
        self._less: Dict[str, OutputSpec] = {}  # folders with exclusions
        self._globs: Dict[str, List[Tuple[str, str]]] = {}  # key -> (start, end) of each branch
        self._excluded: Dict[str, Tuple[str, ...]] = {}  # key of a glob -> its exclusions
        self._claims: Dict[str, Dict[str, List[_Claim]]] = {}  # start -> reversed end -> claims
        for output, unit in declared:
            key = make_path_key(output.path)
            if output.kind == "folder":
                self._folders[key] = (unit, output.path)
                if output.excluded:
                    self._less[key] = output
                continue
            self._globs[key] = [_make_keys(*pair) for pair in find_ends(_use_slashes(output.path))]
            if output.excluded:
                self._excluded[key] = output.excluded
            for start, end in self._globs[key]:
                claims = self._claims.setdefault(start, {}).setdefault(end, [])
                claims.append(_Claim(key, unit, output.path, output.excluded))
        self._folder_lengths = sorted({len(key) for key in self._folders})
        self._lengths = sorted({len(start) for start in self._claims})
        self._sorted = {start: sorted(by_end) for start, by_end in self._claims.items()}

    @property
    def is_empty(self) -> bool:
        """Whether no unit of the stage declares a folder or a glob."""
        return not (self._folders or self._claims)

    @property
    def folders(self) -> Collection[str]:
        """The keys of the folders."""
        return self._folders.keys()

    @property
    def homes(self) -> Set[str]:
        """The keys of the folders, and of those in which the globs begin, without separators."""
        begins = {start.rpartition("/")[0].replace("/", os.sep) for start in self._claims}
        return {key.rstrip(os.sep) for key in self._folders} | begins

    def list_homes(self, key: str) -> List[str]:
        """Return the folder of an output of the stage; of a glob, the folder of each branch."""
        starts = self._globs.get(key)
        if starts is None:
            return [key.rstrip(os.sep).rpartition(os.sep)[0]]
        return [start.rpartition("/")[0].replace("/", os.sep) for start, _end in starts]

    def are_excluded(self, key: str, folder: OutputSpec) -> bool:
        """Whether a folder excludes an output of the stage, or all that a glob may match there."""
        if key not in self._globs:
            return excludes(folder, key.rstrip(os.sep))
        glob = _parse_glob(key, self._excluded.get(key, ()))
        return (
            find_meeting(glob, _use_slashes(folder.path), read_excluded(folder), case=CASE) is None
        )

    def hits(self, outputs: Mapping[str, str], of: "Claims") -> Iterator[Overlap]:
        """Yield the outputs (key -> unit, with their stage's claims) that are in a claim.

        Of two globs that overlap, the later one is yielded.
        """
        if self.is_empty:
            return
        for key, unit in outputs.items():
            if key in of._globs:
                yield from dict.fromkeys(self._find_around_glob(key, unit, of))  # each once
                continue
            yield from self._find_in_folders(key, key, unit, of)
            if self._claims:
                is_folder = key in of._folders
                yield from self._find_matching(key, unit, of._less.get(key), is_folder=is_folder)

    def _find_around_glob(self, key: str, unit: str, of: "Claims") -> Iterator[Overlap]:
        """Yield the folders and globs that overlap a glob, once for each of its alternatives."""
        excluded = of._excluded.get(key, ())
        for start, end in of._globs[key]:
            yield from self._find_in_folders(key, make_path_key(start), unit, of)
            yield from self._find_meeting(_Claim(key, unit, key, excluded), start, end)

    def holds(self, key: str) -> bool:
        """Whether a path is in one of the folders, or matches one of the globs."""
        return self.holder(key) is not None

    def holder(self, key: str) -> Optional[Overlap]:
        """Return the folder that a path is in, or a glob that it matches, None if there is none."""
        for hit in self._find_in_folders(key, key, "", self):
            return hit
        if not self._claims:
            return None
        path = _use_slashes(key)
        for _, claim in self._find_candidates(path, path[::-1], "", any_end=False, most=None):
            if claim.glob.match(path, case=CASE) is not None:
                return Overlap(key, "", claim.unit, claim.path)
        return None

    def _find_in_folders(self, key: str, start: str, unit: str, of: "Claims") -> Iterator[Overlap]:
        """Yield the folder that contains a path, or the matches of a pattern with this start."""
        for length in self._folder_lengths:
            whose = self._folders.get(start[:length])
            less = self._less.get(start[:length])
            if less is not None and of.are_excluded(key, less):
                continue
            if whose is not None and whose[0] != unit:
                yield Overlap(key, unit, *whose)

    def _find_matching(
        self, key: str, unit: str, less: Optional[OutputSpec], *, is_folder: bool
    ) -> Iterator[Overlap]:
        path = _use_slashes(key)
        left_out = () if less is None else read_excluded(less)
        backwards = "" if is_folder else path[::-1]
        for _, claim in self._find_candidates(path, backwards, unit, any_end=is_folder):
            if is_folder:
                inside = _find_start(claim).startswith(path)  # `_find_in_folders` finds that
                out = claim.glob.excludes(path.rstrip("/"), case=CASE)
                common = (
                    None if inside or out else find_meeting(claim.glob, path, left_out, case=CASE)
                )
                if common is not None:
                    yield Overlap(key, unit, claim.unit, claim.path, common)
            elif claim.glob.match(path, case=CASE) is not None:
                yield Overlap(key, unit, claim.unit, claim.path)

    def _find_meeting(self, own: _Claim, start: str, end: str) -> Iterator[Overlap]:
        for found, claim in self._find_candidates(start, end, own.unit, any_end=False):
            if found == start and claim.key >= own.key:
                continue  # found in the other order
            common = meet(own.glob, claim.glob, case=CASE)
            if common is not None:
                yield Overlap(own.key, own.unit, claim.unit, claim.path, common)

    def _find_candidates(
        self,
        start: str,
        backwards: str,
        unit: str,
        *,
        any_end: bool,
        most: Optional[int] = _MOST_COMPARED,
    ) -> Iterator[Tuple[str, _Claim]]:
        """Yield globs that may match a path with this start and this reversed end.

        Each glob comes with the start of the alternative by which it was found.
        """
        for length in self._lengths:
            if length > len(start):
                return
            by_end = self._claims.get(start[:length])
            if by_end is None:
                continue
            compared = 0
            for end in self._find_ends_like(start[:length], backwards, any_end=any_end):
                for claim in by_end[end]:
                    if claim.unit != unit and (most is None or compared < most):
                        compared += 1
                        yield start[:length], claim

    def _find_ends_like(self, start: str, backwards: str, *, any_end: bool) -> Iterator[str]:
        ends = self._sorted[start]
        if any_end:
            yield from ends
            return
        by_end = self._claims[start]
        yield from (backwards[:n] for n in range(len(backwards)) if backwards[:n] in by_end)
        at = bisect_left(ends, backwards)
        while at < len(ends) and ends[at].startswith(backwards):
            yield ends[at]
            at += 1


def _parse_glob(path: str, excluded: Tuple[str, ...] = ()) -> Glob:
    return make_glob(OutputSpec(path, kind="glob", excluded=excluded))


def _use_slashes(path: str) -> str:
    return path.replace(os.sep, "/")


def _make_keys(start: str, end: str) -> Tuple[str, str]:
    """Return the keys of a literal start and end: the end reversed."""
    return _use_slashes(make_path_key(start)), _use_slashes(make_path_key(end))[::-1]


def _find_start(claim: _Claim) -> str:
    return _make_keys(*find_ends(_use_slashes(claim.path))[0])[0]

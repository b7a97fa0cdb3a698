"""Outputs that are, or may be, in a folder or a glob that another unit declares.

Both units would then record the same files as their own.
"""

import os
from bisect import bisect_left
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from procsup.core.globs import Branch, Glob, meet, meets_folder
from procsup.core.spec import OutputSpec
from procsup.host.names import path_key
from procsup.paths.walk import CASE, excludes, glob_of

_MOST_COMPARED = 64  # globs with the same start and end: 100,000 units stay fast


class Overlap(NamedTuple):
    """An output (`key`) of a unit that lies in what the unit `claimer` declares.

    `common` is a path in both; None if the whole output lies in it.
    """

    key: str
    unit: str
    claimer: str
    declared: str
    common: Optional[str] = None


class _Claim(NamedTuple):
    key: str
    unit: str
    path: str
    excluded: Tuple[str, ...] = ()

    @property
    def glob(self) -> Glob:
        """The pattern: 100,000 parsed ones would take much memory, and few are compared."""
        return _parsed(self.path, self.excluded)


class Claims:
    """The folders and globs that the units of a stage declare, found by how their paths begin."""

    def __init__(self, declared: Iterable[Tuple[OutputSpec, str]]) -> None:
        self._folders: Dict[str, Tuple[str, str]] = {}
        self._less: Dict[str, OutputSpec] = {}  # folders of which something is left out
        self._globs: Dict[str, List[Tuple[str, str]]] = {}  # key -> (start, end) of each branch
        self._claims: Dict[str, Dict[str, List[_Claim]]] = {}  # start -> reversed end -> claims
        for output, unit in declared:
            key = path_key(output.path)
            if output.kind == "folder":
                self._folders[key] = (unit, output.path)
                if output.excluded:
                    self._less[key] = output
                continue
            self._globs[key] = [_ends(branch) for branch in _parsed(output.path).branches]
            for start, end in self._globs[key]:
                claims = self._claims.setdefault(start, {}).setdefault(end, [])
                claims.append(_Claim(key, unit, output.path, output.excluded))
        self._folder_lengths = sorted({len(key) for key in self._folders})
        self._lengths = sorted({len(start) for start in self._claims})
        self._sorted = {start: sorted(by_end) for start, by_end in self._claims.items()}

    def hits(self, outputs: Mapping[str, str], of: "Claims") -> Iterator[Overlap]:
        """Yield the outputs (key -> unit, with their stage's claims) that are in a claim.

        Of two globs that overlap, the later one is yielded.
        """
        if not (self._folders or self._claims):
            return
        for key, unit in outputs.items():
            if key in of._globs:
                for start, end in of._globs[key]:
                    yield from self._in_folders(key, path_key(start), unit)
                    yield from self._meeting(key, start, end, unit)
                continue
            yield from self._in_folders(key, key, unit)
            if self._claims:
                yield from self._matching(key, unit, is_folder=key in of._folders)

    def holds(self, key: str) -> bool:
        """Whether a path is in one of the folders, or matches one of the globs."""
        if any(True for _ in self._in_folders(key, key, "")):
            return True
        path = key.replace(os.sep, "/")
        near = self._candidates(path, path[::-1], "", any_end=False, most=None)
        return any(claim.glob.match(path, case=CASE) is not None for claim in near)

    def _in_folders(self, key: str, start: str, unit: str) -> Iterator[Overlap]:
        for length in self._folder_lengths:
            whose = self._folders.get(start[:length])
            less = self._less.get(start[:length])
            if less is not None and start == key and excludes(less, key.rstrip(os.sep)):
                continue
            if whose is not None and whose[0] != unit:
                yield Overlap(key, unit, *whose)

    def _matching(self, key: str, unit: str, *, is_folder: bool) -> Iterator[Overlap]:
        path = key.replace(os.sep, "/")
        backwards = "" if is_folder else path[::-1]
        for claim in self._candidates(path, backwards, unit, any_end=is_folder):
            if is_folder:
                inside = _start_of(claim).startswith(path)  # `_in_folders` finds that
                out = claim.glob.excludes(path.rstrip("/"), case=CASE)
                common = None if inside or out else meets_folder(claim.glob, path, case=CASE)
                if common is not None:
                    yield Overlap(key, unit, claim.unit, claim.path, common)
            elif claim.glob.match(path, case=CASE) is not None:
                yield Overlap(key, unit, claim.unit, claim.path)

    def _meeting(self, key: str, start: str, end: str, unit: str) -> Iterator[Overlap]:
        for claim in self._candidates(start, end, unit, any_end=False):
            own = _start_of(claim)
            if own == start and claim.key >= key:
                continue  # found in the other order
            common = meet(_parsed(key), claim.glob, case=CASE)
            if common is not None:
                yield Overlap(key, unit, claim.unit, claim.path, common)

    def _candidates(
        self,
        start: str,
        backwards: str,
        unit: str,
        *,
        any_end: bool,
        most: Optional[int] = _MOST_COMPARED,
    ) -> Iterator[_Claim]:
        """Yield globs that may match a path with this start and this reversed end."""
        for length in self._lengths:
            if length > len(start):
                return
            by_end = self._claims.get(start[:length])
            if by_end is None:
                continue
            compared = 0
            for end in self._ends_like(start[:length], backwards, any_end=any_end):
                for claim in by_end[end]:
                    if claim.unit != unit and (most is None or compared < most):
                        compared += 1
                        yield claim

    def _ends_like(self, start: str, backwards: str, *, any_end: bool) -> Iterator[str]:
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


def _parsed(path: str, excluded: Tuple[str, ...] = ()) -> Glob:
    return glob_of(OutputSpec(path, kind="glob", excluded=excluded))


def _ends(branch: Branch) -> Tuple[str, str]:
    """Return the start that all paths of a branch share, and their end, reversed."""
    first, last = branch.rest[0][0], branch.rest[-1][-1]
    start = branch.below_base(first if isinstance(first, str) else "")
    end = last if isinstance(last, str) else ""
    return path_key(start).replace(os.sep, "/"), path_key(end)[::-1]


def _start_of(claim: _Claim) -> str:
    return _ends(claim.glob.branches[0])[0]

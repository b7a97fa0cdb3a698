"""Outputs that lie inside of what another unit declares as a folder, or by a glob.

Each of both units would vouch for what the other one writes. Two globs are not compared: whether
they meet is known only when the files are there.
"""

import os
import re
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Pattern, Tuple

from procsup.core.spec import OutputSpec
from procsup.host.names import path_key
from procsup.runfile.patterns import DEEP, Wild, tokens_of

_MOST_GLOBS = 64  # of one beginning: more are not compared, so that 100,000 units stay fast


class _Claim(NamedTuple):
    unit: str
    path: str
    regex: Optional[Pattern[str]]  # None: everything below a folder


class Claims:
    """The folders and globs that the units of a stage declare, found by how their paths begin."""

    def __init__(self, declared: Iterable[Tuple[OutputSpec, str]]) -> None:
        self._claims: Dict[str, List[_Claim]] = {}
        self._globs: Dict[str, str] = {}
        for output, unit in declared:
            key = path_key(output.path)
            if output.kind == "folder":
                self._claims.setdefault(key, []).append(_Claim(unit, output.path, None))
                continue
            self._globs[key] = unit
            claims = self._claims.setdefault(re.split(r"[*?]", key, maxsplit=1)[0], [])
            if len(claims) < _MOST_GLOBS:
                claims.append(_Claim(unit, output.path, _regex_of(key)))
        self._lengths = sorted({len(start) for start in self._claims})

    def is_glob(self, key: str) -> bool:
        """Tell whether a path with this key is a glob of this stage."""
        return key in self._globs

    def hits(self, outputs: Mapping[str, str], of: "Claims") -> Iterator[Tuple[str, str, str, str]]:
        """Yield the outputs (key -> unit, with their stage's claims) that lie in what is claimed.

        Each as its key, its unit, the unit that claims it, and what that one declares.
        """
        for key, unit in outputs.items() if self._claims else ():
            for length in self._lengths:
                for claim in self._claims.get(key[:length], ()):
                    if claim.unit != unit and _is_in(key, claim, is_glob=of.is_glob(key)):
                        yield key, unit, claim.unit, claim.path


def _is_in(key: str, claim: _Claim, *, is_glob: bool) -> bool:
    if claim.regex is None:
        return True
    return not is_glob and claim.regex.fullmatch(key.replace(os.sep, "/")) is not None


def _regex_of(key: str) -> Pattern[str]:
    text = ""
    for token in tokens_of(key.replace(os.sep, "/")):
        if isinstance(token, Wild):
            visible = r"(?!\.)" if text.endswith("/") or not text else ""
            many = r"(?:(?!\.)[^/]+/)*" if token == DEEP else "[^/]*"
            text += visible + ("[^/]" if token.kind == "?" else many)
        else:
            text += re.escape(token)
    return re.compile(text)

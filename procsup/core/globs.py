"""Globs: one language of patterns for files, and for ids.

``*`` and ``?`` match within a name, ``**`` between slashes matches any folders or none,
``{a,b}`` either text, ``{:[0-9]+}`` characters of a set; ``{x:*}``, ``{x:?}``, ``{x:**}`` and
``{x:[A-Z]+}`` also capture what they match. Wildcards match no hidden names. Brackets are plain
characters, except that ``[*]``, ``[?]``, ``[[]`` and ``[{]`` match the character in them (as
`glob.escape` writes). Paths have ``/`` on every system. Matching takes time linear in the path.
"""

import re
from copy import copy
from functools import lru_cache
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union

from msgspec import Struct

from procsup.core.automata import Automaton, TwoReadings, find_common_path, find_two_readings
from procsup.core.regexes import compile_at_use
from procsup.core.wildcards import ANY_NAME, DEEP, EVERYTHING, GlobError, Part, Span, make_spans

_MOST_BRANCHES = 256
_ESCAPABLE = compile_at_use(r"[*?{]|\[(?=[*?\[{]|$)")
_ESCAPED = compile_at_use(r"\[([*?\[{])\]")
_PLAIN_WILDCARD = compile_at_use(r"(\*\*+|[*?])|\[([*?\[{])\]")
_SPECIAL = compile_at_use(r"\[([*?\[{])\]|(\*\*+|[*?])|{((?:[^{}]|{[0-9,]*})*)}")
_GROUP = compile_at_use(r"([^\W\d][\w-]*)?:(.+)", re.DOTALL)


class Wildcard(Struct, frozen=True):
    """A wildcard as written, and the capture that it fills: ``*``, ``?``, ``**``, ``[0-9]+``."""

    kind: str
    capture: Optional[str] = None


class Choice(Struct, frozen=True):
    """Alternatives, each a sequence of text and wildcards."""

    items: Tuple[Tuple[Union[str, Wildcard], ...], ...]


Piece = Union[str, Wildcard, Choice]  # text is literal


def escape(text: str) -> str:
    """Return a pattern that matches only this text."""
    return _ESCAPABLE.sub(r"[\g<0>]", text)


def unescape(text: str) -> str:
    """Return a pattern as it is shown to users: without the escapes of `escape`."""
    return _ESCAPED.sub(r"\1", text)


def parse_wildcards(text: str) -> List[Union[str, Wildcard]]:
    """Parse text in which only ``*``, ``**`` and ``?`` are special."""
    pieces: List[Union[str, Wildcard]] = []
    at = 0
    for match in _PLAIN_WILDCARD.finditer(text):
        kind, plain = match.groups()
        pieces += [text[at : match.start()], plain or Wildcard(kind)]
        at = match.end()
    return [piece for piece in (*pieces, text[at:]) if piece]


def parse_alternatives(text: str) -> Choice:
    """Parse the text between the braces of ``{a,b}``."""
    items = tuple(tuple(parse_wildcards(item)) for item in text.split(","))
    if any(part in (".", "..") for item in text.split(",") for part in item.split("/")):
        raise GlobError(f"{{{text}}}: `.` and `..` cannot be alternatives")
    return Choice(items)


@lru_cache(maxsize=1024)
def parse(text: str) -> "Glob":
    """Parse a pattern; GlobError if it is invalid. Other text in braces is literal."""
    pieces: List[Piece] = []
    at = 0
    for match in _SPECIAL.finditer(text):
        plain, kind, group = match.groups()
        pieces += [
            text[at : match.start()],
            plain or (Wildcard(kind) if kind else _parse_group(group)),
        ]
        at = match.end()
    return Glob([*pieces, text[at:]], source=text)


def find_ends(text: str) -> List[Tuple[str, str]]:
    """Return the literal start and end of the paths that each alternative of a pattern matches.

    The pattern has no part `.` and no double slash. Without braces it is not parsed: a plan may
    have 100,000 of them.
    """
    found = [match for match in _SPECIAL.finditer(text) if match.group(1) is None]
    if not found or any(match.group(3) is not None for match in found):
        return [branch.find_ends() for branch in parse(text).branches]
    return [(unescape(text[: found[0].start()]), unescape(text[found[-1].end() :]))]


@lru_cache(maxsize=1024)
def parse_without(text: str, excluded: Tuple[str, ...]) -> "Glob":
    """Parse a pattern, and the patterns of the paths that it excludes."""
    return parse(text).exclude(map(parse, excluded)) if excluded else parse(text)


def _parse_group(text: str) -> Piece:
    match = _GROUP.fullmatch(text)
    if match is not None:
        return Wildcard(match.group(2), match.group(1))
    return parse_alternatives(text) if "," in text else f"{{{text}}}"


class Matcher:
    """Matches and splits names or paths by one pattern, in linear time.

    `split` returns the captured texts, None if the whole text does not match.
    """

    __slots__ = ("split",)

    def __init__(self, parts: Sequence[Part], captures: Sequence[str], *, case: bool) -> None:
        self.split: Callable[[str], Optional[Tuple[str, ...]]]
        if _is_simple(parts):
            flags = re.DOTALL if case else re.DOTALL | re.IGNORECASE
            fullmatch = re.compile(_make_regex(parts), flags).fullmatch

            def split(text: str) -> Optional[Tuple[str, ...]]:
                match = fullmatch(text)
                return match.groups() if match else None

            self.split = split
        else:
            self.split = Automaton([parts], captures, case=case).split


class Branch:
    """One of a glob's patterns without alternatives: a folder, and the parts to match below it.

    `base` is literal; `folders`: the pattern ends with a slash and matches only folders.
    """

    def __init__(self, parts: List[Part], *, rooted: bool) -> None:
        self.folders = len(parts) > 1 and not parts[-1]
        kept = [part for part in parts if part not in ((), (".",))]
        _check(kept)
        depth = _count_literal(kept)
        self.base = ("/" if rooted else "") + "/".join(map(_take_literal, kept[:depth]))
        rest = kept[depth:]
        if rest and rest[-1] == (DEEP,):
            rest.append((ANY_NAME,))
        self.rest: Tuple[Part, ...] = tuple(rest)
        self.captures = tuple(_list_captures(rest))
        self._matchers: Dict[Tuple[bool, Optional[int]], Matcher] = {}

    def make_matcher(self, index: Optional[int] = None, *, case: bool = True) -> Matcher:
        """Return the matcher of paths below `base`, or of names by the part at `index`."""
        key = (case, index)
        if key not in self._matchers:
            parts = self.rest if index is None else (self.rest[index],)
            self._matchers[key] = Matcher(parts, tuple(_list_captures(parts)), case=case)
        return self._matchers[key]

    def match(self, path: str, *, case: bool = True) -> Optional[Tuple[str, ...]]:
        """Return the captured texts, None if the whole path does not match."""
        if not self.base:
            return None if path.startswith("/") else self.make_matcher(case=case).split(path)
        start = self.base if self.base == "/" else f"{self.base}/"
        head, below = path[: len(start)], path[len(start) :]
        same = head == start or (not case and head.lower() == start.lower())
        return self.make_matcher(case=case).split(below) if same else None

    def join_base(self, path: str) -> str:
        """Return a path relative to `base` with `base` before it."""
        return path if not self.base else f"{self.base.rstrip('/')}/{path}"

    def find_ends(self) -> Tuple[str, str]:
        """Return a text that all of its paths begin with, and one that they end with."""
        first, last = self.rest[0][0], self.rest[-1][-1]
        start = self.join_base(first if isinstance(first, str) else "")
        return start, last if isinstance(last, str) else ""

    def rebase(self, place: Callable[[str], str]) -> "Branch":
        """Return a copy with another base."""
        branch = copy(self)
        branch.base = place(self.base)
        return branch

    def join_parts(self) -> List[Part]:
        """Return the parts of the pattern with the base as its first part."""
        if not self.base:
            return list(self.rest)
        first, *others = self.rest
        return [(f"{self.base.rstrip('/')}/", *first), *others] if first != (DEEP,) else [
            (self.base,), first, *others
        ]  # fmt: skip


class Glob:
    """A parsed pattern; `source` is how the user wrote it, `text` is the input of `parse`.

    It matches a path if any of `branches` does and none of `excluded` matches the path or a
    folder that it is in.
    """

    def __init__(self, pieces: Sequence[Piece], *, source: str) -> None:
        self.source = source
        self.text = "".join(map(_format_piece, _join_text(pieces)))
        if not self.text:
            raise GlobError("expected a glob that is not empty")
        self.branches = tuple(_make_branch(row) for row in _expand_rows(pieces))
        self.excluded: Tuple[Branch, ...] = ()
        self.excluded_texts: Tuple[str, ...] = ()
        self.captures = self.branches[0].captures
        for branch in self.branches:
            if sorted(branch.captures) != sorted(self.captures):
                raise GlobError("each alternative has the same captures")

    def join(self, others: Iterable["Glob"], excluded: Iterable["Glob"]) -> "Glob":
        """Return a glob that matches what this one or any of `others` matches, without `excluded`.

        GlobError if the captures differ, or if an excluded glob can exclude nothing.
        """
        whole = copy(self)
        for other in others:
            if sorted(other.captures) != sorted(self.captures):
                raise GlobError(f"`{other.source}` and `{self.source}` capture different names:"
                                " all patterns of a list capture the same")  # fmt: skip
            whole.branches += other.branches
        for other in excluded:
            if other.captures:
                raise GlobError(f"`!{other.source}`: what is left out captures nothing")
            if not whole.may_be_less(other):
                raise GlobError(f"`!{other.source}` leaves nothing out: no other pattern may match"
                                " what it matches, or what is in it")  # fmt: skip
            whole = whole.exclude([other])
        return whole

    def may_be_less(self, excluded: "Glob") -> bool:
        """Whether `excluded` may match a path that this glob matches, or a folder above one."""
        return any(_may_hold(one, two) for one in excluded.branches for two in self.branches)

    def exclude(self, excluded: Iterable["Glob"]) -> "Glob":
        """Return a glob without the paths that `excluded` match, and those below them."""
        whole = copy(self)
        for other in excluded:
            whole.excluded += other.branches
            whole.excluded_texts += (other.text,)
        return whole

    def rebase(self, place: Callable[[str], str]) -> "Glob":
        """Return a copy with other bases."""
        whole = copy(self)
        whole.branches = tuple(branch.rebase(place) for branch in self.branches)
        whole.excluded = tuple(branch.rebase(place) for branch in self.excluded)
        return whole

    def match(self, path: str, *, case: bool = True) -> Optional[Tuple[str, ...]]:
        """Return the captured texts in the order of `captures`; None without a match."""
        for branch in self.branches:
            held = branch.match(path, case=case)
            if held is not None:
                return None if self.excludes(path, case=case) else self.order_captures(branch, held)
        return None

    def order_captures(self, branch: Branch, held: Tuple[str, ...]) -> Tuple[str, ...]:
        """Return a branch's captured texts in the order of the glob's `captures`."""
        if branch.captures == self.captures:
            return held
        named = dict(zip(branch.captures, held))
        return tuple(named[name] for name in self.captures)

    def excludes(self, path: str, *, case: bool = True) -> bool:
        """Whether a path, or a folder that it is in, is excluded."""
        if not self.excluded:
            return False
        ends = [at for at, character in enumerate(path) if character == "/" and at]
        starts = [*(path[:at] for at in ends), path]
        return any(b.match(start, case=case) is not None for b in self.excluded for start in starts)

    def find_two_readings(self) -> Optional[TwoReadings]:
        """Return a path that it can read in two ways, None if there is none."""
        if not self.captures:
            return None
        if len(self.branches) == 1:
            open_ones = [s for s in _list_spans(self.branches[0].rest) if s.stretches or s == DEEP]
            if len(open_ones) < 2:
                return None  # all other tokens have a fixed length
        rows = [branch.join_parts() for branch in self.branches]
        automaton = Automaton(rows, self.captures)
        return find_two_readings(automaton, len(self.captures), avoid=self.source)


def meet(one: Glob, two: Glob, *, case: bool = True) -> Optional[str]:
    """Return a path that both may match, None if there is none."""
    excluded = (*one.excluded, *two.excluded)
    for first in one.branches:
        for second in two.branches:
            found = _meet(first, second, excluded, case=case)
            if found is not None:
                return found
    return None


def find_meeting(
    glob: Glob, folder: str, excluded: Iterable[Glob] = (), *, case: bool = True
) -> Optional[str]:
    """Return a path in a folder that a glob may match, hidden ones included; None if none.

    `excluded` are left out of the folder.
    """
    left_out = (*glob.excluded, *(branch for one in excluded for branch in one.branches))
    below = _match_everything_in(folder)
    for branch in glob.branches:
        found = _meet(branch, below, left_out, case=case)
        if found is not None:
            return found
    return None


def may_exclude(excluded: Glob, folder: str) -> bool:
    """Whether a glob may match a folder, one above it, or a path in it."""
    below = _match_everything_in(folder)
    return any(_may_hold(one, below) for one in excluded.branches)


def _match_everything_in(folder: str) -> Branch:
    below = Branch([(f"{folder.rstrip('/')}/", EVERYTHING)], rooted=False)
    below.base, below.rest = folder.rstrip("/") or "/", ((EVERYTHING,),)
    return below


def _meet(one: Branch, two: Branch, excluded: Sequence[Branch], *, case: bool) -> Optional[str]:
    if not _may_meet(one.base, two.base, case=case):
        return None
    first, second = (Automaton([branch.join_parts()], case=case) for branch in (one, two))
    return find_common_path(first, second, _match_around(excluded, case=case) if excluded else None)


def _may_hold(folder: Branch, one: Branch) -> bool:
    """Whether `one` may match a path of `folder` or a path below it."""
    return find_common_path(_match_around([folder]), Automaton([one.join_parts()])) is not None


def _match_around(folders: Iterable[Branch], *, case: bool = True) -> Automaton:
    """Return an automaton that matches the paths of these patterns, and all paths below those."""
    folder_parts = [folder.join_parts() for folder in folders]
    return Automaton(
        [*folder_parts, *([*whole, (EVERYTHING,)] for whole in folder_parts)], case=case
    )


def _may_meet(one: str, two: str, *, case: bool) -> bool:
    one, two = ("/".join(("", *base.strip("/").split("/"), "")) for base in (one, two))
    one, two = (base.replace("//", "/") for base in (one, two))
    if not case:
        one, two = one.lower(), two.lower()
    return one.startswith(two) or two.startswith(one)


# --- building patterns ---------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def make_names_matcher(text: str) -> Callable[[str], bool]:
    """Return a matcher of ids or values with ``*`` and ``?``, which takes linear time.

    Slashes and dots are ordinary characters here, and wildcards match them.
    """
    runs: List[str] = [""]  # regular expressions of fixed length, between the stars
    for piece in parse_wildcards(text):
        if isinstance(piece, str):
            runs[-1] += re.escape(piece)
        elif piece.kind == "?":
            runs[-1] += "."
        else:
            runs.append("")
    first, *others = [re.compile(run, re.DOTALL) for run in runs]
    if not others:
        return lambda name: first.fullmatch(name) is not None
    *between, last = others
    tail = re.compile(f"(?:{last.pattern})\\Z", re.DOTALL)

    def matches(name: str) -> bool:
        found = first.match(name)
        for run in between:
            found = found and run.search(name, found.end())
        return found is not None and tail.search(name, found.end()) is not None

    return matches


def _join_text(pieces: Sequence[Piece]) -> List[Piece]:
    """Join adjacent text: whether a character must be escaped depends on the text after it."""
    joined: List[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return joined


def _format_piece(piece: Piece) -> str:
    if isinstance(piece, str):
        return escape(piece)
    if isinstance(piece, Choice):
        return "{" + ",".join("".join(map(_format_piece, item)) for item in piece.items) + "}"
    if piece.capture is None:
        return piece.kind if piece.kind[:1] in "*?" else f"{{:{piece.kind}}}"
    return f"{{{piece.capture}:{piece.kind}}}"


def _expand_rows(pieces: Sequence[Piece]) -> List[List[Union[str, Wildcard]]]:
    """Expand the alternatives into patterns without any."""
    rows: List[List[Union[str, Wildcard]]] = [[]]
    for piece in pieces:
        items = piece.items if isinstance(piece, Choice) else ((piece,),)
        rows = [[*row, *item] for row in rows for item in items]
        if len(rows) > _MOST_BRANCHES:
            raise GlobError(f"expected at most {_MOST_BRANCHES} combinations of alternatives")
    return rows


def _make_branch(row: Sequence[Union[str, Wildcard]]) -> Branch:
    names = [piece.capture for piece in row if isinstance(piece, Wildcard) and piece.capture]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise GlobError(f"`{min(twice)}` is captured twice")
    parts: List[List[Union[str, Span]]] = [[]]
    for piece in row:
        if isinstance(piece, Wildcard):
            parts[-1] += _list_wild_spans(piece)
            continue
        first, *others = piece.split("/")
        parts[-1] += [first] if first else []
        parts += [[name] if name else [] for name in others]
    rooted = len(parts) > 1 and not parts[0]
    return Branch([_join_adjacent(part) for part in parts], rooted=rooted)


def _list_wild_spans(wild: Wildcard) -> List[Span]:
    if wild.capture is None and wild.kind.startswith("***"):
        raise GlobError("`**` stands alone between slashes, as in `lib/**/*.py`")
    return make_spans(wild.kind, wild.capture)


def _join_adjacent(part: Sequence[Union[str, Span]]) -> Part:
    """Join adjacent text, so that a literal name is one token."""
    if all(isinstance(token, str) for token in part):
        return ("".join(map(str, part)),) if part else ()
    return tuple(part)


def _check(parts: Sequence[Part]) -> None:
    wild = False
    for part in parts:
        wild = wild or any(isinstance(token, Span) for token in part)
        if DEEP in part and part != (DEEP,):
            raise GlobError("`**` stands alone between slashes, as in `lib/**/*.py`")
        if wild and part == ("..",):
            raise GlobError("`..` cannot follow a wildcard")


def _list_captures(parts: Iterable[Part]) -> Iterable[str]:
    for part in parts:
        before: Optional[str] = None
        for token in part:
            name = token.capture if isinstance(token, Span) else None
            if name is not None and name != before:
                yield name
            before = name


def _list_spans(parts: Iterable[Part]) -> Iterable[Span]:
    return (token for part in parts for token in part if isinstance(token, Span))


def _take_literal(part: Part) -> str:
    return "".join(str(token) for token in part)


def is_literal(part: Part) -> bool:
    """Whether a part matches only one name."""
    return not any(isinstance(token, Span) for token in part)


def is_deep(part: Part) -> bool:
    """Whether a part may match across folders."""
    return any(isinstance(token, Span) and token.chars.slash for token in part)


def _count_literal(parts: Sequence[Part]) -> int:
    for depth, part in enumerate(parts):
        if not is_literal(part):
            return depth
    return max(len(parts) - 1, 0)


# --- regular expressions -------------------------------------------------------------------------


def _is_simple(parts: Sequence[Part]) -> bool:
    """Whether a regular expression can match it without much backtracking.

    Two spans of open length in a name are tried in at most some ten thousand ways.
    """
    deep = sum(is_deep(part) for part in parts)
    most = max((sum(s.stretches for s in _list_spans([part])) for part in parts), default=0)
    return (deep == 0 and most <= 2) or (deep == 1 and most <= 1)


def _make_regex(parts: Sequence[Part]) -> str:
    text = ""
    for index, part in enumerate(parts):
        if part == (DEEP,):
            text += r"(?:(?!\.)[^/]+/)*"
        else:
            text += _make_part_regex(part) + ("/" if index < len(parts) - 1 else "")
    return text


def _make_part_regex(part: Part) -> str:
    text = r"(?!\.)" if isinstance(part[0], Span) and not part[0].hidden else ""
    group: Optional[str] = None
    for token in part:
        capture = token.capture if isinstance(token, Span) else None
        if capture != group:
            text += (")" if group is not None else "") + ("(" if capture is not None else "")
            group = capture
        text += re.escape(token) if isinstance(token, str) else token.make_regex()
    return text + (")" if group is not None else "")

"""The pieces of a glob: text, and spans of characters that wildcards match."""

import re
from typing import Iterator, List, Optional, Tuple, Union

from msgspec import Struct

from procsup.core.regexes import compile_at_use

_LONGEST = 255  # the limit of {n}: no file system has longer names
_PIECE = compile_at_use(r"(\[[!^]?\]?[^\]]*\]|[^\W]|-)(?:([+*?])|{(\d+)(?:(,)(\d*))?})?")
_BOUNDS = {None: (1, 1), "+": (1, None), "*": (0, None), "?": (0, 1)}


class GlobError(ValueError):
    """An invalid glob; the message says what is wrong and how to fix it."""


class Chars(Struct, frozen=True):
    """A set of characters, by ranges (ends included). The slash is in it only if `slash`."""

    ranges: Tuple[Tuple[str, str], ...] = ()
    negated: bool = True
    slash: bool = False

    def has(self, character: str) -> bool:
        """Whether a character is in the set."""
        if character == "/":
            return self.slash
        return any(low <= character <= high for low, high in self.ranges) != self.negated

    def make_regex(self) -> str:
        """Return the set as a regular expression; not for sets with a slash."""
        body = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in self.ranges)
        if self.negated:
            return f"[^/{body}]"
        return f"(?!/)[{body}]" if self._spans_slash() else f"[{body}]"

    def list_edges(self) -> Iterator[str]:
        """Yield the characters at and next to the ends of the ranges.

        Two sets that meet, unless both are wide, share one of these."""
        for low, high in self.ranges:
            yield from (low, high)
            yield from (chr(ord(low) - 1) if low > "\x01" else low, _next(high))

    def _spans_slash(self) -> bool:
        return any(low <= "/" <= high for low, high in self.ranges)


def _next(character: str) -> str:
    return chr(min(ord(character) + 1, 0x10FFFF))


NAME = Chars()  # any character of a name
ANY = Chars(slash=True)


class Span(Struct, frozen=True):
    """From `least` to `most` characters of a set, and the capture that they fill.

    At the beginning of a name it does not match a dot, unless it is `hidden`.
    """

    chars: Chars
    least: int
    most: Optional[int]
    capture: Optional[str] = None
    hidden: bool = False

    @property
    def stretches(self) -> bool:
        """Whether its length can vary."""
        return self.least != self.most

    def make_regex(self) -> str:
        """Return a regular expression for it, without a group."""
        if self.chars.slash:
            return r"(?:[^/]|/(?![./]))+"
        counts = f"{{{self.least},{'' if self.most is None else self.most}}}"
        return self.chars.make_regex() + counts


Token = Union[str, Span]
Part = Tuple[Token, ...]  # the text between two slashes

ANY_NAME = Span(NAME, 0, None)
DEEP = Span(ANY, 0, None)  # alone in a part: any folders, or none
EVERYTHING = Span(ANY, 1, None, hidden=True)  # everything below a folder


def make_spans(kind: str, capture: Optional[str] = None) -> List[Span]:
    """Return the spans of a wildcard: ``*``, ``?``, ``**``, or a constraint (``[0-9]+``).

    A capture has at least one character; GlobError if its constraint may match none.
    """
    least = 0 if capture is None else 1
    if kind == "*":
        return [Span(NAME, least, None, capture)]
    if kind == "?":
        return [Span(NAME, 1, 1, capture)]
    if kind == "**":
        return [DEEP if capture is None else Span(ANY, 1, None, capture)]
    spans = list(_parse_constraint(kind, capture))
    if sum(span.least for span in spans) < least:
        raise GlobError(f"{{{capture}:{kind}}} could be empty: a capture has at least one"
                        " character, say with + instead of *")  # fmt: skip
    return spans


def _parse_constraint(text: str, capture: Optional[str]) -> Iterator[Span]:
    at = 0
    while at < len(text):
        match = _PIECE.match(text, at)
        if match is None:
            raise GlobError(f"`{text}`: expected sets such as [A-Z] or [^_], and letters, digits,"
                            f" _ and -, each with + * ? {{3}} or {{1,3}} after it if it is not one"
                            f" character, not `{text[at:]}`")  # fmt: skip
        what, sign, fewest, comma, most = match.groups()
        least, bound = _BOUNDS[sign] if fewest is None else _parse_count(fewest, comma, most)
        yield Span(_set(what), least, bound, capture)
        at = match.end()
    if not text:
        raise GlobError("expected a constraint such as [0-9]+")


def _parse_count(
    fewest: str, comma: Optional[str], most: Optional[str]
) -> Tuple[int, Optional[int]]:
    least = _read_count(fewest)
    bound = _read_count(most) if most else None if comma else least
    if max(least, bound or 0) > _LONGEST or (bound is not None and bound < max(least, 1)):
        raise GlobError(f"{{{fewest}{comma or ''}{most or ''}}}: expected a number from 1 to"
                        f" {_LONGEST}, or two that grow")  # fmt: skip
    return least, bound


def _read_count(digits: str) -> int:
    return int(digits) if len(digits) < 10 else _LONGEST + 1


def _set(text: str) -> Chars:
    if not text.startswith("["):
        return Chars(((text, text),), negated=False)
    body = text[1:-1]
    negated = body[:1] in ("^", "!")
    body = body[1:] if negated else body
    ranges: List[Tuple[str, str]] = []
    at = 0
    while at < len(body):
        is_range = body[at + 1 : at + 2] == "-" and at + 2 < len(body)
        low, high = body[at], body[at + 2] if is_range else body[at]
        if low > high:
            raise GlobError(f"`{text}`: {low}-{high} runs backwards")
        ranges.append((low, high))
        at += 3 if is_range else 1
    if not ranges or "/" in body:
        raise GlobError(f"`{text}`: expected some characters of a name, and no /")
    return Chars(tuple(ranges), negated)

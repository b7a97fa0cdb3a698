"""Globs that capture: ``lib/{mod:**}.py`` finds files and says what `mod` is for each.

``*`` and ``?`` stay within a name, ``**/`` stands for any folders or none, ``{x:*}`` captures at
least one character of a name, ``{x:?}`` exactly one, ``{x:**}`` any depth; brackets are plain
characters. Wildcards match no hidden names. Paths have ``/`` on every system.
"""

import re
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Pattern, Tuple, Union

from procsup.runfile.problems import Wrong
from procsup.runfile.template import Field, Template

_WILDCARD = re.compile(r"(\*\*+|[*?])")


class Wild(NamedTuple):
    """A wildcard: ``*``, ``?`` or ``**``, and the capture that it fills."""

    kind: str
    capture: Optional[str] = None


Token = Union[str, Wild]
DEEP = Wild("**")
_ANY_NAME = Wild("*")


class Part(NamedTuple):
    """What stands between two slashes; `literal` and `regex` are of that part alone."""

    tokens: Tuple[Token, ...]
    literal: Optional[str]
    regex: Optional[Pattern[str]]  # None for literals, and where folders are crossed


class Glob:
    """A pattern: a folder to start from (`base`), and what is looked for below it."""

    def __init__(self, source: str, parts: List[Tuple[Token, ...]], *, rooted: bool) -> None:
        self.source = source
        self.folders = len(parts) > 1 and not parts[-1]  # a trailing slash: folders are meant
        kept = [part for part in parts if part not in ((), (".",))]
        depth = _literal_depth(kept)
        names = ["".join(str(token) for token in part) for part in kept[:depth]]
        self.base = ("/" if rooted else "") + "/".join(names)
        rest = kept[depth:]
        if rest and rest[-1] == (DEEP,):
            rest.append((_ANY_NAME,))
        self.rest = tuple(_part(tokens) for tokens in rest)
        self.captures = tuple(_captures(rest))
        self.regex = re.compile(_regex(rest))

    def split(self, path: str) -> Optional[Tuple[str, ...]]:
        """Return what the captures are for a path below `base`, or None if it does not match."""
        match = self.regex.fullmatch(path)
        return match.groups() if match else None

    def below_base(self, path: str) -> str:
        """Return a path below `base` as a whole one."""
        return path if not self.base else f"{self.base.rstrip('/')}/{path}"

    def tokens(self) -> Iterator[Token]:
        """Yield what is below `base` as one row of tokens, slashes included."""
        for index, part in enumerate(self.rest):
            yield from part.tokens
            if index < len(self.rest) - 1 and part.tokens != (DEEP,):
                yield "/"


def has_wildcards(template: Template) -> bool:
    """Tell whether a declared path is a glob; values of placeholders do not count."""
    return any(isinstance(part, str) and _WILDCARD.search(part) for part in template.parts)


def tokens_of(path: str) -> List[Token]:
    """Return a path with wildcards, taken as it is, as one row of tokens."""
    tokens: List[Token] = []
    for token in _wildcards(path):
        follows_deep = bool(tokens) and tokens[-1] == DEEP
        if isinstance(token, str) and follows_deep:
            token = token[1:]  # the slash is part of what the wildcard stands for
        tokens += [token] if token else []
    return [*tokens, _ANY_NAME] if tokens and tokens[-1] == DEEP else tokens


def is_capture(field: Field) -> bool:
    """Tell whether a placeholder of a glob captures."""
    return field.spec in ("*", "**", "?")


def read_glob(template: Template, values: Mapping[str, Any]) -> Glob:
    """Read a glob, its known placeholders filled in literally; `Wrong` if it makes no sense."""
    tokens: List[Token] = []
    shown = ""
    for part in template.parts:
        if isinstance(part, str):
            if "\\" in part:
                raise Wrong("a glob has / between names on every system, and no \\")
            tokens += _wildcards(part)
            shown += part
        elif is_capture(part):
            tokens.append(_capture(part))
            shown += str(part)
        else:
            tokens.append(part.text(values))
            shown += part.text(values)
    if not tokens or tokens == [""]:
        raise Wrong("expected a glob that is not empty")
    parts = _split(tokens)
    rooted = bool(parts) and not parts[0] and len(parts) > 1
    _check(parts)
    return Glob(shown, parts, rooted=rooted)


def _wildcards(text: str) -> List[Token]:
    pieces = _WILDCARD.split(text)
    return [Wild(piece) if index % 2 else piece for index, piece in enumerate(pieces) if piece]


def _capture(field: Field) -> Wild:
    if field.steps:
        raise Wrong(f"{field}: a capture is a plain name")
    return Wild(field.spec, field.name)


def _split(tokens: List[Token]) -> List[Tuple[Token, ...]]:
    parts: List[List[Token]] = [[]]
    for token in tokens:
        if isinstance(token, Wild):
            parts[-1].append(token)
            continue
        first, *others = token.split("/")
        parts[-1] += [first] if first else []
        parts += [[name] if name else [] for name in others]
    return [tuple(part) for part in parts]


def _check(parts: List[Tuple[Token, ...]]) -> None:
    wild = False
    for part in parts:
        for token in part:
            if isinstance(token, Wild):
                wild = True
                if token.kind.startswith("**") and token.capture is None and part != (DEEP,):
                    raise Wrong("`**` stands alone between slashes, as in `lib/**/*.py`")
        if wild and part == ("..",):
            raise Wrong("`..` cannot follow a wildcard")
    names = list(_captures(parts))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Wrong(f"`{twice[0]}` is captured twice")


def _captures(parts: List[Tuple[Token, ...]]) -> Iterator[str]:
    for part in parts:
        for token in part:
            if isinstance(token, Wild) and token.capture is not None:
                yield token.capture


def _literal_depth(parts: List[Tuple[Token, ...]]) -> int:
    for depth, part in enumerate(parts):
        if any(isinstance(token, Wild) for token in part):
            return depth
    return max(len(parts) - 1, 0)


def _part(tokens: Tuple[Token, ...]) -> Part:
    if not any(isinstance(token, Wild) for token in tokens):
        return Part(tokens, "".join(str(token) for token in tokens), None)
    deep = any(isinstance(token, Wild) and token.kind == "**" for token in tokens)
    return Part(tokens, None, None if deep else re.compile(_name_regex(tokens)))


def _regex(parts: List[Tuple[Token, ...]]) -> str:
    text = ""
    for index, tokens in enumerate(parts):
        if tokens == (DEEP,):
            text += r"(?:(?!\.)[^/]+/)*"
        else:
            text += _name_regex(tokens) + ("/" if index < len(parts) - 1 else "")
    return text


def _name_regex(tokens: Tuple[Token, ...]) -> str:
    text = r"(?!\.)" if isinstance(tokens[0], Wild) else ""
    return text + "".join(_token_regex(token) for token in tokens)


def _token_regex(token: Token) -> str:
    if isinstance(token, str):
        return re.escape(token)
    if token.kind == "**":
        return r"((?:[^/]|/(?![./]))+)"
    if token.kind == "?":
        return "[^/]" if token.capture is None else "([^/])"
    return "[^/]*" if token.capture is None else "([^/]+)"

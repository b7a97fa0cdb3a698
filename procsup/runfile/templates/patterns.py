"""Globs of the run file: templates whose values are literal, parsed by `core.globs`.

Brackets are plain characters. Outputs and inputs in which they had another meaning in earlier
versions are refused, with what to write instead.
"""

import re
from functools import lru_cache
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

from procsup.core.globs import Glob, Piece, Wildcard, parse_alternatives, parse_wildcards
from procsup.core.regexes import compile_at_use
from procsup.core.wildcards import GlobError
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import Wrong, below
from procsup.runfile.templates.template import Braces, Field, Template

_WILDCARD = compile_at_use(r"[*?]")
_SET = compile_at_use(r"\[[^/]+?\]")  # a set of characters in earlier versions
_PLAIN = compile_at_use(r"\[[*?\[{]\]")
# A value that needs no escapes, has no slash, and cannot join a wildcard beside it.
_PLAIN_VALUE = compile_at_use(r"\.*[^./*?\[{][^/*?\[{]*")
_ESCAPED = compile_at_use(r"\[[*?]\]")


def has_wildcards(template: Template) -> bool:
    """Whether a declared path is a glob; values of placeholders do not count."""
    return any(
        isinstance(part, Braces) or (isinstance(part, str) and _WILDCARD.search(part) is not None)
        for part in template.parts
    )


def check_output(template: Template) -> None:
    """Refuse a glob of folders as an output, since outputs are files, and one with brackets.

    Earlier versions read those as a set of characters.
    """
    source = template.source
    if source.endswith("/"):
        files = source[:-1] if source.endswith("**/") else f"{source}**"
        raise Wrong(
            f"`{source}` stands for folders, expected a pattern of files:"
            f" `{files}` are all files in such folders"
        )
    found = _read_own_text(template, _SET, but=_PLAIN)
    if found:
        raise Wrong(
            f"`{found}`: brackets are plain characters in a glob: write {{:{found}}} for one"
            " character of a set, and [[] for the bracket itself"
        )


def check_input(template: Template) -> None:
    """Refuse ``[*]``, which earlier versions read as a wildcard between plain brackets."""
    found = _read_own_text(template, _ESCAPED)
    if found:
        sign = found[1]
        raise Wrong(
            f"`{found}`: write [[]{sign}] for a wildcard in brackets, and {{:{found}}} for the"
            f" character {sign} itself"
        )


def _read_own_text(
    template: Template, pattern: "re.Pattern[str]", *, but: Optional["re.Pattern[str]"] = None
) -> str:
    own = [part for part in template.parts if isinstance(part, str)]
    found = (pattern.search(but.sub("", part) if but else part) for part in own)
    return next((match.group() for match in found if match), "")


def read_glob(template: Template, values: Mapping[str, Any]) -> Glob:
    """Read a glob, its known placeholders filled in literally; `Wrong` if it is invalid."""
    return _fill_in(template, lambda field: field.text(values))


def fill_glob(template: Template, values: Mapping[str, Any]) -> str:
    """Return the text of the glob that `read_glob` reads, without reading it for plain values.

    The template is parsed once for 100,000 units: plain values cannot make its glob invalid.
    """
    texts = [field.text(values) for field in template.fields]
    if not all(map(_PLAIN_VALUE.fullmatch, texts)):
        return read_glob(template, values).text
    first, *others = _split_at_fields(template)
    return first + "".join([value + text for value, text in zip(texts, others)])


@lru_cache(maxsize=256)
def _split_at_fields(template: Template) -> Tuple[str, ...]:
    """Return the text of a glob before, between and behind its placeholders."""
    return tuple(_fill_in(template, lambda field: "\0").text.split("\0"))  # noqa: ARG005


def _fill_in(template: Template, text_of: Callable[[Field], str]) -> Glob:
    pieces: List[Piece] = []
    shown = ""
    for part in template.parts:
        if isinstance(part, str):
            if "\\" in part:
                raise Wrong("a glob has / between names on every system, and no \\")
            pieces += parse_wildcards(part)
            shown += part
        elif isinstance(part, Braces):
            pieces.append(_make_piece(part))
            shown += str(part)
        elif part.is_capture:
            pieces.append(_capture(part))
            shown += str(part)
        else:
            pieces.append(text_of(part))
            shown += text_of(part)
    try:
        return Glob(pieces, source=shown)
    except GlobError as error:
        raise Wrong(str(error)) from None


def _make_piece(braces: Braces) -> Piece:
    try:
        return Wildcard(braces.content[1:]) if braces.is_set else parse_alternatives(braces.content)
    except GlobError as error:
        raise Wrong(str(error)) from None


def _capture(field: Field) -> Wildcard:
    if field.steps:
        raise Wrong(f"{field}: a capture is a plain name")
    return Wildcard(field.spec, field.name)


def join_globs(globs: Sequence[Tuple[KeyPath, bool, Glob]]) -> Glob:
    """Join globs into one; each has its place and whether it excludes files."""
    taken = [(at, glob) for at, leaves_out, glob in globs if not leaves_out]
    if not taken:
        raise Wrong("expected a pattern that takes files, too: those with ! leave some out")
    whole = taken[0][1]
    for at, glob in taken[1:]:
        whole = _join_globs(at, whole, [glob], [])
    for at, leaves_out, glob in globs:
        if leaves_out:
            whole = _join_globs(at, whole, [], [glob])
    return whole


def _join_globs(at: KeyPath, whole: Glob, more: List[Glob], excluded: List[Glob]) -> Glob:
    with below(*at):
        try:
            return whole.join(more, excluded)
        except GlobError as error:
            raise Wrong(str(error)) from None
    raise AssertionError("what is wrong was raised")

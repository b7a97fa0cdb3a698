"""`shell`: text for the system's shell, in which each placeholder is quoted for that shell.

The text is read as the shell does, just far enough to know where a placeholder is allowed: as a
word or a part of one. Elsewhere (in quotes, here-documents, comments, arithmetic) the quoting of
the value would be wrong, and the placeholder is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Pattern, Tuple, Union

from msgspec import Struct

from procsup.core.late import GIVEN
from procsup.core.regexes import compile_at_use
from procsup.host.shells import Shell
from procsup.runfile.syntax.problems import Faults, Wrong
from procsup.runfile.syntax.values import format_value, read_text
from procsup.runfile.templates.reader import MARK
from procsup.runfile.templates.scope import LATE, Scope
from procsup.runfile.templates.template import Field, Files, Template
from procsup.seams import seam

if TYPE_CHECKING:
    from procsup.runfile.templates.bash import Bash
    from procsup.runfile.templates.powershell import PowerShell

_DOLLAR = compile_at_use(r"\$\{([A-Za-z_][A-Za-z0-9_:]*)")
_GLUED = compile_at_use(r"[A-Za-z0-9_./\\:=+%@~^-]+")  # PowerShell joins it to a quoted value
_ENDS = " \t\r\n;|&)}],>"
_KEYWORD = "esac"  # ends a `case` even where a pattern is expected


class ShellTemplate(Template):
    """The text of `shell`; `risky` matches, for each placeholder, the values that need quotes."""

    __slots__ = ("risky",)

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.risky: Tuple[Optional[Pattern[str]], ...] = ()


def read_shell(value: Any, scope: Scope, shell: Shell) -> ShellTemplate:
    """Read the text of `shell`; `Wrong` has the errors of its placeholders."""
    text = read_text(value)
    try:
        template = ShellTemplate(text)
    except Wrong as wrong:
        raise Wrong(f"{wrong}{_describe_dollar(text)}") from None
    faults = Faults()
    places = _find_places(template, shell)
    for place, field in zip(places, template.fields):
        with faults.below():
            _check_dollar(field, place, scope)
            one = Template(str(field))
            scope.check(one, several=True)
            if place.problem and not (place.takes_number and _is_number(field, scope)):
                raise Wrong(f"{field} {place.problem}")
            if (place.is_glued or place.is_one) and not _is_single(one, scope):
                if place.is_one:
                    raise Wrong(f"{field} is a list: a test takes single values only")
                raise Wrong(f"{field} is a list: it needs a blank before and after it")
    faults.raise_if_any()
    template.risky = tuple(place.risky for place in places)
    return template


def _describe_dollar(text: str) -> str:
    found = _DOLLAR.search(text.replace("{{", ""))
    name = found.group(1) if found else ""
    return f" (the shell's own ${{{name}}} is ${{{{{name}}}}} here)" if found else ""


class _Place(Struct, frozen=True):
    problem: str  # why no placeholder is allowed here
    risky: Optional[Pattern[str]]
    is_one: bool
    takes_number: bool
    is_glued: bool
    follows_dollar: bool


def _check_dollar(field: Field, place: _Place, scope: Scope) -> None:
    if place.follows_dollar:
        own = str(field)[1:-1]
        known = f"{{{field.name}}} without the $, " if field.name in scope.known else ""
        raise Wrong(f"${field}: write {known}${{{{{own}}}}} for the shell's own variable")


def _is_single(template: Template, scope: Scope) -> bool:
    try:
        scope.check(template)
    except Wrong:
        return False
    return True


def _is_number(field: Field, scope: Scope) -> bool:
    """Whether its value is always a number, like the values that each attempt gets."""
    return field.name in GIVEN and scope.known.get(field.name) == LATE


def _make_lexer(shell: Shell, text: str) -> Union[Bash, PowerShell]:
    if shell.name == "bash":
        from procsup.runfile.templates.bash import Bash  # few run files need either

        return Bash(text)
    from procsup.runfile.templates.powershell import PowerShell

    return PowerShell(text)


def _find_places(template: Template, shell: Shell) -> List[_Place]:
    """Return the place of each placeholder."""
    parts = template.parts
    text = "".join(part if isinstance(part, str) else MARK for part in parts)
    read = _make_lexer(shell, text).find_places()
    places: List[_Place] = []
    at = [index for index, character in enumerate(text) if character == MARK]
    assert len(at) == len(read)
    for index, (problem, risky, is_one, takes_number) in zip(at, read):
        before, after = text[index - 1 : index], text[index + 1 : index + 2]
        glued = bool(before and before not in _ENDS + "(<={[") or bool(after and after not in _ENDS)
        if not problem and shell.name != "bash" and after and after not in _ENDS:
            glue = after == MARK or _GLUED.match(after)
            problem = (
                "" if glue else f"is followed by {after}: PowerShell would part the word there"
            )
        places.append(_Place(problem, risky, is_one, takes_number, glued, before == "$"))
    return places


def render(template: ShellTemplate, values: Mapping[str, Any], shell: Shell) -> str:
    """Fill in the values, each quoted; a list becomes several words."""
    done = ""
    glue = False  # PowerShell splits words behind a closing quote: the rest goes into it
    risky = iter(template.risky)
    for part in template.parts:
        if isinstance(part, Field):
            here = next(risky)
            if part.name == "scratch":
                done, glue = done + shell.scratch, False
                continue
            words = " ".join([_quote(word, here, shell) for word in _make_words(part, values)])
            done = done[:-1] + words[1:] if glue and words else done + words
            glue = shell.name != "bash" and bool(words)
        else:
            plain = str(part)
            match = _GLUED.match(plain) if glue else None
            inside = match.group() if match else ""
            done = (done[:-1] + inside + done[-1] if inside else done) + plain[len(inside) :]
            glue = glue and inside == plain
    return done


@seam("quote a value")
def _quote(word: str, risky: Optional[Pattern[str]], shell: Shell) -> str:
    """Quote a word, unless it is plain: recorded fingerprints depend on that."""
    quoted = shell.quote(word)
    if quoted == word and (word == _KEYWORD or (risky is not None and risky.search(word))):
        return f"'{word}'"
    return quoted


def _make_words(field: Field, values: Mapping[str, Any]) -> List[str]:
    value = field.value(values)
    if isinstance(value, Files):
        return list(value.paths)
    if isinstance(value, tuple):
        return [format_value(item) for item in value]
    return [field.text(values)]

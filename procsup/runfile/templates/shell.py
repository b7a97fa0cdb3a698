"""`shell`: text for the system's shell, in which each placeholder is quoted for that shell.

The text is read as the shell does, just far enough to know where a placeholder is allowed: as a
word or a part of one. Elsewhere (in quotes, here-documents, comments) the quoting of the value
would be wrong, and the placeholder is refused.
"""

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from procsup.host.shells import Shell
from procsup.runfile.syntax.problems import Faults, Wrong
from procsup.runfile.syntax.values import filled, written
from procsup.runfile.templates.scope import Scope
from procsup.runfile.templates.template import Field, Files, Template

_DOLLAR = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_:]*)")
_GLUED = re.compile(r"[A-Za-z0-9_./\\:=+%@~^-]+")  # in PowerShell: what can join a quoted value
_ENDS = " \t\r\n;|&)}],>"
_MARK = "\0"  # replaces a placeholder in the text that is read


def read_shell(value: Any, scope: Scope, shell: Shell) -> Template:
    """Read the text of `shell`; `Wrong` has the errors of its placeholders."""
    text = filled(value)
    try:
        template = Template(text)
    except Wrong as wrong:
        raise Wrong(f"{wrong}{_about_dollar(text)}") from None
    faults = Faults()
    for place, field in zip(_places(template, shell), template.fields):
        with faults.below():
            _check_dollar(field, place, scope)
            one = Template(str(field))
            scope.check(one, several=True)
            if place.problem:
                raise Wrong(f"{field} {place.problem}")
            if place.is_glued and not _is_single(one, scope):
                raise Wrong(f"{field} is a list: it needs a blank before and after it")
    faults.raise_if_any()
    return template


def _about_dollar(text: str) -> str:
    found = _DOLLAR.search(text.replace("{{", ""))
    name = found.group(1) if found else ""
    return f" (the shell's own ${{{name}}} is ${{{{{name}}}}} here)" if found else ""


class _Place(NamedTuple):
    problem: str  # why no placeholder is allowed here
    is_glued: bool
    follows_dollar: bool


def _check_dollar(field: Field, place: _Place, scope: Scope) -> None:
    if place.follows_dollar:
        own = f"{field.name}:{field.spec}" if field.spec else field.name
        known = f"{{{field.name}}} without the $, " if field.name in scope.known else ""
        raise Wrong(f"${field}: write {known}${{{{{own}}}}} for the shell's own variable")


def _is_single(template: Template, scope: Scope) -> bool:
    try:
        scope.check(template)
    except Wrong:
        return False
    return True


def _places(template: Template, shell: Shell) -> List[_Place]:
    """Return, for each placeholder, where it stands."""
    parts = template.parts
    text = "".join(part if isinstance(part, str) else _MARK for part in parts)
    problems = (Bash if shell.name == "bash" else PowerShell)(text).problems()
    places: List[_Place] = []
    at = [index for index, character in enumerate(text) if character == _MARK]
    for index, problem in zip(at, problems):
        before, after = text[index - 1 : index], text[index + 1 : index + 2]
        glued = bool(before and before not in _ENDS + "(<={[") or bool(after and after not in _ENDS)
        if not problem and before in ("\\", "`") and before:
            problem = f"stands behind a {before}, which would undo its quotes"
        if not problem and shell.name != "bash" and after and after not in _ENDS:
            glue = after == _MARK or _GLUED.match(after)
            problem = (
                "" if glue else f"is followed by {after}: PowerShell would part the word there"
            )
        places.append(_Place(problem, glued, before == "$"))
    return places


def render(template: Template, values: Mapping[str, Any], shell: Shell) -> str:
    """Fill in the values, each quoted; a list becomes several words."""
    done = ""
    glue = False  # PowerShell splits words behind a closing quote: the rest goes into it
    for part in template.parts:
        if isinstance(part, Field):
            if part.name == "scratch":
                done, glue = done + shell.scratch, False
                continue
            words = " ".join(shell.quote(word) for word in _words(part, values))
            done = done[:-1] + words[1:] if glue and words else done + words
            glue = shell.name != "bash" and bool(words)
        else:
            plain = str(part)
            match = _GLUED.match(plain) if glue else None
            inside = match.group() if match else ""
            done = (done[:-1] + inside + done[-1] if inside else done) + plain[len(inside) :]
            glue = glue and inside == plain
    return done


def _words(field: Field, values: Mapping[str, Any]) -> List[str]:
    value = field.value(values)
    if isinstance(value, Files):
        return list(value.paths)
    if isinstance(value, tuple):
        return [written(item) for item in value]
    return [field.text(values)]


class _Reader:
    """Common to both shells' readers: a stack of open constructs, and a walk over the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.open: List[str] = []
        self.found: List[str] = []
        self.doubt = ""  # why the state is uncertain from here on

    def problems(self) -> List[str]:
        """Return, for each placeholder, why it is not allowed there; "" if it is."""
        while self.at < len(self.text):
            if self.text[self.at] == _MARK:
                self.found.append(self.where())
                self.at += 1
            else:
                self.step()
        left = next((one for one in reversed(self.open) if one in ("'", '"', "$'")), "")
        if left and not self.doubt:
            raise Wrong(f"a {left} is opened and never closed")
        return [self.doubt or problem for problem in self.found]

    def step(self) -> None:
        """Read the text at `at`, which is not a placeholder."""
        raise AssertionError("each shell has its own")

    def where(self) -> str:
        """Return why no placeholder may stand at `at`."""
        return _WHY.get(self.open[-1], "") if self.open else ""

    def is_next(self, word: str) -> bool:
        """Whether this text comes next."""
        return self.text.startswith(word, self.at)

    def push(self, what: str, length: int) -> None:
        """Note that a construct begins here."""
        self.open.append(what)
        self.at += length

    def pop(self, length: int) -> None:
        """Note that it ends here."""
        self.open.pop()
        self.at += length


_IN_QUOTES = (
    "stands in quotes: procsup quotes each placeholder itself, write it without"
    " (quotes may end before it and begin again behind it)"
)
_EVALUATED = "stands in arithmetic, where bash runs a $(...) in it: check it, take it from `env`"
_INDEX = re.compile(r"(?:^|[\s;&|({])\w+\[[^\]\s;]*$")  # is arithmetic, too
_WHY: Dict[str, str] = {
    "'": _IN_QUOTES,
    '"': _IN_QUOTES,
    "$'": _IN_QUOTES,
    "`": "stands in backticks, which undo its quotes: write $(...)",
    "${": "stands in ${...}, where quotes mean something else: put it into a variable first",
    "<<": (
        "stands in a here-document, where its quotes would be part of the text: put it into a"
        " variable first, or hand it over in `args` or `env`"
    ),
    "((": _EVALUATED,
    "(a": _EVALUATED,
    "#": "stands in a comment, which a line break in its value would end",
}


class Bash(_Reader):
    """Reads bash, as far as needed to know where words are allowed."""

    def where(self) -> str:
        """Return why no placeholder may stand at `at`."""
        return super().where() or (_EVALUATED if _INDEX.search(self.text[: self.at]) else "")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._documents: List[Tuple[str, bool]] = []  # here-documents that begin on the next line

    def step(self) -> None:
        """Read what stands at `at`."""
        top = self.open[-1] if self.open else ""
        if top in ("'", "$'"):
            self._in_single(top)
        elif self.text[self.at] == "\\":
            self.at += 1 if self.text[self.at + 1 : self.at + 2] == _MARK else 2
        elif top == '"' or top == "${":
            self._in_double(top)
        elif top == "#":
            if self.is_next("\n"):
                self.open.pop()
            else:
                self.at += 1
        elif not self._begins():
            self._plain(top)

    def _in_single(self, top: str) -> None:
        if top == "$'" and self.is_next("\\"):
            self.at += 2
        elif self.is_next("'"):
            self.pop(1)
        else:
            self.at += 1

    def _in_double(self, top: str) -> None:
        end = '"' if top == '"' else "}"
        if self.is_next(end):
            self.pop(1)
        elif self.is_next("'") and top == "${":
            if '"' in self.open:  # whether it quotes depends on the operator
                self.doubt = 'cannot be placed for sure, because of a \' in "${...}": use `args`'
            self.push("'", 1)
        elif self.is_next('"') and top == "${":
            self.push('"', 1)
        elif not self._expands():
            self.at += 1

    def _expands(self) -> bool:
        if self.is_next("$["):
            self.doubt = "cannot be placed for sure, because of $[...]: write $((...)) instead"
        for word, what in (("$((", "(("), ("$(", "("), ("${", "${"), ("`", "`")):
            if self.is_next(word):
                if what == "`" and "`" in self.open:
                    self.doubt = _WHY["`"]  # closed inside of another construct: uncertain
                self.push(what, len(word))
                return True
        return False

    def _begins(self) -> bool:
        top = self.open[-1] if self.open else ""
        if top == "`" and self.is_next("`"):
            self.pop(1)
            return True
        for word in ("$'", "'", '"'):
            if self.is_next(word):
                self.push(word, len(word))
                return True
        return self._expands()

    def _plain(self, top: str) -> None:
        before = self.text[self.at - 1 : self.at] if self.at else ""
        if self.is_next("#") and before in ("", " ", "\t", "\n", ";", "&", "|", "("):
            self.push("#", 1)
        elif self.is_next("((") and before in ("", " ", "\n", ";", "("):
            self.push("((", 2)
        elif self.is_next("("):
            self.push("(a" if top in ("((", "(a") else "(", 1)  # in arithmetic it groups
        elif top == "((" and self.is_next("))"):
            self.pop(2)
        elif top in ("(", "((", "(a") and self.is_next(")"):
            self.pop(1)
        elif self.is_next("<<") and top != "((":
            self._document()
        elif self.is_next("\n") and self._documents:
            self._skip_documents()
        else:
            if "(" in self.open and re.compile(r"\bcase\b").match(self.text, self.at):
                self.doubt = "cannot be placed for sure, because of a `case` in $(...): use `args`"
            self.at += 1

    def _document(self) -> None:
        match = re.compile(r"<<(-?)[ \t]*(['\"\\]?)([\w.-]+)['\"]?").match(self.text, self.at)
        if self.is_next("<<<"):
            self.at += 3
        elif match is None:
            self.doubt = "cannot be placed for sure, because of a here-document: use `args`"
            self.at += 2
        else:
            self._documents.append((match.group(3), bool(match.group(1))))
            self.at = match.end()

    def _skip_documents(self) -> None:
        self.at += 1
        for end, tabs in self._documents:
            while self.at < len(self.text):
                line, newline, _ = self.text[self.at :].partition("\n")
                self.at += len(line) + len(newline)
                self.found += [_WHY["<<"]] * line.count(_MARK)
                if (line.lstrip("\t") if tabs else line) == end:
                    break
        self._documents = []


class PowerShell(_Reader):
    """Reads PowerShell in the same way."""

    def step(self) -> None:
        """Read what stands at `at`."""
        top = self.open[-1] if self.open else ""
        if top in ("#", "<#", "@'", "'"):
            self._in_closed(top)
        elif self.is_next("`"):
            self.at += 1 if self.text[self.at + 1 : self.at + 2] == _MARK else 2
        elif top in ('"', '@"'):
            self._in_double(top)
        else:
            self._plain(top)

    def _in_closed(self, top: str) -> None:
        end = {"#": "\n", "<#": "#>", "@'": "\n'@", "'": "'"}[top]
        if self.is_next(end):
            self.pop(len(end))
        else:
            self.at += 1

    def _in_double(self, top: str) -> None:
        end = '"' if top == '"' else '\n"@'
        if self.is_next(end):
            self.pop(len(end))
        elif self.is_next("$("):
            self.push("(", 2)
        else:
            self.at += 1

    def _plain(self, top: str) -> None:
        for word in ("<#", "@'", '@"', "'", '"', "("):
            if self.is_next(word):
                self.push(word, len(word))
                return
        before = self.text[self.at - 1 : self.at] if self.at else "\n"
        if self.is_next("#") and before in " \t\n;({|":
            self.push("#", 1)
        elif top == "(" and self.is_next(")"):
            self.pop(1)
        else:
            self.at += 1


_WHY.update({"@'": _WHY["<<"], '@"': _WHY["<<"], "<#": _WHY["#"]})

"""One-liners: commands with GNU Parallel's placeholders, in which other braces stay as they are.

A one-liner is translated into texts as a run file has them, so that these are filled in, and
quoted for a shell, by their owners.
"""

import os
import re
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from msgspec import Struct

from procsup.core.inputs import Record
from procsup.core.late import MARKS
from procsup.core.regexes import compile_at_use
from procsup.host.shells import Shell
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.scope import LATE, TEXT, Kind, Many, Scope
from procsup.runfile.templates.shell import read_shell, render
from procsup.runfile.templates.template import PATH_PARTS, Field, Template, double_braces
from procsup.runfile.vocabulary.names import check_new_name

Text = Union[str, Tuple[str, ...]]

_GROUP = compile_at_use(r"\{[^{}]*\}")
# Braces that look like a placeholder: not ${HOME}, {{.Name}}, {"a": 1}, {a,b}, { print; },
# {:a;n;ba}.
_SUSPECT = compile_at_use(
    r"\{[^\s{}\"'$,:;()<>|&\\*?\[\]`]+\}"
    r"|\{\d*(![rsa])?:[^\s{}\"';]*\}"  # as Python formats a number: {:04d}
)
_PERL = compile_at_use(r"(?<![${])\{=")
_RANGE = compile_at_use(r"\{-?\w+\.\.-?\w+(\.\.-?\d+)?\}")  # of a shell
_POSITION = compile_at_use(r"(-?[0-9]+)(\D.*)?")
SLOT = "slot"


def _drop_suffix(path: str) -> str:
    """Return the path without what stands from its last dot on, be it the dot alone."""
    return re.sub(r"\.[^/.]*$", "", path)


def _drop_suffixes(path: str, count: int) -> str:
    """Return the path without its last `count` suffixes; unchanged if it has fewer."""
    return re.sub(rf"(\.[^/.]+){{{count}}}$", "", path)


def _take_suffixes(path: str, count: int) -> str:
    return path[len(_drop_suffixes(path, count)) + 1 :]


def _take_last(path: str) -> str:
    return path.rpartition("/")[2]


def _take_folder(path: str) -> str:
    return path.rpartition("/")[0]


# GNU Parallel's, then those of --plus; each with a name for a run file.
_CHANGES: Dict[str, Tuple[str, Callable[[str], str]]] = {
    "": ("", str),
    ".": ("bare", _drop_suffix),
    "/": ("last", _take_last),
    "//": ("folder", PATH_PARTS["parent"]),
    "/.": ("bare_last", lambda path: _drop_suffix(_take_last(path))),
    **{f".{name}": (name, take) for name, take in PATH_PARTS.items()},
}
_PLUS: Dict[str, Tuple[str, Callable[[str], str]]] = {
    "..": ("bare2", lambda path: _drop_suffixes(path, 2)),
    "...": ("bare3", lambda path: _drop_suffixes(path, 3)),
    "/..": ("bare2_last", lambda path: _drop_suffixes(_take_last(path), 2)),
    "/...": ("bare3_last", lambda path: _drop_suffixes(_take_last(path), 3)),
    "+/": ("before", _take_folder),
    "+.": ("suffix1", lambda path: _take_suffixes(path, 1)),
    "+..": ("suffix2", lambda path: _take_suffixes(path, 2)),
    "+...": ("suffix3", lambda path: _take_suffixes(path, 3)),
}
_ALL_CHANGES = {**_CHANGES, **_PLUS}
_COUNTS = {"#": "number", "##": "total"}


class Values(Struct, frozen=True):
    """What is filled in for one unit: its inputs, its number from 1 on, the number of all units.

    `label` has its inputs even if they are not filled in.
    """

    texts: Record
    number: int
    total: int = 0
    label: Record = ()


class Place(Struct, frozen=True):
    """One placeholder: of all inputs (None), of one (its position), or of the unit (`_COUNTS`)."""

    which: Union[int, str, None]
    change: str = ""

    def find(self, values: Values) -> Text:
        """Return its text; of several inputs all their texts, of a missing one an empty text."""
        if isinstance(self.which, str):
            return str(values.number if self.which == "#" else values.total)
        change = _ALL_CHANGES[self.change][1]
        if self.which is None:
            texts = tuple([_change(change, text) for text in values.texts])
            return texts[0] if len(texts) == 1 else texts
        at = self.which - 1 if self.which > 0 else self.which
        held = -len(values.texts) <= at < len(values.texts)
        return _change(change, values.texts[at]) if held else ""


def _change(change: Callable[[str], str], text: str) -> str:
    return change(text if change is str or os.sep == "/" else text.replace(os.sep, "/"))


class Manner(Struct, frozen=True):
    """Which placeholders there are.

    `names` are the columns' names, each with its position. `most` is the number of inputs that a
    unit has, if it is known. `is_open`: a unit takes as many as there is room for.
    """

    replacement: str = "{}"
    plus: bool = False
    names: Mapping[str, int] = {}
    most: Optional[int] = 1
    is_open: bool = False


class Words(Struct, frozen=True):
    """A one-liner's words as in a run file, and the placeholders in them."""

    texts: Tuple[str, ...]
    places: Dict[str, Place]
    sources: Dict[str, str]  # how the one-liner has them


def read_words(words: Sequence[str], manner: Manner, *, appends: bool = True) -> Words:
    """Translate a one-liner; without a placeholder all inputs are put behind it, if it `appends`.

    `Wrong` names the first group in braces that looks like a placeholder and is none.
    """
    if not manner.replacement:
        raise Wrong("-I: expected a text that stands for the input")
    reader = _Reader(manner)
    texts = [reader.translate(word) for word in words]
    if appends and not reader.sources:
        texts.append(reader.add(Place(None), manner.replacement))
    return Words(tuple(texts), reader.places, reader.sources)


class _Reader:
    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self.places: Dict[str, Place] = {}
        self.sources: Dict[str, str] = {}

    def translate(self, word: str) -> str:
        """Return a word as in a run file."""
        own = self._manner.replacement
        if _PERL.search(word):
            raise Wrong(
                f"{word!r}: {{= =}}, which is Perl in GNU Parallel, is no placeholder of map; with"
                " --shell the shell changes a value: v={}; echo ${v#abc}"
            )
        parts = word.split(own)
        last = len(parts) - 1
        done = ""
        for at, part in enumerate(parts):
            done += self._translate_groups(part, word)
            if at < last:
                done += self.add(Place(None), own)
        return done

    def _translate_groups(self, part: str, word: str) -> str:
        done, at = "", 0
        for match in _GROUP.finditer(part):
            done += double_braces(part[at : match.start()])
            at = match.end()
            is_foreign = part[: match.start()][-1:] in ("$", "{") or part[at : at + 1] == "}"
            done += double_braces(match[0]) if is_foreign else self._read_group(match[0], word)
        return str(done + double_braces(part[at:]))

    def _read_group(self, group: str, word: str) -> str:
        content = group[1:-1]
        if content == "%":
            self.sources[SLOT] = group
            return f"{{{SLOT}}}"
        place = self._find_place(content, group, word)
        if place is not None:
            return self.add(place, group)
        if _SUSPECT.fullmatch(group) and not _RANGE.fullmatch(group):
            raise Wrong(self._explain(group, word))
        return str(double_braces(group))

    def _find_place(self, content: str, group: str, word: str) -> Optional[Place]:
        if content in ("#", "##")[: 1 + self._manner.plus]:
            return Place(content)
        if content in self._changes and content:
            return Place(None, content)
        for name in self._names_by_length():
            if content.startswith(name) and content[len(name) :] in self._changes:
                return self._take_named(name, content[len(name) :], group, word)
        match = _POSITION.fullmatch(content)
        if match is None or (match[2] or "") not in self._changes:
            return None
        self._check_position(int(match[1]), group, word)
        return Place(int(match[1]), match[2] or "")

    @property
    def _changes(self) -> Mapping[str, object]:
        return _ALL_CHANGES if self._manner.plus else _CHANGES

    def _names_by_length(self) -> List[str]:
        return sorted(self._manner.names, key=len, reverse=True)

    def _take_named(self, name: str, change: str, group: str, word: str) -> Place:
        position = self._manner.names[name]
        if self._manner.is_open:
            self._check_position(position, group, word)
        return Place(position, change)

    def _check_position(self, position: int, group: str, word: str) -> None:
        manner = self._manner
        if manner.is_open:
            raise Wrong(
                f"{group} in {word!r}: a unit takes as many inputs as fit, so none has a place of"
                " its own: use {}, or -N with a number"
            )
        if position == 0 or (manner.most is not None and abs(position) > manner.most):
            most = "one input" if manner.most == 1 else f"{manner.most} inputs"
            known = f"a unit has {most}" if position else "the first input is {1}"
            raise Wrong(f"{group} in {word!r}: {known}; {_PASS_ON}")

    def add(self, place: Place, source: str) -> str:
        """Note a placeholder, and return it as in a run file."""
        name = self._name(place)
        self.places[name] = place
        self.sources[name] = source
        return f"{{{name}}}"

    def _name(self, place: Place) -> str:
        if isinstance(place.which, str):
            return _COUNTS[place.which]
        change = _ALL_CHANGES[place.change][0]
        names = {position: name for name, position in self._manner.names.items()}
        name = "input"
        if place.which is not None:
            number = str(place.which).replace("-", "back")
            name = names.get(place.which, "")
            name = name if is_parameter(name) and name not in ("number", "total") else f"in{number}"
        return f"{name}_{change}" if change else name

    def _explain(self, group: str, word: str) -> str:
        if group[1:-1].lstrip("-0123456789") in _PLUS or group == "{##}":
            return f"{group} in {word!r} is a placeholder with --plus only"
        names = "".join(f" {{{name}}}" for name in list(self._manner.names)[:3])
        known = f"{{}} {{.}} {{/}} {{//}} {{/.}} {{1}} {{#}} {{%}} {{.stem}}{names}"
        cure = "" if names else ", and with --header : columns by name"
        return f"{group} in {word!r} is no placeholder of map, which has {known}{cure}; {_PASS_ON}"


_PASS_ON = "braces that hold a blank or a comma, such as {3,3}, stay as they are"


def is_parameter(name: str) -> bool:
    """Whether a column's name may be that of a parameter."""
    try:
        check_new_name(name, "parameter")
    except Wrong:
        return False
    return True


class ArgvMaker:
    """Fills in the words of an argv. `repeats`: several inputs repeat the word around them.

    Else the first is joined to what stands before it, the last to what stands behind it, as a
    shell does with ``"a${list[@]}b"``. `several`: a unit may have more or less than one input.
    """

    def __init__(self, words: Words, *, repeats: bool, several: bool) -> None:
        self._templates = [Template(text) for text in words.texts]
        self._places = words.places
        self._join = _repeat if repeats else _glue
        self._several = several

    def make(self, values: Values) -> List[str]:
        """Return the argv of one unit."""
        found = _find_all(self._places, values)
        return [word for template in self._templates for word in self._fill_in(template, found)]

    def _fill_in(self, template: Template, found: Mapping[str, Text]) -> List[str]:
        if template.constant is not None:
            return [template.constant]
        if template.alone is not None:
            return template.render_all(found)
        if any(isinstance(found[field.name], tuple) for field in template.fields):
            return self._join(template, found)
        return [template.render(found)]

    def list_texts(self) -> List[str]:
        """Return the words as in a run file, in which a list stands alone in its word."""
        return [
            f"{{word{at}}}" if self._is_joined(template) else template.source
            for at, template in enumerate(self._templates)
        ]

    def make_row(self, values: Values) -> Dict[str, Text]:
        """Return the parameters of one unit for the words of `list_texts`."""
        found = _find_all(self._places, values)
        row: Dict[str, Text] = {}
        for at, template in enumerate(self._templates):
            if self._is_joined(template):
                row[f"word{at}"] = tuple(self._fill_in(template, found))
            else:
                names = [field.name for field in template.fields if field.name in self._places]
                row.update((name, self._make_cell(name, found)) for name in names)
        return row

    def _is_joined(self, template: Template) -> bool:
        return template.alone is None and any(self._is_list(one.name) for one in template.fields)

    def _is_list(self, name: str) -> bool:
        return self._several and name in self._places and self._places[name].which is None

    def _make_cell(self, name: str, found: Mapping[str, Text]) -> Text:
        return _make_tuple(found[name]) if self._is_list(name) else found[name]


def _make_tuple(value: Text) -> Tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _find_all(places: Mapping[str, Place], values: Values) -> Dict[str, Text]:
    return {SLOT: MARKS[SLOT], **{name: place.find(values) for name, place in places.items()}}


def _glue(template: Template, found: Mapping[str, Text]) -> List[str]:
    words = [""]
    for part in template.parts:
        value = found[part.name] if isinstance(part, Field) else str(part)
        first, *others = _make_tuple(value) or ("",)
        words[-1] += first
        words += others
    return words


def _repeat(template: Template, found: Mapping[str, Text]) -> List[str]:
    lists = {name: value for name, value in found.items() if isinstance(value, tuple)}
    count = max(len(value) for value in lists.values())
    rounds = range(max(count, 1))
    return [
        template.render(
            {**found, **{name: value[at] if value else "" for name, value in lists.items()}}
        )
        for at in rounds
    ]


class ShellMaker:
    """Fills in a one-liner that is text for a shell, each value quoted."""

    def __init__(self, words: Words, shell: Shell, *, several: bool) -> None:
        self._shell = shell
        self._places = words.places
        self._lists = {name for name, one in words.places.items() if several and one.which is None}
        kinds: Dict[str, Kind] = {
            name: Many(TEXT) if name in self._lists else TEXT for name in words.places
        }
        self.text = " ".join(words.texts)
        try:
            self._template = read_shell(self.text, Scope({**kinds, SLOT: LATE}), shell)
        except Wrong as wrong:
            text = "; ".join(message for _, message in wrong.faults)
            raise Wrong(_restore(text, words.sources)) from None

    def make_text(self, values: Values) -> str:
        """Return the text for the shell, of one unit."""
        return render(self._template, _find_all(self._places, values), self._shell)

    def make(self, values: Values) -> List[str]:
        """Return the argv of one unit."""
        return _make_argv(self._shell, self.make_text(values))

    def make_row(self, values: Values) -> Dict[str, Text]:
        """Return the parameters of one unit for `text`."""
        found = {name: place.find(values) for name, place in self._places.items()}
        return {
            name: _make_tuple(value) if name in self._lists else value
            for name, value in found.items()
        }


class WholeMaker:
    """Takes the inputs of a unit, joined by blanks, as the text for a shell."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def make_text(self, values: Values) -> str:
        """Return the text for the shell, of one unit."""
        return " ".join(values.texts)

    def make(self, values: Values) -> List[str]:
        """Return the argv of one unit."""
        return _make_argv(self._shell, self.make_text(values))

    def list_texts(self) -> List[str]:
        """Return the words of the command as in a run file."""
        return [
            double_braces(word).replace("\0", "{input}") for word in _make_argv(self._shell, "\0")
        ]

    def make_row(self, values: Values) -> Dict[str, Text]:
        """Return the parameters of one unit for the words of `list_texts`."""
        return {"input": self.make_text(values)}


def _make_argv(shell: Shell, text: str) -> List[str]:
    return [*shell.head, *shell.tail(text, ())]


def _restore(message: str, sources: Mapping[str, str]) -> str:
    for name, source in sources.items():
        message = message.replace(f"{{{name}}}", source)
    return message

"""Text with placeholders, similar to `str.format`, but strict."""

import re
import string
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from msgspec import Struct

from procsup.core.regexes import compile_at_use
from procsup.runfile.syntax.problems import Wrong, show
from procsup.runfile.syntax.values import format_value

Step = Union[str, int]

_REFERENCE = compile_at_use(r"([^.\[\]]+)((?:\.[^.\[\]]+|\[[^\[\]]+\])*)")
_STEP = compile_at_use(r"\.([^.\[\]]+)|\[([^\[\]]+)\]")
_NAME = compile_at_use(r"[^\W\d][\w-]*")
_ALL_OF_BASH = ("@", "*")  # of an array: ${LIST[@]}
_formatter = string.Formatter()
_CAPTURES = ("*", "**", "?")
_COUNTED = compile_at_use(r"(?:[^{}]|{[0-9,]+})*")  # a constraint may hold {3} or {1,3}
_LARGEST_WIDTH = 10_000  # and the largest precision of a format: more is a mistake or an attack


def take_parent(path: str) -> str:
    """Return the folder part of a path; ``.`` if it has none."""
    head, slash, _ = path.rstrip("/").rpartition("/")
    return head or slash or "."


def take_name(path: str) -> str:
    """Return the last part of a path."""
    return path.rstrip("/").rpartition("/")[2]


def take_suffix(path: str) -> str:
    """Return the last suffix of a path's name, with its dot, as pathlib has it."""
    name = take_name(path)
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""


def take_stem(path: str) -> str:
    """Return a path's name without its last suffix."""
    name, suffix = take_name(path), take_suffix(path)
    return name[: len(name) - len(suffix)]


PATH_PARTS: Dict[str, Callable[[str], str]] = {
    "name": take_name,
    "stem": take_stem,
    "suffix": take_suffix,
    "parent": take_parent,
}


def double_braces(value: Any) -> Any:
    """Return plain data with every brace in its texts doubled, so that it is literal."""
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, dict):
        return {key: double_braces(item) for key, item in value.items()}
    return [double_braces(item) for item in value] if isinstance(value, list) else value


class Files:
    """The paths of a unit's inputs or outputs, as placeholders see them."""

    __slots__ = ("file", "named", "paths")

    def __init__(
        self,
        paths: Tuple[str, ...],
        named: Optional[Mapping[str, Union[str, Tuple[str, ...]]]] = None,
        file: Optional[str] = None,
    ) -> None:
        self.paths = paths
        self.named = named
        self.file = file  # a file with one path a line

    def item(self, step: Step) -> Union[str, Tuple[str, ...]]:
        """Return the path, or paths, of a name or an index."""
        if isinstance(step, int):
            return _get_at(self.paths, step)
        if self.named is not None and step in self.named:
            return self.named[step]
        if step == "file" and self.file is not None:
            return self.file
        raise Wrong(f"there is no `{step}` here")

    def map_paths(self, change: Callable[[str], str], file: Optional[str]) -> "Files":
        """Return the same with every path changed."""
        named = None
        if self.named is not None:
            named = {name: _change_paths(value, change) for name, value in self.named.items()}
        return Files(tuple(change(path) for path in self.paths), named, file)


class Followed:
    """A unit that another one follows, as placeholders see it: ``{stage.outputs.name}``."""

    __slots__ = ("outputs",)

    def __init__(self, outputs: Files) -> None:
        self.outputs = outputs

    def item(self, step: Step) -> Files:
        """Return its outputs."""
        if step != "outputs":
            raise Wrong(f"there is no `{step}` here")
        return self.outputs

    def map_paths(self, change: Callable[[str], str]) -> "Followed":
        """Return the same with every path changed."""
        return Followed(self.outputs.map_paths(change, None))


def _change_paths(
    value: Union[str, Tuple[str, ...]], change: Callable[[str], str]
) -> Union[str, Tuple[str, ...]]:
    return change(value) if isinstance(value, str) else tuple(change(path) for path in value)


def _get_at(values: Tuple[str, ...], index: int) -> str:
    if index >= len(values):
        raise Wrong(f"there is no item [{index}]: {len(values)} in all, the first is [0]")
    return values[index]


class Field(Struct, frozen=True):
    """One placeholder: ``{name.step[0]:spec}``."""

    name: str
    steps: Tuple[Step, ...]
    spec: str

    def __str__(self) -> str:
        return f"{{{self.format_name()}{self.spec and ':' + self.spec}}}"

    def format_name(self, steps: Optional[int] = None) -> str:
        """Return it without braces, with at most this many steps: ``name.step[0]``."""
        some = self.steps[:steps]
        return self.name + "".join(
            f"[{one}]" if isinstance(one, int) or one in _ALL_OF_BASH else f".{one}" for one in some
        )

    @property
    def is_capture(self) -> bool:
        """Whether it captures in a glob: ``{x:*}``, or with a constraint ``{x:[0-9]+}``."""
        return self.spec in _CAPTURES or "[" in self.spec

    def value(self, values: Mapping[str, Any]) -> Any:
        """Look up the value of the placeholder."""
        value = values[self.name]
        for step in self.steps:
            if isinstance(value, (Files, Followed)):
                value = value.item(step)
            elif isinstance(step, int):
                value = _get_at(value, step)
            else:
                value = PATH_PARTS[step](value)
        return value

    def text(self, values: Mapping[str, Any]) -> str:
        """Return the value of the placeholder as text."""
        value = self.value(values) if self.steps else values[self.name]
        if not self.spec:
            return value if isinstance(value, str) else format_value(value)
        try:
            return format(format_value(value) if isinstance(value, bool) else value, self.spec)
        except (TypeError, ValueError) as error:
            raise Wrong(f"{self} does not fit the value {show(value)}: {error}") from None


class Braces(Struct, frozen=True):
    """Braces in a glob that are not a placeholder: ``{a,b}``, ``{:[0-9]+}``."""

    content: str

    def __str__(self) -> str:
        return f"{{{self.content}}}"

    @property
    def is_set(self) -> bool:
        """Whether it is a set of characters."""
        return self.content.startswith(":")

    def text(self, values: Mapping[str, Any]) -> str:  # noqa: ARG002 - as in `Field`
        """Return it unchanged."""
        return str(self)


Piece = Union[str, Field, Braces]


class Template:
    """Text with its placeholders parsed; `Wrong` if it cannot be parsed.

    With `glob` braces may also hold alternatives and sets of characters.
    """

    __slots__ = ("alone", "constant", "fields", "parts", "source")

    def __init__(self, source: str, *, glob: bool = False) -> None:
        if "\0" in source:
            raise Wrong("holds a NUL character, which no argument or path can hold")
        self.source = source
        self.parts: Tuple[Piece, ...] = tuple(_parse_parts(source, glob=glob))
        self.fields = tuple(part for part in self.parts if isinstance(part, Field))
        # The text itself if it has no placeholders.
        self.constant: Optional[str] = (
            "".join(map(str, self.parts)) if all(isinstance(p, str) for p in self.parts) else None
        )
        # The placeholder, if the text is nothing but one.
        is_alone = len(self.parts) == 1 and self.fields and not self.fields[0].spec
        self.alone: Optional[Field] = self.fields[0] if is_alone else None

    def render(self, values: Mapping[str, Any]) -> str:
        """Fill in the values; `Wrong` if one does not fit."""
        if self.constant is not None:
            return self.constant
        return "".join(
            [part if isinstance(part, str) else part.text(values) for part in self.parts]
        )

    def render_all(self, values: Mapping[str, Any]) -> List[str]:
        """Fill in the values; a text that is only a placeholder of a list becomes several texts."""
        if self.alone is not None:
            value = self.alone.value(values)
            if isinstance(value, Files):
                return list(value.paths)
            if isinstance(value, (tuple, list)):
                return [format_value(item) for item in value]
        return [self.render(values)]


def _parse_parts(source: str, *, glob: bool) -> List[Piece]:
    parts: List[Piece] = []
    try:
        for literal, reference, spec, conversion in _formatter.parse(source):
            if literal:
                parts.append(literal)
            if reference is not None:
                braces = _parse_braces(reference, spec or "") if glob and not conversion else None
                parts.append(braces or _parse_field(reference, spec or "", conversion))
    except ValueError:
        raise Wrong(
            f"a single brace in {show(source)}: double it ({{{{ or }}}}) to write it as it stands"
        ) from None
    return _join_literals(parts)


def _parse_braces(reference: str, spec: str) -> Optional[Braces]:
    if "," in reference:
        return Braces(reference + (f":{spec}" if spec else ""))
    return Braces(f":{spec}") if not reference and spec else None


def _join_literals(parts: List[Piece]) -> List[Piece]:
    """Join adjacent literals: the parser splits them at doubled braces."""
    joined: List[Piece] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def _parse_field(reference: str, spec: str, conversion: Optional[str]) -> Field:
    if not reference or reference.isdigit():
        raise Wrong(
            f"{{{reference}}} has no name: double the braces ({{{{{reference}}}}}) to write it as"
            " it stands, or name a value, as in {index}"
        )
    match = _REFERENCE.fullmatch(reference)
    if match is None or not _NAME.fullmatch(match.group(1)):
        shown = reference + (f":{spec}" if spec else "")
        raise Wrong(
            f"{{{shown}}} is no placeholder: double the braces ({{{{{shown}}}}}) to write it as it"
            " stands"
        )
    if conversion:
        raise Wrong(
            f"{{{reference}!{conversion}}}: conversions such as !{conversion} are not known"
        )
    if "{" in spec and not ("[" in spec and _COUNTED.fullmatch(spec)):
        raise Wrong(f"{{{reference}:{spec}}}: a placeholder cannot stand inside another")
    for digits in re.findall(r"0*(\d+)", spec) if "[" not in spec else ():
        if len(digits) > len(str(_LARGEST_WIDTH)) or int(digits) > _LARGEST_WIDTH:
            most = f"a width or precision of at most {_LARGEST_WIDTH:,}"
            raise Wrong(f"{{{reference}:{show(spec)[1:-1]}}}: expected {most}")
    steps = tuple(
        int(item) if item.isdigit() else (name or item)
        for name, item in _STEP.findall(match.group(2))
    )
    return Field(match.group(1), steps, spec)

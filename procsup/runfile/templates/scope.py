"""The placeholders known at a place; checks templates against them before units are made."""

from typing import Any, Dict, FrozenSet, Mapping, Optional, Union

from msgspec import Struct

from procsup.core.text import count_noun
from procsup.runfile.syntax.problems import Faults, Noted, Wrong, list_words, suggest
from procsup.runfile.templates.template import PATH_PARTS, Field, Step, Template


class Text(Struct, frozen=True):
    """A value that is one text or number.

    `path`: its parts (such as the stem) may be used. `late`: each attempt sets it.
    """

    path: bool = False
    late: bool = False


class Many(Struct, frozen=True):
    """A list of values; `length` is None if it is known only during the run."""

    item: Text
    length: Optional[int] = None


class FileSet(Struct, frozen=True):
    """Declared inputs or outputs: a table of names, or a list."""

    names: Optional[Dict[str, Union[Text, Many]]]
    length: Optional[int] = None
    file: bool = False  # `.file`: the paths, one a line
    globs: FrozenSet[Step] = frozenset()  # those whose paths are known only during the run


class Unread:
    """A value that could not be read: its error is noted, and uses of it are not checked."""


class FollowedUnit(Struct, frozen=True):
    """A unit of this stage, which another one follows; its outputs, if it declares any.

    `streams` are the paths of its stdout and stderr, as the run file has them.
    """

    stage: str
    outputs: Optional[Union[FileSet, Unread]]
    streams: Mapping[str, str] = {}


Kind = Union[Text, Many, FileSet, FollowedUnit, Unread]
UNREAD = Unread()
TEXT = Text()
LATE = Text(late=True)
PATH = Text(path=True)


class Scope:
    """The placeholders known at some place; `absent` has the reasons why others are unknown.

    `partial`: there are more that could not be read, so that unknown ones are not reported.
    """

    def __init__(
        self,
        known: Mapping[str, Kind],
        absent: Optional[Mapping[str, str]] = None,
        *,
        partial: bool = False,
    ) -> None:
        self.known = dict(known)
        self.absent = dict(absent or {})
        self.partial = partial

    def extend_scope(
        self,
        known: Mapping[str, Kind],
        absent: Optional[Mapping[str, str]] = None,
        *,
        partial: bool = False,
    ) -> "Scope":
        """Return a scope with further placeholders."""
        left = {name: why for name, why in self.absent.items() if name not in known}
        return Scope(
            {**self.known, **known}, {**left, **(absent or {})}, partial=self.partial or partial
        )

    def check(self, template: Template, *, several: bool = False) -> Template:
        """Return the template if it can be filled in here; `several`: it may become many texts."""
        faults = Faults()
        for field in template.fields:
            with faults.below():
                self._check_field(field, several=several and template.alone is not None)
        faults.raise_if_any()
        return template

    def render(self, template: Template, values: Mapping[str, Any]) -> str:
        """Check the template and fill it in; `Noted` if it uses a value that could not be read."""
        self.check(template)
        if any(map(self.is_unread, template.fields)):
            raise Noted
        return template.render(values)

    def is_unread(self, field: Field) -> bool:
        """Whether a placeholder has, or may have, a value that could not be read."""
        if self.partial and field.name not in self.absent:
            return field.name not in self.known
        return isinstance(self.known.get(field.name), Unread)

    def _check_field(self, field: Field, *, several: bool) -> None:
        if field.name not in self.known:
            if self.partial and field.name not in self.absent:
                return
            raise Wrong(self._describe_unknown(field))
        kind = self.known[field.name]
        if isinstance(kind, Text) and kind.late and (field.spec or field.steps):
            raise Wrong(f"{field}: it is known when an attempt starts, and written as it is then")
        for place, step in enumerate(field.steps):
            kind = _step(field, kind, step, field.format_name(place))
        if isinstance(kind, Unread):
            return
        if field.is_capture:
            raise Wrong(f"{field}: only the globs of a matrix capture")
        if isinstance(kind, FollowedUnit):
            raise Wrong(f"{field}: of a unit that is followed only its outputs are known, such as"
                        f" {{{field.name}.outputs[0]}}")  # fmt: skip
        if isinstance(kind, FileSet) and kind.globs:
            raise Wrong(_describe_glob_field(field))
        if not isinstance(kind, Text) and not several:
            raise Wrong(f"{field} is a list: it can only stand alone as an item of `args`")

    def _describe_unknown(self, field: Field) -> str:
        if field.name in self.absent:
            return f"{field}: {self.absent[field.name]}"
        hint = suggest(field.name, self.known)
        known = list_words(self.known)
        return (
            f"unknown placeholder {{{field.name}}}{hint}; known here: {known}; double the braces"
            f" ({{{field}}}) to write it as it stands"
        )


def _step(field: Field, kind: Kind, step: Step, name: str) -> Kind:
    """Return the kind that a step leads to; `name` is the placeholder up to this step."""
    if isinstance(kind, Unread):
        return kind
    if isinstance(kind, FollowedUnit):
        return _step_into_unit(field, kind, step)
    if isinstance(kind, FileSet):
        return _step_into_files(field, kind, step, name)
    if isinstance(kind, Many):
        if not isinstance(step, int):
            raise Wrong(f"{field}: it is a list, its items are {{{name}[0]}} and so on")
        _check_index(field, step, kind.length, name)
        return kind.item
    if not kind.path:
        cure = " (name it in `paths` if it is one)" if name == field.name else ""
        raise Wrong(f"{field}: `{name}` is no path{cure}")
    if step not in PATH_PARTS:
        hint = suggest(str(step), PATH_PARTS)
        raise Wrong(f"{field}: unknown part `{step}`{hint}; a path has {list_words(PATH_PARTS)}")
    return PATH if step == "parent" else TEXT


def _step_into_unit(field: Field, kind: FollowedUnit, step: Step) -> Kind:
    if step == "outputs" and kind.outputs is not None:
        return kind.outputs
    wanted = kind.streams if step == "outputs" else {step: kind.streams.get(str(step))}
    cures = [f"`{key}`, {path}" for key, path in wanted.items() if path]
    cure = f": write the path of its {' or '.join(cures)}" if cures else ""
    if step == "outputs":
        raise Wrong(f"{field}: the stage `{kind.stage}` declares no outputs{cure}")
    hint = "" if cures else suggest(str(step), ("outputs",))
    raise Wrong(f"{field}: of a unit that is followed only its `outputs` are known{hint}{cure}")


def _describe_glob_field(field: Field) -> str:
    return (
        f"{field}: what a glob matches is known only when the unit is done: declare a folder"
        " (a path with a / at its end), or take the outputs of all:"
        f' inputs = {{ from = "{field.name}" }}'
    )


def _step_into_files(field: Field, kind: FileSet, step: Step, name: str) -> Kind:
    if kind.file and step == "file":
        return PATH
    if step in kind.globs:
        raise Wrong(_describe_glob_field(field))
    if kind.names is None:
        if not isinstance(step, int):
            raise Wrong(
                f"{field}: `{name}` are a list, not a table of names:"
                f" use {{{name}[0]}}, or give them names"
            )
        _check_index(field, step, kind.length, name)
        return PATH
    if not isinstance(step, str) or step not in kind.names:
        hint = suggest(str(step), kind.names)
        raise Wrong(f"{field}: no `{step}` in `{name}`{hint}; it has {list_words(kind.names)}")
    return kind.names[step]


def _check_index(field: Field, index: int, length: Optional[int], name: str) -> None:
    if length is not None and index >= length:
        items = count_noun(length, "item")
        raise Wrong(f"{field}: `{name}` has {items}, the first is [0]")

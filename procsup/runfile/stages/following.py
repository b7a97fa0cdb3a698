"""Units that follow units: the units of a `for-each` stage.

Each follows one unit of each named stage, has that unit's parameters, and starts as soon as all
of these have succeeded. If a glob of the stage may match their outputs, it waits for the whole
stages: only then are the matches of the glob complete.
"""

import os
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    Iterator,
    List,
    Mapping,
    Sequence,
    Tuple,
)

from msgspec import Struct
from msgspec.structs import replace

from procsup.core.globs import Glob, parse_wildcards
from procsup.core.spec import After, list_upstream
from procsup.core.text import list_some
from procsup.host.names import make_path_key
from procsup.runfile.parameters.axes import split_zips
from procsup.runfile.parameters.tables import ListFile, Row
from procsup.runfile.stages.graph import list_before, list_done_before
from procsup.runfile.stages.recipe import Recipe
from procsup.runfile.syntax.problems import Wrong, convert_each, list_words
from procsup.runfile.syntax.values import Fields, a_list, format_value, word
from procsup.runfile.templates.scope import FollowedUnit, Kind
from procsup.runfile.templates.template import Braces, Field, Files, Template

_NAMED = 5


class MadeUnits(Struct, frozen=True):
    """The part of a unit that its followers use; `own` is its id without the stage."""

    id: str
    own: str
    row: Row
    outputs: Files


class FollowedStage(Struct, frozen=True):
    """The data that a stage uses from the stages before it.

    `inputs_from`: absolute paths of the outputs of the stage named by ``inputs.from``; `made`: the
    units of the stages that it follows.
    """

    inputs_from: Sequence[str] = ()
    made: Mapping[str, Sequence[MadeUnits]] = {}


class Group(Struct, frozen=True):
    """The units that one unit follows, by stage; their common name, and their parameters."""

    own: str
    row: Row
    units: Mapping[str, MadeUnits]

    @property
    def ids(self) -> Tuple[str, ...]:
        """The ids of the units."""
        return tuple([made.id for made in self.units.values()]) if self.units else ()


def read_afters(value: Any, known: Callable[[Any], str]) -> Tuple[After, ...]:
    """Read the value of `after`, a list of stages; `known` accepts a stage's name."""
    found = convert_each(a_list(value, "stages"), lambda one: _read_after(one, known))
    names = [after.stage for after in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Wrong(f"{list_words(twice)} stands here twice")
    return tuple(found)


def _read_after(value: Any, known: Callable[[Any], str]) -> After:
    if not isinstance(value, dict):
        return After(known(value))
    table = Fields(value, ("stage", "when"), "stage")
    when = table.take("when", word("succeeded", "finished"), "succeeded")
    after = After(table.take("stage", known, ""), when)
    table.raise_if_any()
    return after


def read_followed(value: Any, known: Callable[[Any], str]) -> Tuple[str, ...]:
    """Read the value of `for-each`: a stage, or several; `known` accepts a stage's name."""
    if isinstance(value, str):
        return (known(value),)
    if isinstance(value, dict):
        raise Wrong(
            "expected a list of stages, or one stage, not a table: values of parameters"
            " stand in `matrix`, as in `matrix.x = [1, 2]`"
        )
    names = convert_each(a_list(value, "stages, or one stage"), known)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Wrong(f"{list_words(twice)} stands here twice")
    if not names:
        raise Wrong("expected the name of a stage")
    return tuple(names)


def find_followed(table: Mapping[str, Any]) -> List[str]:
    """Return the stages that a table's `for-each` names; invalid values are ignored."""
    value = table.get("for-each")
    names = value if isinstance(value, list) else [value]
    return [name for name in names if isinstance(name, str)]


def inherit_parameters(recipes: Sequence[Recipe]) -> Dict[str, Kind]:
    """Return the parameters that units inherit from the units of these stages.

    `Wrong` if two stages have a parameter of the same name but of different kinds.
    """
    kinds: Dict[str, Kind] = {}
    for recipe in recipes:
        for name, kind in recipe.kinds.items():
            if kinds.setdefault(name, kind) != kind:
                raise Wrong(f"`{name}` is of another kind in the stage `{recipe.spec.name}`")
    return kinds


def list_followed_units(recipes: Sequence[Recipe], taken: Mapping[str, Kind]) -> Dict[str, Kind]:
    """Return the placeholders for the units that a unit follows: the names of their stages."""
    seen: Dict[str, Kind] = {}
    for recipe in recipes:
        name = recipe.spec.name
        if name in taken or name in ("inputs", "outputs", "depends", "index", "scratch"):
            used = f"{{{name}}} stands for something else here already"
            raise Wrong(f"{used}: give the stage `{name}` another name")
        streams = {k: one.source for k, one in recipe.streams.items() if k != "stdin"}
        seen[name] = FollowedUnit(name, recipe.outputs.make_followed_kind(), streams)
    return seen


def make_groups(stages: Sequence[str], made: Mapping[str, Sequence[MadeUnits]]) -> List[Group]:
    """Return the units that each unit follows, in the order of the first stage.

    Units of several stages belong together if their ids differ only in the stage. `Wrong` if a unit
    has no partner, or if partners differ in a parameter.
    """
    first, *others = stages
    partners = {stage: {one.own: one for one in made[stage]} for stage in others}
    for stage, by_own in partners.items():
        _require_partners(first, made[first], stage, by_own)
    return [
        _group_units({first: one, **{stage: partners[stage][one.own] for stage in others}})
        for one in made[first]
    ]


def _require_partners(
    first: str, units: Sequence[MadeUnits], stage: str, partners: Mapping[str, MadeUnits]
) -> None:
    alone = [one.id for one in units if one.own not in partners]
    alone += [f"{stage}/{own}" for own in partners if own not in {one.own for one in units}]
    if alone:
        raise Wrong(
            f"units of `{first}` and `{stage}` belong together if their ids agree, and these have"
            f" no partner: {list_some(alone, _NAMED)}"
        )


def _group_units(units: Dict[str, MadeUnits]) -> Group:
    row: Row = {}
    for made in units.values():
        for name, value in made.row.items():
            if name in row and _format_value(row[name]) != _format_value(value):
                raise Wrong(f"{list_words(one.id for one in units.values())} differ in `{name}`")
            row[name] = value
    return Group(next(iter(units.values())).own, row, units)


def _format_value(value: Any) -> Any:
    return (
        tuple(format_value(item) for item in value)
        if isinstance(value, tuple)
        else format_value(value)
    )


# --- waits for whole stages -----------------------------------------------------------------


def settle(
    recipes: Sequence[Recipe], values: Mapping[str, Any], absolute: Callable[[str], str]
) -> List[Recipe]:
    """Return the recipes; their specs say when their units are known and may start."""
    names = [recipe.spec.name for recipe in recipes]
    settler = _Settler({recipe.spec.name: recipe for recipe in recipes}, values, absolute)
    return [settler.settle(name) for name in names]


class _Settler:
    def __init__(
        self,
        recipes: Dict[str, Recipe],
        values: Mapping[str, Any],
        absolute: Callable[[str], str],
    ) -> None:
        self._recipes = recipes
        self._values = values
        self._absolute = absolute
        self._settled: Dict[str, Recipe] = {}

    def settle(self, name: str) -> Recipe:
        if name not in self._settled:
            self._settled[name] = self._settle(self._recipes[name])
        return self._settled[name]

    def _settle(self, recipe: Recipe) -> Recipe:
        spec = recipe.spec
        late = bool(list_upstream(spec)) and spec.inputs_from is not None
        spec = replace(spec, looks_into=self._find_looked_into(recipe))
        if not spec.for_each:
            late = late or (bool(list_upstream(spec)) and recipe.looks_at_files())
            return replace(recipe, spec=replace(spec, late=late))
        named = {field.name for template in recipe.list_templates() for field in template.fields}
        spec = replace(spec, hands_on=tuple([one for one in spec.for_each if one in named]))
        late = late or any(self.settle(name).spec.late for name in spec.for_each)
        specs = {name: self.settle(name).spec for name in self._list_before(spec.name)}
        done = list_done_before(replace(spec, unit_wise=True), specs)
        seen = [name for name in specs if self._may_see(recipe, name)]
        unit_wise = all(name in done for name in seen)
        return replace(recipe, spec=replace(spec, late=late or bool(seen), unit_wise=unit_wise))

    def _list_before(self, name: str) -> FrozenSet[str]:
        return list_before(name, {key: recipe.spec for key, recipe in self._recipes.items()})

    def _find_looked_into(self, recipe: Recipe) -> Tuple[str, ...]:
        """Return the stages before it whose outputs its globs may match."""
        if not recipe.looks_at_files():
            return ()
        globs = list(self._list_globs(recipe))
        before = sorted(self._list_before(recipe.spec.name))
        known = [name for name in before if name in self._recipes]
        return tuple([name for name in known if self._may_meet(globs, name)])

    def _may_see(self, recipe: Recipe, name: str) -> bool:
        """Whether its globs or lists may find outputs of another stage; true if that is unclear."""
        return self._may_meet([*self._list_globs(recipe), *self._list_lists(recipe)], name)

    def _may_meet(self, looks: Sequence[Tuple[str, str]], name: str) -> bool:
        other = self._recipes[name]
        ends = [self._find_ends(item.template, item.is_glob) for item in other.outputs.items]
        ends += [
            self._find_ends(one, False) for key, one in other.streams.items() if key != "stdin"
        ]
        return any(_may_meet(look, end) for look in looks for end in ends)

    def _list_globs(self, recipe: Recipe) -> Iterator[Tuple[str, str]]:
        for axis in split_zips(recipe.axes):
            if isinstance(axis.source, Glob):
                for base in (branch.base for branch in axis.source.branches):
                    yield self._start(f"{base}/" if base else ""), ""
        for wanted in (recipe.inputs, recipe.depends):
            yield from (self._find_ends(one.template, True) for one in wanted.items if one.is_glob)

    def _list_lists(self, recipe: Recipe) -> Iterator[Tuple[str, str]]:
        for axis in split_zips(recipe.axes):
            if isinstance(axis.source, ListFile):
                yield self._start(axis.source.path), ""

    def _find_ends(self, template: Template, is_glob: bool) -> Tuple[str, str]:
        """Return the beginning and the end that all paths of a template have in common."""
        if ".." in template.source:
            return "", ""
        parts = [self._get_known_text(part, is_glob) for part in template.parts]
        head = _cut_at_wildcard("".join(parts))
        tail = _cut_at_wildcard("".join(parts)[::-1])[::-1]
        is_folder = tail.endswith("/")  # any file may be in it
        return self._start(head), ("" if is_folder else tail)

    def _start(self, head: str) -> str:
        """Return the beginning of a path, with links to its folders resolved."""
        if not head:
            return ""
        whole = self._absolute(head)
        if head.endswith("/"):
            return os.path.realpath(whole)
        folder, name = os.path.split(whole)
        return os.path.join(os.path.realpath(folder), name)

    def _get_known_text(self, part: Any, is_glob: bool) -> str:
        """Return the text of a part, with a wildcard for unknown values."""
        if isinstance(part, Braces):
            return "*"
        if isinstance(part, Field) and (part.name not in self._values or part.is_capture):
            return "*"
        if isinstance(part, Field):
            return part.text(self._values)
        pieces = parse_wildcards(part) if is_glob else [part]
        return "".join([one if isinstance(one, str) else "*" for one in pieces])


def _cut_at_wildcard(text: str) -> str:
    cut = [text.index(mark) for mark in "*?" if mark in text]
    return text[: min(cut)] if cut else text


def _may_meet(one: Tuple[str, str], two: Tuple[str, str]) -> bool:
    head, tail = map(make_path_key, one)
    other_head, other_tail = map(make_path_key, two)
    heads = head.startswith(other_head) or other_head.startswith(head)
    tails = tail.endswith(other_tail) or other_tail.endswith(tail)
    return heads and tails

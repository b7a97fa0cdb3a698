"""Makes the units of a stage from its recipe."""

import hashlib
import os
import re
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar

from procsup.core.late import MARKS, SCRATCH
from procsup.core.regexes import compile_at_use
from procsup.core.slots import Capacity
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.runfile.parameters.axes import MAX_UNITS
from procsup.runfile.parameters.exclude import ExcludeFilter
from procsup.runfile.parameters.rows import make_rows
from procsup.runfile.parameters.tables import Row
from procsup.runfile.parameters.walk import Finder
from procsup.runfile.stages.declared import (
    find_left_out,
    make_input_files,
    make_output_files,
    make_output_specs,
    render_path,
)
from procsup.runfile.stages.following import FollowedStage, Group, MadeUnits
from procsup.runfile.stages.following import make_groups as group_units
from procsup.runfile.stages.recipe import ExpandContext, Recipe
from procsup.runfile.syntax import values as v
from procsup.runfile.syntax.problems import Problems, Wrong
from procsup.runfile.templates.template import Files, Followed, Template
from procsup.runfile.units.command import Misplaced
from procsup.runfile.units.grants import Grants
from procsup.runfile.units.maker import NOTHING, Parts, UnitMaker

_T = TypeVar("_T")
_Combined = Tuple[Group, Row]

_CONTROL = compile_at_use(r"[\x00-\x1f\x7f]")
_UNSAFE = compile_at_use(r"[^A-Za-z0-9._=-]+")
_ENOUGH_PROBLEMS = 20
_LONGEST_NAME = 80
_ALONE = Group("", {}, {})  # for a unit that follows none
_LIST_FILE = "{inputs.file}"  # the path of a list in a fingerprint


def expand(
    recipe: Recipe,
    around: ExpandContext,
    capacity: Capacity,
    before: FollowedStage,
    finder: Finder,
    problems: Problems,
    *,
    followed: bool,
) -> Tuple[List[UnitSpec], List[MadeUnits]]:
    """Return the units of a stage; if it is `followed`, also the form that its followers see.

    Problems are noted, and their units left out.
    """
    groups: List[Group] = []
    with problems.below(recipe.place("for-each")):
        followed_stages = recipe.spec.for_each
        groups = group_units(followed_stages, before.made) if followed_stages else [_ALONE]
    axes_rows = _make_rows(recipe, around, finder, len(groups), problems)
    if axes_rows is None:
        return [], []
    renderer = _Renderer(recipe, around, capacity, finder, before.inputs_from)
    exclude_filter = ExcludeFilter(recipe.excludes)
    units: List[UnitSpec] = []
    seen: List[MadeUnits] = []
    for unit, made in _make_units(
        renderer, exclude_filter.select(_merge_rows(groups, axes_rows)), problems
    ):
        units.append(unit)
        if followed:
            seen.append(made)
    with problems.below(recipe.place("exclude")):
        exclude_filter.check(recipe.axes, empty_ok=recipe.empty_ok)
    return units, seen


def _make_rows(
    recipe: Recipe, around: ExpandContext, finder: Finder, count: int, problems: Problems
) -> Optional[List[Sequence[Row]]]:
    rows: List[Sequence[Row]] = []
    for axis in recipe.axes:
        with problems.below(axis.at):
            rows.append(make_rows(axis, around.folder, finder, empty_ok=recipe.empty_ok))
            count *= len(rows[-1])
    if count > MAX_UNITS:
        problems.add(recipe.at, f"makes {count:,} units, expected at most {MAX_UNITS:,}")
        return None
    return rows if len(rows) == len(recipe.axes) else None


def _merge_rows(groups: Sequence[Group], axes_rows: Sequence[Sequence[Row]]) -> Iterator[_Combined]:
    """Yield every combination, the last axis running fastest; all rows are new ones."""
    for group in groups:
        for row in _join_rows(group.row, axes_rows):
            yield group, row


def _join_rows(row: Row, axes_rows: Sequence[Sequence[Row]]) -> Iterator[Row]:
    if not axes_rows:
        yield dict(row)
        return
    *others, last = axes_rows
    for before in _join_rows(row, others):
        for own in last:
            yield {**before, **own}


def _make_units(
    renderer: "_Renderer", combinations: Iterator[_Combined], problems: Problems
) -> Iterator[Tuple[UnitSpec, MadeUnits]]:
    failed = 0
    for index, (group, row) in enumerate(combinations):
        unit = renderer.try_make(index, row, group, problems)
        failed += unit is None
        if unit is not None:
            yield unit
        elif failed >= _ENOUGH_PROBLEMS:
            return


class _Renderer:
    """Renders the parts of the units of one stage from its templates, and makes the units."""

    def __init__(
        self,
        recipe: Recipe,
        around: ExpandContext,
        capacity: Capacity,
        finder: Finder,
        inputs_from: Sequence[str],
    ) -> None:
        self._recipe = recipe
        self._around = around
        self._grants = Grants(recipe, capacity)
        self._finder = finder
        self._maker = UnitMaker(recipe, around, inputs_from)
        self._lists = recipe.uses_list_file()
        self._makes_globs = recipe.outputs.looks_at_files or bool(recipe.outputs.left_out)
        self._leaves_out = any(wanted.left_out for wanted in (recipe.inputs, recipe.depends))
        # Values that all units have in common; None if they depend on the unit.
        self._cpus = None if recipe.cpus else self._grants.compute_cpus({})
        self._in_id = [name for axis in recipe.axes for name in axis.in_id]
        self._path_names = sorted(recipe.path_names)
        self._base = {**MARKS, **around.values, "scratch": SCRATCH}
        self._cwd = self._make_path(recipe.cwd, {}) if recipe.cwd.constant is not None else None

    def try_make(
        self, index: int, row: Row, group: Group, problems: Problems
    ) -> Optional[Tuple[UnitSpec, MadeUnits]]:
        """Return one unit; None if its values do not fit the templates, which is noted."""
        try:
            return self._make(index, row, group)
        except Misplaced as misplaced:
            problems.add_wrong(misplaced.at, misplaced.wrong)
            return None

    def _make(self, index: int, row: Row, group: Group) -> Tuple[UnitSpec, MadeUnits]:
        recipe = self._recipe
        values: Dict[str, Any] = {**self._base, **row, "index": index}
        for name, made in group.units.items():
            values[name] = Followed(made.outputs)
        own = self._fault_at("id", lambda: self._make_own(row, values, group))
        cwd = self._cwd or self._fault_at("cwd", lambda: self._make_path(recipe.cwd, values))
        values["inputs"] = inputs = self._make_inputs(values)
        values["depends"] = depends = self._find_declared("depends", values)
        outputs = self._fault_at("outputs", lambda: make_output_files(recipe.outputs, values))
        values["outputs"] = outputs
        list_path = self._list_path(own) if self._lists else None
        shown = self._maker.commands.render(values)
        real = self._make_real_values(values, cwd, list_path)
        parts = Parts(
            own=own,
            row=row,
            cwd=cwd,
            shown=shown,
            real=shown if real is values else self._maker.commands.render(real),
            inputs=inputs,
            depends=depends,
            paths=self._make_path_parameters(row) if self._path_names else (),
            outputs=self._make_output_specs(outputs, values),
            streams=self._make_streams(values) if recipe.streams else NOTHING,
            cpus=self._cpus or self._fault_at("cpus", lambda: self._grants.compute_cpus(values)),
            memory_bytes=self._compute_memory_bytes(values) if recipe.memory is not None else None,
            threads=self._grants.threads,
            lists={list_path: real["inputs"].paths} if list_path else NOTHING,
            follows=group.ids,
            excluded=self._find_excluded(values) if self._leaves_out else (),
        )
        unit = self._maker.make(index, parts)
        return unit, MadeUnits(unit.id, own, row, outputs)

    def _fault_at(self, key: str, make: Callable[[], _T]) -> _T:
        try:
            return make()
        except Wrong as wrong:
            raise Misplaced(self._recipe.place(key), wrong) from None

    # --- names and paths -----------------------------------------------------------------

    def _make_own(self, row: Row, values: Mapping[str, Any], group: Group) -> str:
        template = self._recipe.unit_id
        if template is not None:
            own = template.render(values)
            if not own.strip():
                raise Wrong(f"`{template.source}` is empty for this unit")
        else:
            parts = [f"{name}={v.format_value(row[name])}" for name in self._in_id]
            own = ",".join([group.own, *parts] if group.own else parts)
        return _CONTROL.sub(_escape_match, own)

    def _make_path(self, template: Template, values: Mapping[str, Any]) -> str:
        return self._around.make_absolute(render_path(template, values))

    def _make_absolute(self, path: str) -> str:
        whole = self._around.make_absolute(path).replace(
            os.sep, "/"
        )  # like all paths in placeholders
        return whole + ("/" if path.endswith("/") else "")

    def _list_path(self, own: str) -> str:
        stage = self._recipe.spec.name
        whole = f"{stage}/{own}" if own else stage
        name = _UNSAFE.sub("_", own)[:_LONGEST_NAME]
        digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        file = f"{name}-{digest}.txt" if name else f"{digest}.txt"
        return os.path.join(self._around.directory, "lists", stage, file)

    # --- files ---------------------------------------------------------------------------

    def _make_inputs(self, values: Mapping[str, Any]) -> Files:
        if self._recipe.spec.inputs_from is not None:
            files = self._maker.inputs_from
        else:
            files = self._find_declared("inputs", values)
        if not self._lists:
            return files
        odd = [path for path in files.paths if "\n" in path]
        if odd:
            message = f"{_LIST_FILE} has one path a line, and this one has a line break: {odd[0]!r}"
            raise Misplaced(self._recipe.place("inputs"), Wrong(message))
        return Files(files.paths, files.named, _LIST_FILE)

    def _find_declared(self, key: str, values: Mapping[str, Any]) -> Files:
        wanted = self._recipe.inputs if key == "inputs" else self._recipe.depends
        empty_ok = self._recipe.empty_ok
        if not wanted.items:
            return make_input_files(wanted, values, self._finder, empty_ok=empty_ok)
        finder = self._finder
        return self._fault_at(
            key, lambda: make_input_files(wanted, values, finder, empty_ok=empty_ok)
        )

    def _find_excluded(self, values: Mapping[str, Any]) -> Sequence[Mapping[str, Tuple[str, ...]]]:
        lists = {"inputs": self._recipe.inputs, "depends": self._recipe.depends}
        find = partial(
            find_left_out, values=values, finder=self._finder, folder=self._around.folder
        )
        return [self._fault_at(key, partial(find, wanted)) for key, wanted in lists.items()]

    def _make_output_specs(
        self, outputs: Files, values: Mapping[str, Any]
    ) -> Tuple[OutputSpec, ...]:
        wanted, folder = self._recipe.outputs, self._around.folder
        if not self._makes_globs:
            return make_output_specs(wanted, outputs, values, folder)
        return self._fault_at("outputs", lambda: make_output_specs(wanted, outputs, values, folder))

    def _make_path_parameters(self, row: Row) -> List[str]:
        paths: List[str] = []
        for name in self._path_names:
            value = row.get(name, ())
            paths += (
                map(v.format_value, value) if isinstance(value, tuple) else [v.format_value(value)]
            )
        return paths

    def _make_streams(self, values: Mapping[str, Any]) -> Dict[str, str]:
        streams = self._recipe.streams
        return {
            key: self._fault_at(key, partial(self._make_path, template, values))
            for key, template in streams.items()
        }

    def _compute_memory_bytes(self, values: Mapping[str, Any]) -> Optional[int]:
        return self._fault_at("memory", lambda: self._grants.compute_memory(values))

    def _make_real_values(
        self, values: Dict[str, Any], cwd: str, list_path: Optional[str]
    ) -> Mapping[str, Any]:
        """Return the values as the unit sees them.

        A relative path is valid for a unit that runs in the run file's folder; in another folder
        it must be absolute. If nothing differs, `values` itself is returned.
        """
        if cwd == self._around.folder and list_path is None:
            return values
        changed = dict(values)
        if cwd == self._around.folder:
            inputs: Files = values["inputs"]
            changed["inputs"] = Files(inputs.paths, inputs.named, list_path)
            return changed
        for name in self._recipe.spec.for_each:
            changed[name] = values[name].map_paths(self._make_absolute)
        for key in ("inputs", "depends", "outputs"):
            changed[key] = values[key].map_paths(self._make_absolute, list_path)
        for name in self._recipe.path_names:
            value = values[name]
            many = isinstance(value, tuple)
            changed[name] = (
                tuple(self._make_absolute(str(path)) for path in value)
                if many
                else self._make_absolute(v.format_value(value))
            )
        return changed


def _escape_match(match: "re.Match[str]") -> str:
    return f"\\x{ord(match.group()):02x}"

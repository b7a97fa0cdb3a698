"""Makes the units of a stage from its recipe."""

import hashlib
import os
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, TypeVar

from procsup.core.late import MARKS, SCRATCH
from procsup.core.slots import Capacity
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.runfile import values as v
from procsup.runfile.axes import MAX_UNITS
from procsup.runfile.command import Command, CommandMaker, Misplaced
from procsup.runfile.declared import input_files, output_files, output_specs, rendered_path
from procsup.runfile.exclude import Sieve
from procsup.runfile.fingerprint import Identity, fingerprint
from procsup.runfile.following import Before, Group, Made
from procsup.runfile.following import groups as group_units
from procsup.runfile.grants import Grants
from procsup.runfile.problems import Problems, Wrong
from procsup.runfile.recipe import Recipe, Surroundings
from procsup.runfile.rows import rows_of
from procsup.runfile.tables import Row
from procsup.runfile.template import Files, Followed, Template
from procsup.runfile.walk import Finder

_T = TypeVar("_T")
_Combined = Tuple[Group, Row]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")
_ENOUGH_PROBLEMS = 20
_LONGEST_NAME = 80
_NOTHING: Dict[str, Any] = {}  # one for all units
_ALONE = Group("", {}, {})  # what a unit follows that follows none
_LIST_FILE = "{inputs.file}"  # what a fingerprint sees of the path of a list


def expand(
    recipe: Recipe,
    around: Surroundings,
    capacity: Capacity,
    before: Before,
    finder: Finder,
    problems: Problems,
    *,
    followed: bool,
) -> Tuple[List[UnitSpec], List[Made]]:
    """Return the units of a stage; if it is `followed`, each also as those that follow it see it.

    Problems are noted, and leave units out.
    """
    groups: List[Group] = []
    with problems.below(recipe.place("for-each")):
        followed_stages = recipe.spec.for_each
        groups = group_units(followed_stages, before.made) if followed_stages else [_ALONE]
    axes_rows = _rows(recipe, around, finder, len(groups), problems)
    if axes_rows is None:
        return [], []
    maker = _Maker(recipe, around, capacity, finder, before.inputs_from)
    sieve = Sieve(recipe.excludes)
    units: List[UnitSpec] = []
    seen: List[Made] = []
    for unit, made in _made(maker, sieve.left(_merged(groups, axes_rows)), problems):
        units.append(unit)
        if followed:
            seen.append(made)
    with problems.below(recipe.place("exclude")):
        sieve.check(recipe.axes, empty_ok=recipe.empty_ok)
    return units, seen


def _rows(
    recipe: Recipe, around: Surroundings, finder: Finder, count: int, problems: Problems
) -> Optional[List[Sequence[Row]]]:
    rows: List[Sequence[Row]] = []
    for axis in recipe.axes:
        with problems.below(axis.at):
            rows.append(rows_of(axis, around.folder, finder, empty_ok=recipe.empty_ok))
            count *= len(rows[-1])
    if count > MAX_UNITS:
        problems.add(recipe.at, f"makes {count:,} units, expected at most {MAX_UNITS:,}")
        return None
    return rows if len(rows) == len(recipe.axes) else None


def _merged(groups: Sequence[Group], axes_rows: Sequence[Sequence[Row]]) -> Iterator[_Combined]:
    """Yield every combination, the last axis running fastest; all rows are new ones."""
    for group in groups:
        for row in _joined(group.row, axes_rows):
            yield group, row


def _joined(row: Row, axes_rows: Sequence[Sequence[Row]]) -> Iterator[Row]:
    if not axes_rows:
        yield dict(row)
        return
    *others, last = axes_rows
    for before in _joined(row, others):
        for own in last:
            yield {**before, **own}


def _made(
    maker: "_Maker", combinations: Iterator[_Combined], problems: Problems
) -> Iterator[Tuple[UnitSpec, Made]]:
    failed = 0
    for index, (group, row) in enumerate(combinations):
        unit = maker.try_make(index, row, group, problems)
        failed += unit is None
        if unit is not None:
            yield unit
        elif failed >= _ENOUGH_PROBLEMS:
            return


class _Maker:
    """Makes the units of one stage; what they have in common is made once."""

    def __init__(
        self,
        recipe: Recipe,
        around: Surroundings,
        capacity: Capacity,
        finder: Finder,
        inputs_from: Sequence[str],
    ) -> None:
        self._recipe = recipe
        self._stage = recipe.spec.name
        self._around = around
        self._grants = Grants(recipe, capacity)
        self._finder = finder
        self._commands = CommandMaker(recipe)
        self._lists = recipe.uses_list_file()
        self._makes_globs = recipe.outputs.looks_at_files
        self._in_id = [name for axis in recipe.axes for name in axis.in_id]
        self._path_names = sorted(recipe.path_names)
        self._from_paths = tuple(inputs_from)
        self._from = Files(tuple(self._relative(path) for path in inputs_from))
        self._base = {**MARKS, **around.values, "scratch": SCRATCH}
        self._argv: Tuple[str, ...] = ()
        self._cwd = self._path(recipe.cwd, {}) if recipe.cwd.constant is not None else None

    def try_make(
        self, index: int, row: Row, group: Group, problems: Problems
    ) -> Optional[Tuple[UnitSpec, Made]]:
        """Return one unit; None if its values do not fit the templates, which is noted."""
        try:
            return self._make(index, row, group)
        except Misplaced as misplaced:
            problems.add_wrong(misplaced.at, misplaced.wrong)
            return None

    def _make(self, index: int, row: Row, group: Group) -> Tuple[UnitSpec, Made]:
        recipe = self._recipe
        values: Dict[str, Any] = {**self._base, **row, "index": index}
        for name, made in group.units.items():
            values[name] = Followed(made.outputs)
        unit_id = self._at("id", lambda: self._id(row, values, group))
        cwd = self._cwd or self._at("cwd", lambda: self._path(recipe.cwd, values))
        values["inputs"] = inputs = self._inputs(values)
        values["depends"] = depends = self._wanted("depends", values)
        outputs = self._at("outputs", lambda: output_files(recipe.outputs, values))
        values["outputs"] = outputs
        streams = {key: self._stream(key, values) for key in recipe.streams}
        list_path = self._list_path(unit_id) if self._lists else None
        shown = self._commands.render(values)
        real = self._real_values(values, cwd, list_path)
        command = shown if real is values else self._commands.render(real)
        stdin = streams.get("stdin")
        unit = UnitSpec(
            id=unit_id,
            stage=self._stage,
            index=index,
            argv=self._shared(self._at("args", lambda: self._commands.started(command, cwd))),
            cwd=cwd,
            fingerprint=self._fingerprint(shown, row, values, cwd, stdin),
            parameters=v.plain_row(row),
            env=command.env,
            inputs=self._absolute_inputs(inputs) + ((stdin,) if stdin else ()),
            depends=self._depends(depends, row),
            outputs=self._output_specs(outputs, values),
            input_names=self._names(inputs),
            stdin=stdin,
            stdout=streams.get("stdout"),
            stderr=streams.get("stderr"),
            cpus=self._at("cpus", lambda: self._grants.cpus_of(values)),
            memory_bytes=self._at("memory", lambda: self._grants.memory_of(values)),
            threads=self._grants.threads,
            lists={list_path: real["inputs"].paths} if list_path else _NOTHING,
            stop_command=self._commands.stop(command.stop, cwd),
            follows=group.ids,
        )
        return unit, Made(unit_id, unit_id[len(self._stage) + 1 :], row, outputs)

    def _shared(self, argv: Tuple[str, ...]) -> Tuple[str, ...]:
        """Return the argv of the unit before if it is the same: most have some of their own."""
        if argv != self._argv:
            self._argv = argv
        return self._argv

    def _at(self, key: str, make: Callable[[], _T]) -> _T:
        try:
            return make()
        except Wrong as wrong:
            raise Misplaced(self._recipe.place(key), wrong) from None

    # --- names and paths -----------------------------------------------------------------

    def _id(self, row: Row, values: Mapping[str, Any], group: Group) -> str:
        template = self._recipe.unit_id
        if template is not None:
            own = template.render(values)
            if not own.strip():
                raise Wrong(f"`{template.source}` is empty for this unit")
        else:
            parts = [f"{name}={v.written(row[name])}" for name in self._in_id]
            own = ",".join([group.own, *parts] if group.own else parts)
        if not own:
            return self._stage
        return f"{self._stage}/{_CONTROL.sub(_escaped, own)}"

    def _absolute(self, path: str) -> str:
        return os.path.normpath(os.path.join(self._around.folder, path))

    def _path(self, template: Template, values: Mapping[str, Any]) -> str:
        return self._absolute(rendered_path(template, values))

    def _absolute_text(self, path: str) -> str:
        whole = self._absolute(path).replace(os.sep, "/")  # as all paths of placeholders
        return whole + ("/" if path.endswith("/") else "")

    def _relative(self, path: str) -> str:
        folder = self._around.folder.rstrip(os.sep) + os.sep
        inside = path[len(folder) :] if path.startswith(folder) else path
        return inside.replace(os.sep, "/")

    def _list_path(self, unit_id: str) -> str:
        name = _UNSAFE.sub("_", unit_id[len(self._stage) + 1 :])[:_LONGEST_NAME]
        digest = hashlib.sha256(unit_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        file = f"{name}-{digest}.txt" if name else f"{digest}.txt"
        return os.path.join(self._around.directory, "lists", self._stage, file)

    # --- files ---------------------------------------------------------------------------

    def _inputs(self, values: Mapping[str, Any]) -> Files:
        if self._recipe.spec.inputs_from is not None:
            files = self._from
        else:
            files = self._wanted("inputs", values)
        if not self._lists:
            return files
        odd = [path for path in files.paths if "\n" in path]
        if odd:
            message = f"{_LIST_FILE} has one path a line, and this one has a line break: {odd[0]!r}"
            raise Misplaced(self._recipe.place("inputs"), Wrong(message))
        return Files(files.paths, files.named, _LIST_FILE)

    def _wanted(self, key: str, values: Mapping[str, Any]) -> Files:
        wanted = self._recipe.inputs if key == "inputs" else self._recipe.depends
        empty_ok = self._recipe.empty_ok
        if not wanted.items:
            return input_files(wanted, values, self._finder, empty_ok=empty_ok)
        finder = self._finder
        return self._at(key, lambda: input_files(wanted, values, finder, empty_ok=empty_ok))

    def _output_specs(self, outputs: Files, values: Mapping[str, Any]) -> Tuple[OutputSpec, ...]:
        wanted, folder = self._recipe.outputs, self._around.folder
        if not self._makes_globs:
            return output_specs(wanted, outputs, values, folder)
        return self._at("outputs", lambda: output_specs(wanted, outputs, values, folder))

    def _absolute_inputs(self, inputs: Files) -> Tuple[str, ...]:
        if inputs.paths is self._from.paths:
            return self._from_paths
        if not inputs.paths:
            return ()
        return tuple([self._absolute(path) for path in inputs.paths])

    def _depends(self, declared: Files, row: Row) -> Tuple[str, ...]:
        """Return what is watched for changes: declared files, and parameters that are files."""
        if not declared.paths and not self._path_names:
            return ()
        paths = [*declared.paths, *(str(row[name]) for name in self._path_names if name in row)]
        return tuple([self._absolute(path) for path in paths])

    def _names(self, inputs: Files) -> Dict[str, Any]:
        if inputs.named is None:
            return _NOTHING
        return dict(inputs.mapped(self._absolute, None).named or {})

    def _stream(self, key: str, values: Mapping[str, Any]) -> str:
        template = self._recipe.streams[key]
        return self._at(key, lambda: self._path(template, values))

    def _real_values(
        self, values: Dict[str, Any], cwd: str, list_path: Optional[str]
    ) -> Mapping[str, Any]:
        """Return the values as the unit sees them.

        A relative path is good for a unit that runs in the run file's folder; any other needs
        it absolute. `values` itself is returned where nothing differs.
        """
        if cwd == self._around.folder and list_path is None:
            return values
        changed = dict(values)
        if cwd == self._around.folder:
            inputs: Files = values["inputs"]
            changed["inputs"] = Files(inputs.paths, inputs.named, list_path)
            return changed
        for name in self._recipe.spec.for_each:
            changed[name] = values[name].mapped(self._absolute_text)
        for key in ("inputs", "depends", "outputs"):
            changed[key] = values[key].mapped(self._absolute_text, list_path)
        for name in self._recipe.path_names:
            value = values[name]
            many = isinstance(value, tuple)
            changed[name] = (
                tuple(self._absolute_text(str(path)) for path in value)
                if many
                else self._absolute_text(v.written(value))
            )
        return changed

    # --- the rest ------------------------------------------------------------------------

    def _fingerprint(
        self,
        shown: Command,
        row: Row,
        values: Mapping[str, Any],
        cwd: str,
        stdin: Optional[str],
    ) -> str:
        identity = Identity(
            argv=shown.argv(self._recipe.program.shown_head),
            parameters=row,
            env=shown.env,
            cwd=self._relative(cwd) if cwd != self._around.folder else ".",
            inputs=values["inputs"].paths,
            depends=values["depends"].paths,
            stdin=None if stdin is None else self._relative(stdin),
        )
        return fingerprint(identity)


def _escaped(match: "re.Match[str]") -> str:
    return f"\\x{ord(match.group()):02x}"

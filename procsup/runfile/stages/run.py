"""Reads the settings of the run as a whole, its variables and its stages."""

import datetime
import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, TypeVar

from procsup.core.rooted import HOME
from procsup.core.spec import CapacitySpec, OnFailure, RunSpec, list_upstream
from procsup.host.folders import make_absolute
from procsup.paths.joining import join_path
from procsup.runfile.stages.declared import read_path_text
from procsup.runfile.stages.following import find_followed, settle
from procsup.runfile.stages.graph import find_cycle
from procsup.runfile.stages.recipe import ExpandContext, Recipe
from procsup.runfile.stages.stage import read_stage
from procsup.runfile.stages.table import Context
from procsup.runfile.syntax import values as v
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import (
    Faults,
    Problems,
    Wrong,
    convert_each,
    list_words,
    make_wrong,
    suggest,
)
from procsup.runfile.syntax.reading import Source
from procsup.runfile.templates.scope import TEXT, UNREAD, Many, Scope
from procsup.runfile.templates.template import Template
from procsup.runfile.vocabulary.keys import (
    CAPACITY,
    LATER_KEYS,
    RUN,
    RUN_KEYS,
    STAGE_KEYS,
    settings,
)
from procsup.runfile.vocabulary.names import (
    check_keys,
    check_new_name,
    check_run_name,
    check_stage_name,
)

_T = TypeVar("_T")
_PRINTED = ("stdout", "stderr")

_SETTINGS = settings(RUN)
_OF_A_STAGE = {
    key: "it belongs into [stage.NAME], or into [defaults] for all stages"
    for key in (*STAGE_KEYS, *LATER_KEYS)
    if key not in RUN_KEYS
}


class RunReader:
    """Reads a parsed run file; errors are noted in `problems`."""

    def __init__(self, source: Source, problems: Problems, today: datetime.date) -> None:
        self._source = source
        self._data = source.data
        self._problems = problems
        self._folder = os.path.dirname(source.path)
        self._values: Dict[str, Any] = {"date": today.isoformat()}
        self._scope = Scope({"date": TEXT})

    def read(
        self, variables: Mapping[str, str], directory: Optional[str], jobs: Optional[int]
    ) -> Tuple[RunSpec, List[Recipe]]:
        """Return the run and the recipes of its stages, as far as they could be read."""
        check_keys(self._data, RUN_KEYS, (), self._problems, elsewhere=_OF_A_STAGE)
        self._read_variables(variables)
        name = self._name()
        run_directory = os.path.join(self._find_parent(directory), name)
        recipes = self._read_stages()
        settings = {
            field: self._take(key, convert, None)
            for key, field, convert in _SETTINGS
            if key in self._data
        }
        built_in = {"date"} - set(variables)
        own = {key: value for key, value in self._values.items() if key not in built_in}
        spec = RunSpec(
            name=name,
            file=self._source.path,
            folder=self._folder,
            directory=run_directory,
            stages=tuple(recipe.spec for recipe in recipes),
            variables={key: v.plain(value) for key, value in own.items()},
            capacity=self._read_capacity(),
            jobs=self._read_jobs(jobs),
            stamp=self._take("stamp", self._read_path, None),
            manifest=self._take("manifest", self._read_path, None),
            lock=self._take("lock", _lock_name, None),
            **{"on_failure": OnFailure(), **settings},
        )
        return spec, recipes

    def make_context(self, spec: RunSpec) -> ExpandContext:
        """Return the data that the units of all stages share."""
        return ExpandContext(spec.folder, spec.directory, self._values)

    # --- single values -------------------------------------------------------------------

    def _take(self, key: str, convert: Callable[[Any], _T], default: _T) -> _T:
        if key not in self._data:
            return default
        try:
            return convert(self._fill_in(self._data[key]))
        except Wrong as wrong:
            self._problems.add_wrong((key,), wrong)
            return default

    def _fill_in(self, value: Any) -> Any:
        if isinstance(value, str) and ("{" in value or "}" in value):
            return self._scope.render(Template(value), self._values)
        return value

    def _make_absolute(self, path: str) -> str:
        return join_path(self._folder, path)

    def _read_path(self, value: Any) -> Optional[str]:
        return self._make_absolute(read_path_text(value))

    def _name(self) -> str:
        stem = os.path.splitext(os.path.basename(self._source.path))[0]
        if "name" in self._data:
            return self._take("name", _run_name, stem)
        try:
            return _run_name(stem)
        except Wrong as wrong:
            self._problems.add((), f"{wrong} (the file's own name): give it a `name = ...`")
            return stem

    def _find_parent(self, directory: Optional[str]) -> str:
        own = self._take("dir", self._read_path, None)
        if directory is not None:
            return make_absolute(directory)
        return own or os.path.join(self._folder, HOME)

    def _read_jobs(self, given: Optional[int]) -> Optional[int]:
        own = self._take("jobs", v.whole(1), None)
        if given is not None and given < 1:
            self._problems.add((), f"jobs: expected a whole number of at least 1, not {given}")
        return own if given is None else given

    def _read_capacity(self) -> CapacitySpec:
        return self._take("capacity", _read_capacity, CapacitySpec())

    # --- variables -----------------------------------------------------------------------

    def _read_variables(self, given: Mapping[str, str]) -> None:
        table = self._data.get("vars", {})
        if not isinstance(table, dict):
            self._problems.add_wrong(("vars",), make_wrong("a table of names and values", table))
            table = {}
            self._scope.partial = True
        self._check_given(given, table)
        self._values["date"] = given.get("date", self._values["date"])
        for name, value in table.items():
            try:
                check_new_name(name, "variable")
                final = v.text(given[name]) if name in given else self._read_variable(value)
            except Wrong as wrong:
                self._problems.add_wrong(("vars", name), wrong)
                self._scope.known[name] = UNREAD
                continue
            is_list = isinstance(final, tuple)
            self._scope.known[name] = Many(TEXT, len(final)) if is_list else TEXT
            self._values[name] = final

    def _check_given(self, given: Mapping[str, str], table: Mapping[str, Any]) -> None:
        for name in given:
            if name not in table and name != "date":
                hint = suggest(name, table)
                known = f"its `vars` are {list_words(table)}" if table else "it has no `vars`"
                cure = "" if hint else f"; `vars = {{ {name} = ... }}` declares it"
                message = f"--var {name}: the run file has no such variable{hint}: {known}{cure}"
                self._problems.add(("vars",) if table else (), message)

    def _read_variable(self, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(convert_each(value, self._read_variable_item))
        return self._read_variable_item(value)

    def _read_variable_item(self, value: Any) -> v.Scalar:
        return v.scalar(self._fill_in(value))

    # --- stages --------------------------------------------------------------------------

    def _read_stages(self) -> List[Recipe]:
        defaults = self._defaults()
        stages = self._data.get("stage", {})
        if not isinstance(stages, dict) or not stages:
            at: KeyPath = ("stage",) if "stage" in self._data else ()
            if at or not any(suggest(key, ("stage",)) for key in self._data):
                self._problems.add(at, "expected at least one table [stage.NAME]")
            return []
        names = tuple(stages)
        found: Dict[str, Recipe] = {}
        context = Context(
            self._scope, self._values, self._make_absolute, names, self._problems, found
        )
        for name in self._sort_followed_first(stages):
            if self._is_stage(name, stages[name]):
                recipe = read_stage(name, stages[name], defaults, context)
                if recipe is not None:
                    found[name] = recipe
        recipes = [found[name] for name in stages if name in found]
        self._check_graph(recipes)
        return recipes if self._problems else settle(recipes, self._values, self._make_absolute)

    def _sort_followed_first(self, stages: Mapping[str, Any]) -> List[str]:
        """Return the names of the stages, each after the stages that it follows."""
        tables = {name: table for name, table in stages.items() if isinstance(table, dict)}
        follows = {name: find_followed(table) for name, table in tables.items()}
        order: List[str] = []
        left = list(stages)
        while left:
            ready = [n for n in left if not set(follows.get(n, ())) & set(left)]
            if not ready:
                cycle = find_cycle({name: [n for n in follows[name] if n in left] for name in left})
                ready = [name for name in left if name in (cycle or left)]
                message = f"stages wait for each other in a circle: {' -> '.join(cycle or left)}"
                self._problems.add(("stage", ready[0], "for-each"), message)
            order += ready
            left = [name for name in left if name not in ready]
        return order

    def _defaults(self) -> Mapping[str, Any]:
        defaults = self._data.get("defaults", {})
        if not isinstance(defaults, dict):
            self._problems.add_wrong(("defaults",), make_wrong("a table of stage keys", defaults))
            return {}
        check_keys(defaults, STAGE_KEYS, ("defaults",), self._problems, later=LATER_KEYS)
        return defaults

    def _is_stage(self, name: str, table: Any) -> bool:
        at = ("stage", name)
        if not isinstance(table, dict):
            forgotten = name in STAGE_KEYS
            cure = f" with `{name}` in it" if forgotten else ""
            self._problems.add(at, f"expected a table [stage.NAME]{cure}")
            return False
        for key, value in table.items():
            is_key = key in (*STAGE_KEYS, *LATER_KEYS)
            if not is_key and isinstance(value, dict) and not set(STAGE_KEYS).isdisjoint(value):
                cure = f"a stage's name has no dot: write [stage.{name}-{key}]"
                self._problems.add((*at, key), cure)
                return False
        try:
            check_stage_name(name)
        except Wrong as wrong:
            self._problems.add_wrong(at, wrong)
        return True

    def _check_graph(self, recipes: List[Recipe]) -> None:
        by_name = {recipe.spec.name: recipe for recipe in recipes}
        waits_for = {name: list_upstream(recipe.spec) for name, recipe in by_name.items()}
        cycle = find_cycle(waits_for)
        if cycle is not None:
            places = by_name[cycle[0]]
            key = next(key for key in ("after", "inputs", "for-each") if key in places.places)
            message = f"stages wait for each other in a circle: {' -> '.join(cycle)}"
            self._problems.add(places.place(key), message)
        for recipe in recipes:
            source = by_name.get(recipe.spec.inputs_from or "")
            if source is not None and not _makes_files(source):
                message = f"the stage `{source.spec.name}` declares no outputs"
                self._problems.add((*recipe.place("inputs"), "from"), message)
            if recipe.spec.inputs_from in recipe.spec.for_each:
                name = recipe.spec.inputs_from
                message = f"a unit here follows one of `{name}`, and this means the outputs of all"
                cure = f'write inputs = ["{{{name}.outputs}}"] for those of its own'
                self._problems.add((*recipe.place("inputs"), "from"), f"{message}: {cure}")


def _makes_files(recipe: Recipe) -> bool:
    """Whether a stage makes files: its outputs, or a file for stdout or stderr."""
    outputs = recipe.outputs
    return bool(outputs.items) or outputs.is_unread or not recipe.places.keys().isdisjoint(_PRINTED)


def _run_name(value: Any) -> str:
    name = v.read_text(value)
    check_run_name(name)
    return name


def _lock_name(value: Any) -> str:
    try:
        return _run_name(value)
    except Wrong:
        raise make_wrong("a name of letters, digits, `.`, `-` and `_`", value) from None


def _read_capacity(value: Any) -> CapacitySpec:
    if not isinstance(value, dict):
        raise make_wrong('a table such as { cpus = 8, memory = "16G" }', value)
    faults = Faults()
    for key in value:
        if key not in CAPACITY:
            hint = "" if key == "gpus" else suggest(key, CAPACITY)
            later = "resources of other names are not there yet in this version of procsup"
            faults.add((key,), f"unknown key{hint}" if hint else later)
    amounts: Dict[str, Any] = {}
    for key, amount in CAPACITY.items():
        with faults.below(key):
            amounts[key] = amount.convert(value[key]) if key in value else None
    faults.raise_if_any()
    return CapacitySpec(amounts["cpus"], amounts["memory"])

"""Reads one stage of the run file: its settings into a StageSpec, the rest into a Recipe."""

from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

from msgspec.structs import replace

from procsup.core.late import GIVEN
from procsup.core.spec import After, StageSpec
from procsup.host.shells import get_native_shell
from procsup.runfile.parameters.axes import Axis, AxisReader, list_files
from procsup.runfile.parameters.exclude import Exclude, read_excludes
from procsup.runfile.stages import following
from procsup.runfile.stages import program as programs
from procsup.runfile.stages.declared import (
    DeclaredFiles,
    check_declared,
    read_declared,
    read_outputs,
    read_path_text,
    read_stream_path,
)
from procsup.runfile.stages.environment import read_env, read_secrets
from procsup.runfile.stages.recipe import PlacedTemplate, Program, Recipe
from procsup.runfile.stages.stopping import check_linger, read_stop_command
from procsup.runfile.stages.table import Context, StageTable
from procsup.runfile.syntax import values as v
from procsup.runfile.syntax.problems import Wrong, below, convert_each, list_words, show, suggest
from procsup.runfile.templates.scope import LATE, PATH, TEXT, FileSet, Kind, Many, Scope
from procsup.runfile.templates.shell import read_shell
from procsup.runfile.templates.template import Template
from procsup.runfile.vocabulary.keys import LATER_KEYS, PROGRAM_KEYS, STAGE, STAGE_KEYS, settings
from procsup.runfile.vocabulary.names import check_keys

_Convert = Callable[[Any], Any]

_SETTINGS = settings(STAGE)
_STREAMS = ("stdin", "stdout", "stderr")
_BEFORE_FILES = {
    "inputs": "the inputs are not known here",
    "depends": "the depends are not known here",
    "outputs": "the outputs are not known here",
    "scratch": "only `args`, `command`, `prefix` and `env` know the scratch folder",
    **dict.fromkeys(GIVEN, "only what is started knows it: `args`, `command`, `prefix`, `env`"),
    "pid": "only `stop-command` knows the process",
    "unit_file": "its path is in the environment (PROCSUP_UNIT_FILE)",
}
_UNREAD = DeclaredFiles(is_unread=True)
_NO_NAMES: Tuple[str, ...] = ()
_NO_AFTERS: Tuple[After, ...] = ()
_NO_EXCLUDES: Tuple[Exclude, ...] = ()


def read_stage(
    name: str, own: Mapping[str, Any], defaults: Mapping[str, Any], context: Context
) -> Optional[Recipe]:
    """Read a stage, and note its problems in the context; None if it cannot be used."""
    table = StageTable(name, own, defaults, context)
    check_keys(own, STAGE_KEYS, table.at, context.problems, later=LATER_KEYS)
    return _StageReader(name, table, context).read()


class _StageReader:
    def __init__(self, name: str, table: StageTable, context: Context) -> None:
        self._name = name
        self._table = table
        self._context = context
        self._partial = False  # some parameters could not be read

    def read(self) -> Optional[Recipe]:
        for_each = self._read_for_each()
        known = self._context.recipes
        followed = [known[name] for name in for_each or () if name in known]
        self._partial = for_each is None or any(recipe.partial for recipe in followed)
        if len(followed) == len(for_each or ()):
            return self._read(followed)
        self._partial = True  # the problems of those stages are noted already
        self._read(followed)
        return None

    def _read(self, followed: Sequence[Recipe]) -> Optional[Recipe]:
        table, context = self._table, self._context
        axes, kinds, paths = self._read_parameters(followed)
        table.parameters = tuple(kinds)
        unit = self._make_unit_scope(followed, kinds)
        inputs_from = self._read_inputs_from()
        inputs = self._read_wanted("inputs", unit)
        depends = self._read_wanted("depends", unit)
        with_inputs = unit.extend_scope(self._list_input_kinds(inputs, depends))
        outputs = self._read_declared("outputs", read_outputs)
        self._check("outputs", outputs, with_inputs)
        with_files = with_inputs.extend_scope(*self._list_output_kinds(outputs))
        full = with_files.extend_scope(*self._list_late_kinds(with_files))
        spec, program = self._read_program(full)
        spec = self._read_settings(spec, inputs_from, tuple(one.spec.name for one in followed))
        rest: Dict[str, Any] = {
            "unit_id": table.take_template("id", unit, v.read_text),
            "cwd": table.take_template("cwd", unit) or Template("."),
            "env": read_env(table, full, context.problems),
            "streams": self._read_streams(with_files),
            "cpus": self._read_amount("cpus", v.cpus, unit),
            "memory": self._read_amount("memory", v.memory_bytes, unit),
            "empty_ok": table.take("empty-ok", v.truth, False),
            "stop_command": read_stop_command(table, full),
            "excludes": table.take("exclude", self._read_excludes(kinds), _NO_EXCLUDES),
            "partial": self._partial,
        }
        if program is None:
            return None
        recipe = Recipe(
            spec=replace(spec, list_files=tuple(context.absolute(one) for one in list_files(axes))),
            at=table.at,
            places=table.places,
            axes=axes,
            kinds=kinds,
            path_names=frozenset(paths),
            program=program,
            inputs=inputs,
            depends=depends,
            outputs=outputs,
            **rest,
        )
        watched = [name for name, own in paths.items() if own or recipe.uses(name)]
        return replace(recipe, path_names=frozenset(watched))

    def _read_amount(self, key: str, convert: _Convert, scope: Scope) -> Optional[Template]:
        def read(value: Any) -> Optional[Template]:
            if isinstance(value, str) and "{" in value:
                return scope.check(Template(value))
            number = convert(value)
            if key == "cpus" and number and self._table.values.get("pin") == "cpus":
                v.require_whole_cpus(number)
            return Template(v.format_value(value))

        return self._table.take(key, read, None)

    # --- parameters ----------------------------------------------------------------------

    def _read_for_each(self) -> Optional[Tuple[str, ...]]:
        """Return the named stages; None if the value is invalid."""

        def read(value: Any) -> Tuple[str, ...]:
            return following.read_followed(value, self._read_stage)

        return self._table.take("for-each", read, None) if "for-each" in self._table else ()

    def _make_unit_scope(self, followed: Sequence[Recipe], kinds: Mapping[str, Kind]) -> Scope:
        taken = {**self._context.scope.known, **kinds}
        none: Dict[str, Kind] = {}
        seen = self._table.take(
            "for-each", lambda _: following.list_followed_units(followed, taken), none
        )
        known = {**kinds, **seen, "index": TEXT}
        return self._context.scope.extend_scope(known, _BEFORE_FILES, partial=self._partial)

    def _read_parameters(
        self, followed: Sequence[Recipe]
    ) -> Tuple[Tuple[Axis, ...], Dict[str, Kind], Dict[str, bool]]:
        """Return its axes, the kinds of all parameters, and which are paths.

        A path is true if it is the stage's own parameter, false if it is a followed stage's.
        """
        context = self._context
        none: Dict[str, Kind] = {}
        inherited = self._table.take(
            "for-each", lambda _: following.inherit_parameters(followed), none
        )
        folder = context.absolute(".")
        reader = AxisReader(context.scope, context.values, folder, context.problems)
        axes = reader.read(self._table.values, self._table.places)
        self._partial |= reader.partial
        kinds = dict(inherited)
        for axis in axes:
            for name, kind in axis.kinds.items():
                if name in inherited:
                    message = f"the units that are followed have a parameter `{name}` already"
                    context.problems.add(axis.at, message)
                kinds[name] = kind
        named = self._table.take("paths", v.texts, _NO_NAMES)
        for name in named:
            if name in kinds:
                kinds[name] = Many(PATH) if isinstance(kinds[name], Many) else PATH
            elif not self._partial:
                known = f"it has {list_words(kinds)}" if kinds else "it has none"
                hint = suggest(name, kinds)
                self._table.note("paths", f"the stage has no parameter `{name}`{hint}: {known}")
        paths = {
            name: name not in inherited or name in named
            for name, kind in kinds.items()
            if kind in (PATH, Many(PATH))
        }
        return axes, kinds, paths

    def _read_excludes(self, kinds: Mapping[str, Kind]) -> Callable[[Any], Tuple[Exclude, ...]]:
        return lambda value: read_excludes(value, kinds, partial=self._partial)

    # --- files ---------------------------------------------------------------------------

    def _is_from(self) -> bool:
        value = self._table.values.get("inputs")
        return isinstance(value, dict) and "from" in value

    def _read_inputs_from(self) -> Optional[str]:
        if not self._is_from():
            return None
        return self._table.take("inputs", self._read_stage_of_inputs, None)

    def _read_stage_of_inputs(self, value: Mapping[str, Any]) -> Optional[str]:
        if len(value) > 1:
            raise Wrong("`from` stands alone: further files belong into `depends`")
        with below("from"):
            return self._read_stage(value["from"])

    def _read_stage(self, value: Any) -> str:
        name = v.read_text(value)
        if name not in self._context.stage_names:
            hint = suggest(name, self._context.stage_names)
            raise Wrong(f"there is no stage {show(name)}{hint}")
        return name

    def _read_wanted(self, key: str, scope: Scope) -> DeclaredFiles:
        if key == "inputs" and self._is_from():
            return DeclaredFiles()
        wanted = self._read_declared(key, read_declared)
        self._check(key, wanted, scope, several=True)
        return wanted

    def _read_declared(self, key: str, read: Callable[[Any], DeclaredFiles]) -> DeclaredFiles:
        return self._table.take(key, read, _UNREAD) if key in self._table else DeclaredFiles()

    def _check(
        self, key: str, wanted: DeclaredFiles, scope: Scope, *, several: bool = False
    ) -> None:
        self._table.take(key, lambda _: check_declared(wanted, scope, several=several), None)

    def _list_input_kinds(self, inputs: DeclaredFiles, depends: DeclaredFiles) -> Dict[str, Kind]:
        kinds: Dict[str, Kind] = {}
        if self._is_from():
            kinds["inputs"] = FileSet(None, None, file=True)
        elif "inputs" in self._table:
            kinds["inputs"] = inputs.kind(file=True)
        if "depends" in self._table:
            kinds["depends"] = depends.kind(file=False)
        return kinds

    def _list_output_kinds(self, outputs: DeclaredFiles) -> Tuple[Dict[str, Kind], Dict[str, str]]:
        absent = {
            key: f"the stage declares no {key}"
            for key in ("inputs", "depends", "outputs")
            if key not in self._table
        }
        return ({"outputs": outputs.kind(file=False)} if "outputs" in self._table else {}), absent

    def _list_late_kinds(self, scope: Scope) -> Tuple[Dict[str, Kind], Dict[str, str]]:
        """Return the values that each attempt sets; a variable of the same name has precedence."""
        known: Dict[str, Kind] = {name: LATE for name in GIVEN if name not in scope.known}
        absent: Dict[str, str] = {}
        if "memory" in known and "memory" not in self._table:
            absent["memory"] = "the stage declares no memory"
            del known["memory"]
        if self._table.take("scratch", v.truth, False):
            return {**known, "scratch": LATE}, absent
        return known, {**absent, "scratch": "`scratch = true` is missing"}

    def _read_streams(self, scope: Scope) -> Dict[str, Template]:
        streams = {key: self._table.take_template(key, scope, read_stream_path) for key in _STREAMS}
        return {key: template for key, template in streams.items() if template is not None}

    # --- what is started -----------------------------------------------------------------

    def _read_program(self, scope: Scope) -> Tuple[StageSpec, Optional[Program]]:
        table, spec = self._table, StageSpec(self._name)
        prefix = table.take_placed("prefix", programs.make_arguments_reader(scope))
        args = table.take_placed("args", programs.make_arguments_reader(scope))
        try:
            key = programs.choose_program(table.own, table.defaults, PROGRAM_KEYS)
        except Wrong as wrong:
            self._context.problems.add_wrong(table.at, wrong)
            return spec, None
        if key == "command":
            return self._read_command(spec, prefix, args, scope)
        if key == "shell":
            program = self._read_shell(prefix, args, scope)
            return (spec if program is None else replace(spec, shell=program.head)), program
        return self._read_python(spec, key, prefix, args)

    def _read_shell(
        self, prefix: Tuple[PlacedTemplate, ...], args: Tuple[PlacedTemplate, ...], scope: Scope
    ) -> Optional[Program]:
        self._refuse_python("shell")
        shell = get_native_shell()
        text = self._table.take("shell", lambda value: read_shell(value, scope, shell), None)
        if text is None:
            return None
        placed = (PlacedTemplate(self._table.places["shell"], text),)
        return Program(prefix, shell.head, ("shell",), placed, args, shell)

    def _refuse_python(self, key: str) -> None:
        if "python" in self._table.own:
            self._table.note("python", f"has no effect on a `{key}`: name the Python there")

    def _read_python(
        self,
        spec: StageSpec,
        key: str,
        prefix: Tuple[PlacedTemplate, ...],
        args: Tuple[PlacedTemplate, ...],
    ) -> Tuple[StageSpec, Program]:
        absolute = self._context.absolute
        env = self._table.values.get("env")
        # A prefix, or a PATH in `env`, may lead to Pythons that we cannot find.
        search = not prefix and not (isinstance(env, dict) and "PATH" in env)
        python = self._table.take_fixed(
            "python",
            lambda value: programs.read_interpreter(value, absolute, search=search),
            programs.read_interpreter(None, absolute),
        )
        spec = replace(spec, is_python=True, interpreter=python.argv)
        if key == "module":
            name = self._table.take_fixed("module", programs.read_module_name, "")
            heads = [(*argv, "-m", name) for argv in (python.argv, (python.shown,))]
            return replace(spec, module=name), Program(prefix, heads[0], heads[1], (), args)
        path = self._table.take_fixed("script", programs.read_script_path, "")
        head, shown = (*python.argv, absolute(path)), (python.shown, path)
        return replace(spec, script=absolute(path)), Program(prefix, head, shown, (), args)

    def _read_command(
        self,
        spec: StageSpec,
        prefix: Tuple[PlacedTemplate, ...],
        args: Tuple[PlacedTemplate, ...],
        scope: Scope,
    ) -> Tuple[StageSpec, Program]:
        self._refuse_python("command")
        argv = self._table.take_placed("command", programs.make_command_reader(scope))
        is_python = programs.runs_python(tuple(placed.template for placed in argv))
        return replace(spec, is_python=is_python), Program(prefix, (), (), argv, args)

    # --- settings ------------------------------------------------------------------------

    def _read_settings(
        self, spec: StageSpec, inputs_from: Optional[str], for_each: Tuple[str, ...]
    ) -> StageSpec:
        table = self._table
        changes = {
            field: table.take_fixed(key, convert, getattr(spec, field))
            for key, field, convert in _SETTINGS
        }
        none: Tuple[Optional[float], Optional[float]] = (None, None)
        limit = table.take_fixed("timeout", v.timeout, none)
        check_linger(table, seconds=changes["linger_s"])
        return replace(
            spec,
            timeout_s=limit[0],
            timeout_share=limit[1],
            after=table.take("after", self._read_after, _NO_AFTERS),
            inputs_from=inputs_from,
            for_each=for_each,
            secrets=read_secrets(table),
            pythonpath=table.take_fixed("pythonpath", self._read_folders, _NO_NAMES),
            stamp=table.take_fixed("stamp", self._read_path, None),
            **changes,
        )

    def _read_path(self, value: Any) -> Optional[str]:
        return self._context.absolute(read_path_text(value))

    def _read_folders(self, value: Any) -> Tuple[str, ...]:
        paths = convert_each(v.a_list(value, "folders"), read_path_text)
        return tuple(self._context.absolute(path) for path in paths)

    def _read_after(self, value: Any) -> Tuple[After, ...]:
        return following.read_afters(value, self._read_stage)

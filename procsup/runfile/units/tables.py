"""Reads units that a program gives one by one, as tables without placeholders."""

import os
import re
import shlex
from hashlib import sha256
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    Iterable,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from procsup.core.late import GIVEN, MARKS, PID
from procsup.core.regexes import compile_at_use
from procsup.core.slots import Capacity
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.core.text import make_visible
from procsup.host.counts import Counts
from procsup.runfile.parameters.walk import Finder
from procsup.runfile.stages.declared import (
    DeclaredFiles,
    find_left_out,
    make_input_files,
    make_output_files,
    make_output_specs,
    read_declared,
    read_outputs,
    read_path_text,
)
from procsup.runfile.stages.environment import read_fixed_env
from procsup.runfile.stages.program import runs_python
from procsup.runfile.stages.recipe import ExpandContext, Recipe
from procsup.runfile.stages.stopping import read_stop
from procsup.runfile.syntax import values as v
from procsup.runfile.syntax.problems import (
    Faults,
    Wrong,
    convert_each,
    convert_entries,
    make_wrong,
    suggest,
)
from procsup.runfile.templates.scope import LATE, Scope
from procsup.runfile.templates.template import Files, Template, double_braces
from procsup.runfile.units.command import Command, Misplaced
from procsup.runfile.units.grants import Grants
from procsup.runfile.units.maker import NOTHING, Parts, UnitMaker
from procsup.runfile.vocabulary.names import check_new_name
from procsup.store.rundir import PIPED

UNIT_KEYS: FrozenSet[str] = frozenset(
    (
        *("argv", "args", "id", "env", "cwd", "inputs", "depends", "outputs"),
        *("stdin", "stdout", "stderr", "cpus", "memory", "stop_command", "parameters"),
        *("label", "paths"),  # the parts of its id; files among its parameters
        *("follows", "priority"),  # ids without the stage, of units that must have succeeded
        "piped",  # the name of its stdin among the parts of a stream in the run directory
        "late",  # its argv has placeholders of what is known at the start, other braces doubled
    )
)
_LATE = Scope(dict.fromkeys(GIVEN, LATE))
_NUMBERED = compile_at_use(r"(.*) #([2-9]|[1-9][0-9]{1,8})", re.DOTALL)  # see `Names.free`
_STREAMS = ("stdin", "stdout", "stderr")
MOST_PRIORITY = 1_000_000  # also the least, negated
_MOST_SHARED = 4096
_SHORT_CHARACTERS, _HASH_DIGITS = 60, 8
_Found = Tuple[Files, Mapping[str, Tuple[str, ...]]]  # and the patterns excluded from folders
_NO_FILES: _Found = (Files(()), NOTHING)


class UnitReader:
    """Reads the units of one stage from tables of `UNIT_KEYS`, and makes them.

    The stage's settings (`recipe`) apply to all of them; a unit's own settings have precedence.
    `names` are those that the stage's units have got so far.
    """

    def __init__(
        self,
        recipe: Recipe,
        around: ExpandContext,
        capacity: Capacity,
        finder: Finder,
        names: "Names",
    ) -> None:
        self._recipe = recipe
        self._around = around
        self._grants = Grants(recipe, capacity)
        self._finder = finder
        self._maker = UnitMaker(recipe, around)
        self._front = tuple(placed.template.render({}) for placed in recipe.program.prefix)
        self._env = {name: placed.template.render({}) for name, placed in recipe.env.items()}
        self._cwd = around.make_absolute(recipe.cwd.render({}))
        self._namer = names
        self._texts: Dict[str, str] = {}  # arguments that many units may share

    def read(self, index: int, table: Any) -> UnitSpec:
        """Return one unit; `Wrong` lists all its errors."""
        if not isinstance(table, dict):
            raise make_wrong("a table of what the unit is", table)
        faults = Faults()
        for key in table:
            if key not in UNIT_KEYS:
                faults.add((key,), f"unknown key{suggest(key, UNIT_KEYS)}")

        def take(key: str, convert: Callable[[Any], Any], default: Any) -> Any:
            if table.get(key) is None:
                return default
            with faults.below(key):
                return convert(table[key])
            return default

        taken = self._take_keys(
            take, _read_late_arguments if table.get("late") else _read_arguments
        )
        faults.raise_if_any()
        return self._read_unit(index, taken)

    def _take_keys(
        self, take: Callable[[str, Callable[[Any], Any], Any], Any], read: Callable[[Any], Any]
    ) -> Dict[str, Any]:
        recipe = self._recipe
        grants = self._grants
        return {
            "arguments": take("argv", read, None) or take("args", read, ()),
            "id": take("id", v.read_text, None),
            "env": take("env", read_fixed_env, NOTHING),
            "cwd": take(
                "cwd", lambda value: self._around.make_absolute(read_path_text(value)), self._cwd
            ),
            "inputs": take("inputs", self._read_declared, None),
            "depends": take("depends", self._read_declared, None),
            "outputs": take("outputs", self._read_outputs, ()),
            "piped": take("piped", read_path_text, None),
            "streams": {key: take(key, read_path_text, None) for key in _STREAMS},
            "cpus": take("cpus", grants.cpus, None) or grants.compute_cpus({}),
            "memory": take("memory", grants.memory_bytes, None) or grants.compute_memory({}),
            "threads": take("cpus", lambda _: None, grants.threads),
            "stop": take("stop_command", read_stop, recipe.stop_templates()),
            "parameters": take("parameters", _read_parameters, NOTHING),
            "label": take("label", v.text, None),
            "paths": take("paths", v.texts, ()),
            "follows": take("follows", v.texts, ()),
            "priority": take("priority", v.whole(-MOST_PRIORITY), 0),
        }

    def _read_unit(self, index: int, taken: Dict[str, Any]) -> UnitSpec:
        arguments = tuple([self._share_text(text) for text in taken["arguments"]])
        head = self._recipe.program.head
        if not arguments and not head:
            raise Wrong("`argv` is missing: expected a list that begins with a program")
        env = {**self._env, **taken["env"]} if taken["env"] else self._env
        inputs, not_inputs = taken["inputs"] or self._refuse_stage_key("inputs")
        depends, not_depends = taken["depends"] or self._refuse_stage_key("depends")
        command = Command(
            self._front, arguments, env, self._stop_command(index, taken, inputs, depends)
        )
        parts = Parts(
            own=self._choose_id(taken, (*self._make_shown_head(), *arguments)),
            row=taken["parameters"],
            cwd=taken["cwd"],
            shown=command,
            real=command,
            inputs=inputs,
            depends=depends,
            paths=taken["paths"],
            outputs=taken["outputs"],
            streams=self._read_streams(taken["streams"], taken["piped"]),
            cpus=taken["cpus"],
            memory_bytes=taken["memory"],
            threads=taken["threads"],
            follows=tuple([f"{self._recipe.spec.name}/{own}" for own in taken["follows"]]),
            priority=taken["priority"],
            excluded=(not_inputs, not_depends) if not_inputs or not_depends else (),
            piped=taken["piped"] is not None,
        )
        try:
            return self._maker.make(index, parts)
        except Misplaced as misplaced:
            raise misplaced.wrong from None

    def _stop_command(
        self, index: int, taken: Mapping[str, Any], inputs: Files, depends: Files
    ) -> Tuple[str, ...]:
        templates: Sequence[Template] = taken["stop"]
        if not templates:
            return ()
        values = {"pid": PID, **self._around.values, "index": index}
        values["inputs"] = inputs.map_paths(self._around.make_absolute, None)
        values["depends"] = depends.map_paths(self._around.make_absolute, None)
        return tuple(text for one in templates for text in one.render_all(values))

    def _share_text(self, text: str) -> str:
        """Return the text, as the same object if it occurred before."""
        if len(self._texts) < _MOST_SHARED:
            return self._texts.setdefault(text, text)
        return self._texts.get(text, text)

    # --- names ---------------------------------------------------------------------------

    def _choose_id(self, taken: Mapping[str, Any], argv: Tuple[str, ...]) -> str:
        """Return the given id, or the parameters as in a run file, or a short form of the command.

        The last two have a number if they are taken.
        """
        if taken["id"] is not None:
            own = make_visible(taken["id"])
            if not self._namer.claim(own):
                both = f"two units have the id `{self._recipe.spec.name}/{own}`"
                problem = f"{both}: give each its own, or leave one out"
                raise Wrong(faults=[(("id",), problem)])
            return own
        label = taken["label"]
        if label is None and taken["parameters"]:
            values = taken["parameters"].items()
            label = ",".join(f"{name}={_format_parameter(value)}" for name, value in values)
        return self._namer.free(shorten_command(argv)) if label is None else self._namer.of(label)

    def _make_shown_head(self) -> Tuple[str, ...]:
        program = self._recipe.program
        return () if not program.head else ("python", *program.shown_head[1:])

    # --- files ---------------------------------------------------------------------------

    def _read_declared(self, value: Any) -> _Found:
        return self._find_files(read_declared(double_braces(value)))

    def _refuse_stage_key(self, key: str) -> _Found:
        wanted = self._recipe.inputs if key == "inputs" else self._recipe.depends
        return self._find_files(wanted) if wanted.items else _NO_FILES

    def _find_files(self, wanted: DeclaredFiles) -> _Found:
        files = make_input_files(wanted, {}, self._finder, empty_ok=self._recipe.empty_ok)
        if not wanted.left_out:
            return files, NOTHING
        return files, find_left_out(wanted, {}, self._finder, self._around.folder)

    def _read_outputs(self, value: Any) -> Tuple[OutputSpec, ...]:
        wanted = read_outputs(double_braces(value))
        return make_output_specs(wanted, make_output_files(wanted, {}), {}, self._around.folder)

    def _read_streams(
        self, given: Mapping[str, Optional[str]], piped: Optional[str]
    ) -> Dict[str, Optional[str]]:
        streams = {key: path and self._around.make_absolute(path) for key, path in given.items()}
        if piped is not None:
            streams["stdin"] = os.path.join(self._around.directory, PIPED, os.path.basename(piped))
        template = self._recipe.streams.get("stdin")
        if template is not None and not streams["stdin"]:
            streams["stdin"] = self._around.make_absolute(template.render({}))
        return streams


class Names:
    """Gives texts short unique names: a repeated name gets a number.

    With `spills` there may be any number of them; see `Counts`.
    """

    def __init__(self, *, spills: bool = False) -> None:
        self._numbers = Counts(spills=spills)  # name -> its last number

    def of(self, text: str) -> str:
        """Return a name for a text, such as an input."""
        return self.free(shorten(make_visible(text) or "''", text))

    def free(self, name: str) -> str:
        """Return the name, with a number appended if it is taken."""
        number = self._numbers.get(name) + 1
        own = name if number == 1 else f"{name} #{number}"
        while self.is_taken(own):
            number += 1
            own = f"{name} #{number}"
        self._numbers.set(name, number)
        return own

    def claim(self, name: str) -> bool:
        """Give this very name; false if it is taken."""
        if self.is_taken(name):
            return False
        self._numbers.set(name, 1)
        return True

    def is_taken(self, name: str) -> bool:
        """Whether the name was given, or is that of a repeated one with a number."""
        if self._numbers.get(name):
            return True
        numbered = _NUMBERED.fullmatch(name)
        return numbered is not None and self._numbers.get(numbered[1]) >= int(numbered[2])


def _format_parameter(value: Any) -> str:
    return "+".join(map(v.format_value, value if isinstance(value, tuple) else (value,)))


def _read_arguments(value: Any) -> Tuple[str, ...]:
    return tuple(convert_each(v.a_list(value, "arguments"), v.text))


def _read_late_arguments(value: Any) -> Tuple[str, ...]:
    return tuple([_LATE.check(Template(text)).render(MARKS) for text in _read_arguments(value)])


def _read_parameters(value: Any) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise make_wrong("a table of names and values", value)
    return dict(convert_entries(value, _read_parameter))


def _read_parameter(name: str, value: Any) -> Tuple[str, Any]:
    check_new_name(name, "parameter")
    return name, tuple(convert_each(value, v.scalar)) if isinstance(value, list) else v.scalar(
        value
    )


def shorten_command(argv: Tuple[str, ...]) -> str:
    """Return a command as short text; equal commands have equal texts.

    The program is shortened to its name; a digest distinguishes commands that were cut.
    """
    whole = " ".join([shlex.quote(make_visible(text)) for text in (_take_name(argv[0]), *argv[1:])])
    return shorten(whole, "\0".join(argv))


def shorten(shown: str, whole: str) -> str:
    """Return the text if it is short, else its beginning and a digest of the whole."""
    if len(shown) <= _SHORT_CHARACTERS:
        return shown
    digest = sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{shown[:_SHORT_CHARACTERS].rstrip()}~{digest}"


def _take_name(program: str) -> str:
    return os.path.basename(program.replace("\\", "/")) or program


def all_run_python(tables: Iterable[Any]) -> bool:
    """Whether all these units start a Python, by the names of their programs."""
    programs = {_read_program(table) for table in tables}
    return bool(programs) and all(
        runs_python((Template(double_braces(program)),)) for program in programs
    )


def _read_program(table: Any) -> str:
    argv = table.get("argv") if isinstance(table, dict) else None
    first = argv[0] if isinstance(argv, list) and argv else ""
    return first if isinstance(first, str) and "\0" not in first else ""

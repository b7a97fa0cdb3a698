"""Units that a program gives one by one: each is written out, nothing in it is a placeholder."""

import os
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
    Set,
    Tuple,
)

from procsup.core.late import PID
from procsup.core.slots import Capacity
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.core.text import visible
from procsup.runfile import values as v
from procsup.runfile.command import Command, CommandMaker, Misplaced
from procsup.runfile.declared import (
    input_files,
    output_files,
    output_specs,
    path_text,
    read_outputs,
    read_wanted,
)
from procsup.runfile.environment import fixed_env
from procsup.runfile.fingerprint import Identity, fingerprint
from procsup.runfile.grants import Grants
from procsup.runfile.keys import check_new_name
from procsup.runfile.problems import Faults, Wrong, did_you_mean, each, each_of, expected
from procsup.runfile.program import runs_python
from procsup.runfile.recipe import Recipe, Surroundings
from procsup.runfile.stopping import read_stop
from procsup.runfile.template import Files, Template, literal
from procsup.runfile.walk import Finder

UNIT_KEYS: FrozenSet[str] = frozenset(
    (
        *("argv", "args", "id", "env", "cwd", "inputs", "depends", "outputs"),
        *("stdin", "stdout", "stderr", "cpus", "memory", "stop_command", "parameters"),
        *("label", "paths"),  # what its id is made of; files among its parameters
    )
)
_STREAMS = ("stdin", "stdout", "stderr")
_MOST_SHARED = 4096
_SHORT_CHARACTERS, _HASH_DIGITS = 60, 8
_NO_FILES = Files(())
_NO_ENV: Dict[str, str] = {}
_NO_PARAMETERS: Dict[str, Any] = {}


class UnitMaker:
    """Makes the units of one stage from tables of `UNIT_KEYS`.

    What the stage says (`recipe`) holds for all of them; what a unit says wins.
    """

    def __init__(
        self, recipe: Recipe, around: Surroundings, capacity: Capacity, finder: Finder
    ) -> None:
        self._recipe = recipe
        self._stage = recipe.spec.name
        self._folder = around.folder
        self._values = around.values
        self._grants = Grants(recipe, capacity)
        self._finder = finder
        self._commands = CommandMaker(recipe)
        self._front = tuple(placed.template.render({}) for placed in recipe.program.prefix)
        self._env = {name: placed.template.render({}) for name, placed in recipe.env.items()}
        self._cwd = self._absolute(recipe.cwd.render({}))
        self._namer = Names()
        self._texts: Dict[str, str] = {}  # arguments that many units may have

    def make(self, index: int, table: Any) -> UnitSpec:
        """Return one unit; `Wrong` has everything that is wrong with it."""
        if not isinstance(table, dict):
            raise expected("a table of what the unit is", table)
        faults = Faults()
        for key in table:
            if key not in UNIT_KEYS:
                faults.add((key,), f"unknown key{did_you_mean(key, UNIT_KEYS)}")

        def take(key: str, convert: Callable[[Any], Any], default: Any) -> Any:
            if table.get(key) is None:
                return default
            with faults.below(key):
                return convert(table[key])
            return default

        taken = self._taken(take)
        faults.raise_if_any()
        return self._unit(index, taken)

    def _taken(self, take: Callable[[str, Callable[[Any], Any], Any], Any]) -> Dict[str, Any]:
        recipe = self._recipe
        grants = self._grants
        return {
            "arguments": take("argv", _arguments, None) or take("args", _arguments, ()),
            "id": take("id", v.filled, None),
            "env": take("env", fixed_env, _NO_ENV),
            "cwd": take("cwd", lambda value: self._absolute(path_text(value)), self._cwd),
            "inputs": take("inputs", self._wanted, None),
            "depends": take("depends", self._wanted, None),
            "outputs": take("outputs", self._outputs, ()),
            "streams": {key: take(key, path_text, None) for key in _STREAMS},
            "cpus": take("cpus", grants.cpus, None) or grants.cpus_of({}),
            "memory": take("memory", grants.memory_bytes, None) or grants.memory_of({}),
            "threads": take("cpus", lambda _: None, grants.threads),
            "stop": take("stop_command", read_stop, recipe.stop_templates()),
            "parameters": take("parameters", _parameters, _NO_PARAMETERS),
            "label": take("label", v.text, None),
            "paths": take("paths", v.texts, ()),
        }

    def _unit(self, index: int, taken: Dict[str, Any]) -> UnitSpec:
        arguments = tuple([self._shared(text) for text in taken["arguments"]])
        head = self._recipe.program.head
        if not arguments and not head:
            raise Wrong("`argv` is missing: expected a list that begins with a program")
        env = {**self._env, **taken["env"]} if taken["env"] else self._env
        command = Command(self._front, arguments, env)
        inputs = taken["inputs"] or self._of_stage("inputs")
        depends = taken["depends"] or self._of_stage("depends")
        streams = {key: path and self._absolute(path) for key, path in taken["streams"].items()}
        stdin = streams["stdin"] or self._stdin()
        try:
            argv = self._commands.started(command, taken["cwd"])
            stop = self._stop_command(index, taken, inputs, depends)
        except Misplaced as misplaced:
            raise misplaced.wrong from None
        return UnitSpec(
            id=self._id(taken, (*self._shown_head(), *arguments)),
            stage=self._stage,
            index=index,
            argv=argv,
            cwd=taken["cwd"],
            fingerprint=self._fingerprint(command, taken, inputs, depends, stdin),
            parameters=v.plain_row(taken["parameters"]),
            env=env,
            inputs=(*self._paths(inputs), *([stdin] if stdin else [])),
            depends=(*self._paths(depends), *map(self._absolute, taken["paths"])),
            outputs=taken["outputs"],
            input_names=self._names(inputs),
            stdin=stdin,
            stdout=streams["stdout"],
            stderr=streams["stderr"],
            cpus=taken["cpus"],
            memory_bytes=taken["memory"],
            threads=taken["threads"],
            stop_command=stop,
        )

    def _stop_command(
        self, index: int, taken: Mapping[str, Any], inputs: Files, depends: Files
    ) -> Tuple[str, ...]:
        templates: Sequence[Template] = taken["stop"]
        if not templates:
            return ()
        values = {"pid": PID, **self._values, "index": index}
        values["inputs"] = inputs.mapped(self._absolute, None)
        values["depends"] = depends.mapped(self._absolute, None)
        argv = tuple(text for one in templates for text in one.render_all(values))
        return self._commands.stop(argv, taken["cwd"])

    def _shared(self, text: str) -> str:
        """Return the same text, as the same object if it came before."""
        if len(self._texts) < _MOST_SHARED:
            return self._texts.setdefault(text, text)
        return self._texts.get(text, text)

    # --- names ---------------------------------------------------------------------------

    def _id(self, taken: Mapping[str, Any], argv: Tuple[str, ...]) -> str:
        """Return the id: the one given, or a short form of the command, numbered if need be."""
        if taken["id"] is not None:
            return f"{self._stage}/{visible(taken['id'])}"
        label = taken["label"]
        own = self._namer.free(short_form(argv)) if label is None else self._namer.of(label)
        return f"{self._stage}/{own}"

    def _shown_head(self) -> Tuple[str, ...]:
        program = self._recipe.program
        return () if not program.head else ("python", *program.shown_head[1:])

    def _absolute(self, path: str) -> str:
        return os.path.normpath(os.path.join(self._folder, path))

    def _relative(self, path: str) -> str:
        folder = self._folder.rstrip(os.sep) + os.sep
        inside = path[len(folder) :] if path.startswith(folder) else path
        return inside.replace(os.sep, "/")

    # --- files ---------------------------------------------------------------------------

    def _wanted(self, value: Any) -> Files:
        wanted = read_wanted(literal(value))
        return input_files(wanted, {}, self._finder, empty_ok=self._recipe.empty_ok)

    def _of_stage(self, key: str) -> Files:
        wanted = self._recipe.inputs if key == "inputs" else self._recipe.depends
        if not wanted.items:
            return _NO_FILES
        return input_files(wanted, {}, self._finder, empty_ok=self._recipe.empty_ok)

    def _outputs(self, value: Any) -> Tuple[OutputSpec, ...]:
        wanted = read_outputs(literal(value))
        return output_specs(wanted, output_files(wanted, {}), {}, self._folder)

    def _paths(self, files: Files) -> Tuple[str, ...]:
        return tuple([self._absolute(path) for path in files.paths])

    def _names(self, files: Files) -> Dict[str, Any]:
        if files.named is None:
            return _NO_PARAMETERS
        return dict(files.mapped(self._absolute, None).named or {})

    def _stdin(self) -> Optional[str]:
        template = self._recipe.streams.get("stdin")
        return None if template is None else self._absolute(template.render({}))

    # --- the rest ------------------------------------------------------------------------

    def _fingerprint(
        self,
        command: Command,
        taken: Mapping[str, Any],
        inputs: Files,
        depends: Files,
        stdin: Optional[str],
    ) -> str:
        cwd: str = taken["cwd"]
        identity = Identity(
            argv=command.argv(self._recipe.program.shown_head),
            parameters=taken["parameters"],
            env=command.env,
            cwd=self._relative(cwd) if cwd != self._folder else ".",
            inputs=inputs.paths,
            depends=depends.paths,
            stdin=None if stdin is None else self._relative(stdin),
        )
        return fingerprint(identity)


class Names:
    """Gives texts short names, each only once: a second one of the same is numbered."""

    def __init__(self) -> None:
        self._taken: Set[str] = set()

    def of(self, text: str) -> str:
        """Return a name for a text, such as an input."""
        return self.free(shortened(visible(text) or "''", text))

    def free(self, name: str) -> str:
        """Return the name, with a number behind it if it is taken."""
        own, number = name, 1
        while own in self._taken:
            number += 1
            own = f"{name} #{number}"
        self._taken.add(own)
        return own


def _arguments(value: Any) -> Tuple[str, ...]:
    return tuple(each(v.a_list(value, "arguments"), v.text))


def _parameters(value: Any) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise expected("a table of names and values", value)
    return dict(each_of(value, _parameter))


def _parameter(name: str, value: Any) -> Tuple[str, Any]:
    check_new_name(name, "parameter")
    return name, tuple(each(value, v.scalar)) if isinstance(value, list) else v.scalar(value)


def short_form(argv: Tuple[str, ...]) -> str:
    """Return a command in few characters, the same whenever the command is.

    Of the program only the name is left; what is cut off is told apart by a digest.
    """
    whole = " ".join([shlex.quote(visible(text)) for text in (_name_of(argv[0]), *argv[1:])])
    return shortened(whole, "\0".join(argv))


def shortened(shown: str, whole: str) -> str:
    """Return what is shown if it is short, else its beginning and a digest of the whole."""
    if len(shown) <= _SHORT_CHARACTERS:
        return shown
    digest = sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{shown[:_SHORT_CHARACTERS].rstrip()}~{digest}"


def _name_of(program: str) -> str:
    return os.path.basename(program.replace("\\", "/")) or program


def all_run_python(tables: Iterable[Any]) -> bool:
    """Tell whether all these units start a Python, by the names of their programs."""
    programs = {_program(table) for table in tables}
    return bool(programs) and all(
        runs_python((Template(literal(program)),)) for program in programs
    )


def _program(table: Any) -> str:
    argv = table.get("argv") if isinstance(table, dict) else None
    first = argv[0] if isinstance(argv, list) and argv else ""
    return first if isinstance(first, str) and "\0" not in first else ""

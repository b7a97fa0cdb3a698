"""The command line and environment of one unit, rendered from the templates of its stage."""

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from msgspec import Struct
from msgspec.structs import replace

from procsup.host.names import ArgumentLimits, get_argument_limits, is_bare_name
from procsup.host.shells import Shell
from procsup.paths.joining import join_path
from procsup.runfile.stages.recipe import PlacedTemplate, Recipe
from procsup.runfile.syntax.keypath import KeyPath
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.shell import ShellTemplate, render

_SURELY_FITS = 7_000  # characters, which are at most four bytes each
_POINTER_BYTES = 8


class Misplaced(Exception):
    """An error of a unit, with the place in the file to report it at."""

    def __init__(self, at: KeyPath, wrong: Wrong) -> None:
        super().__init__(str(wrong))
        self.at = at
        self.wrong = wrong


class Command(Struct, frozen=True):
    """The rendered parts of a command: before the fixed head, after it, and the environment."""

    front: Tuple[str, ...]
    back: Tuple[str, ...]
    env: Dict[str, str]
    stop: Tuple[str, ...] = ()  # `stop-command`

    def argv(self, head: Sequence[str]) -> Tuple[str, ...]:
        """Return the whole command line."""
        return (*self.front, *head, *self.back)


class CommandMaker:
    """Renders the commands of one stage; `limits` are those of the system."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._limits: ArgumentLimits = get_argument_limits()
        self._shell = recipe.program.shell
        own = () if self._shell is not None else recipe.program.command
        self._back = (*own, *recipe.program.args)
        self._takes_inputs = any(
            field.name == "inputs"
            for template in recipe.list_templates()
            for field in template.fields
        )
        self._fixed_env = self._make_constant_env()
        self._stop: Tuple[str, ...] = ()
        self._as_they_are: Set[str] = set()  # programs that are started as written

    def render(self, values: Mapping[str, Any]) -> Command:
        """Fill in the values of one unit; `Misplaced` if one does not fit."""
        front = _make_arguments(self._recipe.program.prefix, values)
        back = _make_arguments(self._back, values)
        if self._shell is not None:
            back.insert(0, self._make_line(self._shell, values))
        env = self._make_env(values) if self._fixed_env is None else self._fixed_env
        stop = tuple(_make_arguments(self._recipe.stop_command, values))
        return Command(tuple(front), tuple(back), env, stop)

    def _make_line(self, shell: Shell, values: Mapping[str, Any]) -> str:
        (placed,) = self._recipe.program.command
        assert isinstance(placed.template, ShellTemplate)
        try:
            return render(placed.template, values, shell)
        except Wrong as wrong:
            raise Misplaced(placed.at, wrong) from None

    def make_argv(self, command: Command, cwd: str) -> Tuple[str, ...]:
        """Return the argv for the start, with a program's relative path made valid in `cwd`."""
        if self._shell is not None:
            text, *args = command.back
            command = replace(command, back=self._shell.tail(text, args))
        argv = command.argv(self._recipe.program.head)
        program = argv[0]
        if program not in self._as_they_are:
            if not is_bare_name(program) and "\0" not in program and not os.path.isabs(program):
                argv = (join_path(cwd, program), *argv[1:])
            else:
                self._as_they_are.add(program)
        self._check_size("args", argv, command.env)
        return argv

    def stop(self, argv: Tuple[str, ...], cwd: str) -> Tuple[str, ...]:
        """Return the argv of a `stop-command` for its start; () if there is none.

        Most units have the same: they share it.
        """
        if not argv:
            return argv
        if not is_bare_name(argv[0]) and "\0" not in argv[0] and not os.path.isabs(argv[0]):
            argv = (join_path(cwd, argv[0]), *argv[1:])
        if argv != self._stop:
            self._check_size("stop-command", argv, {})
            self._stop = argv
        return self._stop

    def _make_constant_env(self) -> Optional[Dict[str, str]]:
        """Return the environment if all units share it: one for all of them."""
        texts = {name: placed.template.constant for name, placed in self._recipe.env.items()}
        fixed = {name: text for name, text in texts.items() if text is not None}
        return fixed if len(fixed) == len(texts) else None

    def _make_env(self, values: Mapping[str, Any]) -> Dict[str, str]:
        return {name: _make_one(placed, values) for name, placed in self._recipe.env.items()}

    def _check_size(self, key: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        length = sum(map(len, argv))
        if env:
            length += sum(map(len, env)) + sum(map(len, env.values()))
        if length < _SURELY_FITS and len(argv) < _SURELY_FITS // _POINTER_BYTES:
            return
        texts = [*argv, *(f"{name}={value}" for name, value in env.items())]
        problem = explain_too_long(texts, self._limits, takes_inputs=self._takes_inputs)
        if problem:
            raise Misplaced(self._recipe.place(key), Wrong(problem))


def explain_too_long(
    texts: Sequence[str], limits: ArgumentLimits, *, takes_inputs: bool = False
) -> str:
    """Return why a program cannot be started with these arguments and variables; "" if it can.

    `takes_inputs`: they hold the inputs of a unit, which may come in a list, too.
    """
    largest, total = max(map(_count_bytes, texts)), count_argument_bytes(texts)
    if largest <= limits.one and total <= limits.total:
        return ""
    size, limit = (largest, limits.one) if largest > limits.one else (total, limits.total)
    problem = f"the command line would take {size:,} bytes, this system allows {limit:,}"
    if takes_inputs:
        return f"{problem}: give the program a list of its inputs, {{inputs.file}}, one a line"
    return f"{problem}: hand long values over in a file"


def count_argument_bytes(texts: Sequence[str]) -> int:
    """Return the bytes that arguments take of the system's limit."""
    return sum(map(_count_bytes, texts)) + _POINTER_BYTES * len(texts)


def _count_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass")) + 1


def _make_arguments(placed: Sequence[PlacedTemplate], values: Mapping[str, Any]) -> List[str]:
    done: List[str] = []
    for one in placed:
        template = one.template
        if template.constant is not None:
            done.append(template.constant)
        elif template.alone is None:
            done.append(_make_one(one, values))
        else:
            done += _make_several(one, values)
    return done


def _make_several(placed: PlacedTemplate, values: Mapping[str, Any]) -> List[str]:
    try:
        return placed.template.render_all(values)
    except Wrong as wrong:
        raise Misplaced(placed.at, wrong) from None


def _make_one(placed: PlacedTemplate, values: Mapping[str, Any]) -> str:
    try:
        return placed.template.render(values)
    except Wrong as wrong:
        raise Misplaced(placed.at, wrong) from None

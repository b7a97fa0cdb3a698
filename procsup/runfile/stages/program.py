"""Reads the program of a stage: `module`, `script` or `command`, with `python` and `args`."""

import json
import os
import re
from typing import Any, Callable, Mapping, Optional, Tuple

from msgspec import Struct

from procsup.core.regexes import compile_at_use
from procsup.host import pythons
from procsup.host.default_python import choose_python
from procsup.host.names import find_python_command, is_bare_name
from procsup.runfile.stages.declared import read_path_text
from procsup.runfile.syntax.problems import Wrong, convert_each, make_wrong, show
from procsup.runfile.syntax.reading import WrittenFloat
from procsup.runfile.syntax.values import a_list, format_value, read_text, scalar
from procsup.runfile.templates.scope import Scope
from procsup.runfile.templates.template import Template

_MODULE = compile_at_use(r"[^\W\d][\w-]*(?:\.[^\W\d][\w-]*)*")
_VERSION = compile_at_use(r"\d{1,4}(?:\.\d{1,4})?")
_PYTHON_NAME = compile_at_use(r"(?:python|pypy)w?\d*(?:\.\d+)?t?(?:\.exe)?", re.IGNORECASE)


class Interpreter(Struct, frozen=True):
    """The argv that starts a Python, and how the run file names it ("" for the default)."""

    argv: Tuple[str, ...]
    shown: str


def read_interpreter(
    value: Any, absolute: Callable[[str], str], *, search: bool = False
) -> Interpreter:
    """Accept a version, a path or a name; relative paths start at the run file's folder.

    With `search` a version is also searched for where tools such as pyenv install it.
    """
    if value is None:
        return Interpreter(choose_python().argv, "")
    number = isinstance(value, (int, WrittenFloat)) and not isinstance(value, bool)
    if not number and not isinstance(value, str):
        raise make_wrong('a version ("3.12"), a path or a name of a Python', value)
    name = format_value(value) if number else read_path_text(value)
    if _VERSION.fullmatch(name):
        argv = pythons.search(name, os.environ).argv if search else find_python_command(name)
        return Interpreter(argv, name)
    return Interpreter((name if is_bare_name(name) else absolute(name),), name)


def read_module_name(value: Any) -> str:
    """Accept the dotted name of a module."""
    name = read_text(value)
    if name.endswith(".py") or "/" in name or "\\" in name:
        raise Wrong(f"{show(name)} is a file, expected a module's dotted name (or use `script`)")
    if not _MODULE.fullmatch(name):
        raise make_wrong("a module's dotted name such as `package.module`", name)
    return name


def read_script_path(value: Any) -> str:
    """Accept the path of a Python file."""
    path = read_path_text(value)
    if path.endswith("/"):
        raise make_wrong("the path of a Python file", path)
    return path


def make_arguments_reader(scope: Scope) -> Callable[[Any], Tuple[Template, ...]]:
    """Make a converter for a list of arguments; numbers and truth values are accepted, too."""

    def convert(value: Any) -> Tuple[Template, ...]:
        if isinstance(value, str):
            raise Wrong(f"expected a list of arguments: write {_split(value)}")
        return tuple(convert_each(a_list(value, "arguments"), one))

    def one(value: Any) -> Template:
        return scope.check(Template(_read_argument(value)), several=True)

    return convert


def make_command_reader(scope: Scope) -> Callable[[Any], Tuple[Template, ...]]:
    """Make a converter for the argv of a command."""

    def convert(value: Any) -> Tuple[Template, ...]:
        argv = make_arguments_reader(scope)(value)
        if not argv or not argv[0].source.strip():
            raise Wrong("expected a list that begins with a program")
        return argv

    return convert


def _read_argument(value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise make_wrong("text or a number", value)
    return format_value(scalar(value))


def _split(line: str) -> str:
    import shlex  # for this message only

    try:
        words = shlex.split(line)
    except ValueError:
        words = [line]
    return json.dumps(words, ensure_ascii=False)


def runs_python(argv: Tuple[Template, ...]) -> bool:
    """Whether a command's program is a Python, by its name."""
    program: Optional[str] = argv[0].constant if argv else None
    return program is not None and bool(_PYTHON_NAME.fullmatch(os.path.basename(program)))


def choose_program(
    own: Mapping[str, Any], inherited: Mapping[str, Any], keys: Tuple[str, ...]
) -> str:
    """Return the program key that applies; a stage's own replaces those of `defaults`.

    `Wrong` if there is none, or more than one.
    """
    for table in (own, inherited):
        present = [key for key in keys if key in table]
        if len(present) > 1:
            names = " and ".join(f"`{key}`" for key in present)
            raise Wrong(f"{names} are given, expected only one of them")
        if present:
            return present[0]
    raise Wrong(
        "expected one of `module`, `script`, `command` and `shell`: they name what is started"
    )

"""The system's names of Python interpreters, and its limits for command lines."""

import os
import sys
from typing import NamedTuple, Tuple


class ArgumentLimits(NamedTuple):
    """Limits of an argv, in bytes (Windows: UTF-16 units), terminators included."""

    one: int
    total: int


def find_python_command(version: str) -> Tuple[str, ...]:
    """Return the argv that starts Python of a version such as ``3.12``."""
    if sys.platform == "win32":
        return ("py", f"-{version}")
    return (f"python{version}",)


def get_running_python() -> str:
    """Return the path of the interpreter that runs procsup."""
    return sys.executable or find_python_command(f"{sys.version_info[0]}.{sys.version_info[1]}")[0]


def get_argument_limits() -> ArgumentLimits:
    """Return the system's limits for argv and declared environment together, rounded down.

    Linux: MAX_ARG_STRLEN is 128 KiB, the total a quarter of the stack limit, 2 MiB by default;
    macOS: ARG_MAX is 1 MiB; Windows: 32,767 characters in all. Some room is left for what the
    environment inherits.
    """
    if sys.platform == "win32":
        return ArgumentLimits(32_000, 32_000)
    if sys.platform == "darwin":
        return ArgumentLimits(900_000, 900_000)
    return ArgumentLimits(128 * 1024 - 1, 1_900_000)


def is_bare_name(program: str) -> bool:
    """Whether the system searches PATH for a program of this name."""
    return not os.path.dirname(program)


def make_path_key(path: str) -> str:
    """Return a form of the path that is equal for all spellings of it on this system."""
    return os.path.normcase(path)

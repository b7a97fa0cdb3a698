"""The system's names of Python interpreters, and its limits for command lines."""

import os
import sys
from typing import Optional, Tuple

from msgspec import Struct

_follows_environment = False


class ArgumentLimits(Struct, frozen=True):
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


def follow_environment() -> None:
    """Note that this process is a command line of the user.

    So the Python of units is chosen by the environment (host/default_python.py). In a program
    that uses the library it is the program's own.
    """
    global _follows_environment
    _follows_environment = True


def does_follow_environment() -> bool:
    """Whether `follow_environment` was called."""
    return _follows_environment


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


def find_script(word: str) -> Optional[str]:
    """Return the word if it is a Python file that the system does not start by itself.

    Without a folder in front it would search PATH for it; and only POSIX starts a file that is
    executable and names its interpreter after ``#!``.
    """
    if not word.endswith(".py") or not os.path.isfile(word):
        return None
    if sys.platform != "win32" and not is_bare_name(word) and os.access(word, os.X_OK):
        with open(word, "rb") as file:
            return None if file.read(2) == b"#!" else word
    return word


def find_program(name: str, path: Optional[str] = None) -> Optional[str]:
    """Return the path of a program; None if PATH, or the `path` given, does not have it."""
    from shutil import which

    return which(name, path=path)


def is_bare_name(program: str) -> bool:
    """Whether the system searches PATH for a program of this name."""
    return not os.path.dirname(program)


def make_path_key(path: str) -> str:
    """Return a form of the path that is equal for all spellings of it on this system."""
    return os.path.normcase(path)

"""Chooses the Python that runs `.py` files and modules of units for which none is named."""

import os
import sys
from typing import Iterator, List, Mapping, NamedTuple, Tuple

from msgspec import Struct

from procsup.host import names
from procsup.host.names import find_program, find_python_command, get_running_python
from procsup.host.owners import is_root
from procsup.host.pythons import explain_doubt

_IS_WINDOWS = sys.platform == "win32"
# What these tools write into the environment that is a program's own: users do not install into it.
_PRIVATE = (("pipx", "pipx_metadata.json"), ("uv", "uv-receipt.toml"))
_ALWAYS_ACTIVE = ("base", "root")  # conda's, which many shells activate at their start


class Choice(NamedTuple):
    """The argv of a Python; `why` says why it is not procsup's own, or what was left out."""

    argv: Tuple[str, ...]
    why: str = ""


class _Place(Struct, frozen=True):
    folder: str  # of the environment
    what: str

    @property
    def programs(self) -> str:
        """The folder of its programs, as in PATH."""
        if not _IS_WINDOWS:
            return os.path.join(self.folder, "bin")
        return (
            self.folder if self.what.startswith("conda") else os.path.join(self.folder, "Scripts")
        )

    @property
    def python(self) -> str:
        """Its Python."""
        return os.path.join(self.programs, "python.exe" if _IS_WINDOWS else "python")


def choose_python() -> Choice:
    """Return the Python for this process; see `choose`."""
    if not names.does_follow_environment():
        return Choice((get_running_python(),))
    return choose(os.environ, sys.prefix)


def choose(environment: Mapping[str, str], prefix: str) -> Choice:
    """Return the active environment's Python; else procsup's own, whose environment is `prefix`.

    That of a tool such as pipx, which has nothing but procsup, gives way to the one on PATH. For
    root no Python is taken that another user could replace: after `sudo` the environment may be
    that user's.
    """
    left_out: List[str] = []
    for place in _list_active(environment):
        if _is_same(place.folder, prefix):
            return Choice((get_running_python(),), "; ".join(left_out))
        problem = _explain_unfit(place.python)
        if not problem:
            return Choice((place.python,), "; ".join([*left_out, f"from the {place.what}"]))
        left_out.append(f"not from the {place.what}: {problem}")
    tool = _find_tool(prefix)
    found = _find_on_path(environment) if tool else ()
    if tool:
        where = "from PATH" if found else "PATH has no other"
        left_out.append(f"{where}: procsup's own is {tool}'s")
    return Choice(found or (get_running_python(),), "; ".join(left_out))


def _list_active(environment: Mapping[str, str]) -> Iterator[_Place]:
    """Yield the active environments: the one whose programs PATH has first comes first."""
    places = []
    if environment.get("VIRTUAL_ENV"):
        places.append(_Place(environment["VIRTUAL_ENV"], "virtual environment that is active"))
    if (
        environment.get("CONDA_PREFIX")
        and environment.get("CONDA_DEFAULT_ENV") not in _ALWAYS_ACTIVE
    ):
        places.append(_Place(environment["CONDA_PREFIX"], "conda environment that is active"))
    path = [os.path.normcase(one) for one in environment.get("PATH", "").split(os.pathsep)]
    order = {name: at for at, name in reversed(list(enumerate(path)))}
    yield from sorted(places, key=lambda one: order.get(os.path.normcase(one.programs), len(path)))


def _explain_unfit(program: str) -> str:
    """Return why a Python is not taken; empty if it is."""
    if not os.path.isabs(program) or not os.access(program, os.X_OK):
        return f"there is no {program}"
    return explain_doubt(program) if is_root() else ""


def _find_tool(prefix: str) -> str:
    """Return the tool to which an environment is private; empty if it is not."""
    for tool, receipt in _PRIVATE:
        if os.path.exists(os.path.join(prefix, receipt)):
            return tool
    return ""


def _find_on_path(environment: Mapping[str, str]) -> Tuple[str, ...]:
    name, *options = find_python_command("3")
    found = find_program(name, environment.get("PATH"))
    return () if found is None else (found, *options)


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one does not exist
        return False

"""Finds a Python of a version: in PATH, pyenv, uv, conda; on Windows also by the launcher `py`."""

import glob
import os
import sys
from typing import Iterator, List, Mapping, Optional, Tuple

from msgspec import Struct

from procsup.core.regexes import compile_at_use
from procsup.host.names import find_python_command
from procsup.host.owners import explain_others_may, find_doubts
from procsup.paths.opening import open_regular

_IS_WINDOWS = sys.platform == "win32"
_SHIMS = "shims"  # scripts of pyenv, which refuse to run a version that pyenv has not selected
_NUMBERS = compile_at_use(r"\d+")


class Search(Struct, frozen=True):
    """The argv that starts a Python of a version, and every place that was searched."""

    argv: Tuple[str, ...]
    tried: Tuple[str, ...] = ()

    @property
    def explained(self) -> str:
        """Return the places that were searched, in words."""
        return "looked on " + ", ".join(self.tried) if self.tried else ""


def search(version: str, environment: Mapping[str, str]) -> Search:
    """Look for a Python of a version such as ``3.12`` or ``3``.

    If PATH has one, its bare name is returned: each unit looks it up in its own PATH. Elsewhere
    the newest one is taken, but none that other users could replace: HOME may be that of another
    user (`sudo`).
    """
    import shutil  # few runs need it, and it takes half a megabyte

    argv = find_python_command(version)
    found = shutil.which(argv[0], path=environment.get("PATH"))
    if found is not None and not _is_shim(found):
        return Search(argv)
    tried = ["PATH" if found is None else f"PATH ({found} is a shim of pyenv)"]
    for name, place, programs in _list_places(version, environment):
        doubts = {one: explain_doubt(one) for one in programs if os.access(one, os.X_OK)}
        good = [program for program, doubt in doubts.items() if not doubt]
        if good:
            return Search((max(good, key=_rank_version),), tuple(tried))
        left_out = next((f", where {doubt}: left out" for doubt in doubts.values()), "")
        tried.append(f"{name} ({place}{left_out})")
    return Search(argv, tuple(tried))


def explain_doubt(program: str) -> str:
    """Return why other users could put another program in the place of this one; else empty."""
    for doubt in find_doubts(os.path.abspath(program), is_trusted=lambda _folder: False):
        return f"{doubt.folder} {doubt.why}"
    why = explain_others_may(os.stat(program), program)
    return f"{program} {why}" if why else ""


def _is_shim(program: str) -> bool:
    return os.path.basename(os.path.dirname(program)) == _SHIMS


def _rank_version(program: str) -> List[int]:
    return [int(number) for number in _NUMBERS.findall(program)]


def _list_places(
    version: str, environment: Mapping[str, str]
) -> Iterator[Tuple[str, str, List[str]]]:
    """Yield each tool's name, the place of its Pythons, and its Pythons of this version."""
    home = environment.get("USERPROFILE" if _IS_WINDOWS else "HOME") or os.path.expanduser("~")
    program = "python.exe" if _IS_WINDOWS else os.path.join("bin", f"python{version}")
    own = os.path.join(home, ".pyenv", "pyenv-win") if _IS_WINDOWS else os.path.join(home, ".pyenv")
    versions = os.path.join(environment.get("PYENV_ROOT") or own, "versions")
    yield "pyenv", versions, _find_version(versions, f"{version}.*", program)
    pythons = environment.get("UV_PYTHON_INSTALL_DIR") or _find_uv_home(home, environment)
    yield "uv", pythons, _find_version(pythons, f"cpython-{version}.*", program)
    listed = os.path.join(home, ".conda", "environments.txt")
    folders = [environment.get("CONDA_PREFIX"), *_read_lines(listed)]
    named = f"python-{version}.*.json"  # conda's record of the package
    good = [one for one in folders if one and glob.glob(os.path.join(one, "conda-meta", named))]
    yield "conda", f"the environments of {listed}", [os.path.join(one, program) for one in good]


def _find_version(folder: str, pattern: str, program: str) -> List[str]:
    return glob.glob(os.path.join(glob.escape(folder), pattern, program))


def _find_uv_home(home: str, environment: Mapping[str, str]) -> str:
    if _IS_WINDOWS:
        return os.path.join(environment.get("APPDATA") or home, "uv", "python")
    data = environment.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    return os.path.join(data, "uv", "python")


def _read_lines(path: str) -> List[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", opener=open_regular) as file:
            return [line.strip() for line in file if line.strip()]
    except OSError:
        return []


def find_version(command: Tuple[str, ...]) -> Optional[str]:
    """Return the version for which `find_python_command` returns this command, None without."""
    for words in (command[:1], command[:2]):
        found = _NUMBERS.findall(" ".join(words))
        if found and find_python_command(".".join(found)) == words:
            return ".".join(found)
    return None

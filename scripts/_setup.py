"""A virtual environment beside the repository, made once: what the scripts here start from.

`environment` returns the interpreter of a ready one. It is made anew whenever what it was made
from has changed (pyproject.toml, the Python, the place), recognised by a stamp that is written
last: an interrupted installation is never taken for a finished one. A second call needs no
network and takes milliseconds. Needs nothing but a CPython from 3.8 on.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 8)
OLDEST_PIP = (22, 1)  # the first that passes on settings of a build
STAMP = "procsup-stamp.json"


class SetupFailed(Exception):
    """The environment could not be made; the message says what to do."""


def environment(purpose: str, extras: Sequence[str] = ()) -> Path:
    """Return the Python of the environment `.venv-PURPOSE-X.Y`, ready to run procsup.

    `extras` are those of pyproject.toml. SetupFailed says what is missing on this machine.
    """
    check_python()
    folder = folder_of(purpose)
    python = python_in(folder)
    stamp = _stamp(extras)
    if python.exists() and _read(folder / STAMP) == stamp:
        return python
    say(f"making {folder.name} (this once)")
    _make(folder)
    _install(python, extras)
    (folder / STAMP).write_text(stamp, encoding="utf-8")
    return python


def empty_environment(purpose: str) -> Path:
    """Return the Python of an environment without the project; made if it is not there."""
    check_python()
    python = python_in(folder_of(purpose))
    if not python.exists():
        _make(folder_of(purpose))
    return python


def folder_of(purpose: str) -> Path:
    """Return where the environment for a purpose is, whether it is there or not."""
    return ROOT / ".venv-{}-{}.{}".format(purpose, *sys.version_info[:2])


def add_package(python: Path, package: str) -> None:
    """Install a package into an environment, if it is not there; SetupFailed if that fails."""
    _pip_install(_pip(python), [package])


def check_python() -> None:
    """Refuse a Python that procsup does not run on."""
    if sys.version_info < OLDEST:
        version = sys.version.split()[0]
        raise SetupFailed(
            f"procsup needs Python 3.8 or newer; this is {version} ({sys.executable})"
        )


def python_in(folder: Path) -> Path:
    """Return where an environment's interpreter stands."""
    if os.name == "nt":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"


def clean_environ(**extra: str) -> Dict[str, str]:
    """Return our environment without what would lead another Python astray, or make it slow."""
    astray = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV")
    # Without bytecode each start of procsup compiles all of it: 0.8 s for 0.2 s.
    slow = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if name not in (*astray, *slow)}
    kept.update(extra)
    return kept


def here_environ() -> Dict[str, str]:
    """Return an environment in which this very interpreter finds the project (``--no-venv``)."""
    own = os.environ.get("PYTHONPATH")
    return dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), *([own] if own else [])]))


def say(text: str) -> None:
    """Say on stderr what is going on, at once."""
    print(f"[{Path(sys.argv[0]).name}] {text}", file=sys.stderr, flush=True)


def run(argv: Sequence[str], env: Optional[Dict[str, str]] = None) -> int:
    """Run a command in the repository's folder; return its exit code (128 + N for a signal).

    Ctrl-C is the command's own affair: it gets it from the terminal, and we wait for its answer.
    """
    # A handler, not SIG_IGN, which the command would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.call([str(word) for word in argv], cwd=str(ROOT), env=env)
    finally:
        signal.signal(signal.SIGINT, before)
    return 128 - code if code < 0 else code


def _stamp(extras: Sequence[str]) -> str:
    """Return the description of what an environment is made from."""
    made_from = {
        "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
        "extras": sorted(extras),
        "python": sys.version,
        "prefix": sys.base_prefix,
        "platform": sysconfig.get_platform(),
        "root": str(ROOT),
    }
    return json.dumps(made_from, sort_keys=True)


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None  # no stamp, or none that can be trusted: made anew


def _make(folder: Path) -> None:
    """Make an empty environment in place of whatever is there."""
    shutil.rmtree(str(folder), ignore_errors=True)
    argv = [sys.executable, "-m", "venv", str(folder)]
    if not _has("ensurepip"):
        if not _has("pip"):
            raise SetupFailed(_without_pip())
        argv.append("--without-pip")  # the one we have can install into it
    done = subprocess.run(
        argv, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0 or not python_in(folder).exists():
        text = done.stdout.decode("utf-8", "replace").strip()
        raise SetupFailed(f"{' '.join(argv)} failed ({done.returncode}):\n{text}")


def _has(module: str) -> bool:
    code = f"import {module}"
    argv = [sys.executable, "-c", code]
    return subprocess.call(argv, env=clean_environ(), stderr=subprocess.DEVNULL) == 0


def _without_pip() -> str:
    version = "{}.{}".format(*sys.version_info[:2])
    return (
        f"{sys.executable} comes without ensurepip and without pip, so nothing can be installed.\n"
        f"  Debian, Ubuntu: apt install python{version}-venv (or python3-venv)\n"
        "  elsewhere:      another Python, for example from python.org, uv or pyenv\n"
        "If this Python has procsup's dependencies already: the same command with --no-venv."
    )


def _install(python: Path, extras: Sequence[str]) -> None:
    """Install the project in place, with what it needs."""
    pip = _pip(python)
    if _pip_version(pip) < OLDEST_PIP:
        _pip_install(pip, ["--upgrade", "pip"])
    what = "{}[{}]".format(ROOT, ",".join(extras)) if extras else str(ROOT)
    # The default is a finder that every Python of the environment imports: 18 ms at each start.
    _pip_install(pip, ["--config-settings", "editable_mode=compat", "--editable", what])


def _pip(python: Path) -> List[str]:
    own = [str(python), "-m", "pip"]
    if subprocess.call([*own, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        return [sys.executable, "-m", "pip", "--python", str(python)]
    return own


def _pip_version(pip: Sequence[str]) -> Tuple[int, ...]:
    done = subprocess.run([*pip, "--version"], stdout=subprocess.PIPE, check=False)
    words = done.stdout.decode("ascii", "replace").split()  # "pip 23.0.1 from ..."
    digits = words[1].split(".")[:2] if len(words) > 1 else []
    return tuple(int(digit) for digit in digits if digit.isdigit())


def _pip_install(pip: Sequence[str], arguments: Sequence[str]) -> None:
    settings = ["--quiet", "--disable-pip-version-check", "--no-input"]
    argv = [*pip, "install", *settings, *arguments]
    code = subprocess.call(argv, env=clean_environ(), cwd=str(ROOT))
    if code != 0:
        raise SetupFailed(
            f"pip could not install {arguments[-1]} (its words are above; exit {code}).\n"
            "  No network, or a mirror? pip reads PIP_INDEX_URL, PIP_FIND_LINKS (a folder of\n"
            "  wheels, with PIP_NO_INDEX=1) and PIP_PROXY. Once it has worked, it is not needed."
        )


def guarded(main: Callable[[], int]) -> int:
    """Run a script's main; what is missing on this machine becomes one message and exit 2."""
    try:
        return main()
    except SetupFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130

"""Build what is released, and try it: ``python scripts/release.py [VERSION]``.

    python scripts/release.py              # this version: dist/ is made anew, and tried
    python scripts/release.py 0.3.0        # first writes the version and dates the changelog

The source distribution is built from the files that git knows, the wheel from it. Both are
installed into empty environments of the oldest and the newest CPython that are here (--python
names others, such as 3.8), the wheel with pipx and with uv, too. Each installation is tried as a
newcomer would. Nothing is committed, tagged or uploaded: the last lines say how. Exit code: 0 if
all of it worked, 1 if not.
"""

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import _setup
from shards.interpreters import as_numbers, interpreters

DIST = _setup.ROOT / "dist"
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
UNRELEASED = "## [Unreleased]\n"
LIMIT_S = 600.0
LIBRARY = (
    "import procsup, sys; "
    "done = procsup.run_units([[sys.executable, '-c', 'print(7)']], progress='none'); "
    "assert done.ok and done.units[0].stdout() == '7\\n'"
)


class NotReleased(_setup.SetupFailed):
    """The release cannot be made; the message says why."""


class Trial(NamedTuple):
    """A way to install, and how it went."""

    name: str
    problem: str  # empty: it worked


def main() -> int:
    """Build and try; 1 if anything failed."""
    options = _parse()
    _setup.check_python()
    if options.version:
        write_version(_setup.ROOT, options.version, datetime.date.today())
    version = read_version(_setup.ROOT)
    pythons = choose_pythons(interpreters(), options.python)
    tools = _setup.empty_environment("release")
    for package in ("build", "twine", "pipx", "uv"):
        _setup.add_package(tools, package)
    with tempfile.TemporaryDirectory(prefix="procsup-release-") as folder:
        wheel, archive = build(tools, Path(folder))
        trials = [
            *(
                _try(f"{file.name}, Python {name}", _install_with_pip, file, python, version)
                for name, python in pythons.items()
                for file in (wheel, archive)
            ),
            _try(f"pipx install {wheel.name}", _install_with_pipx, wheel, str(tools), version),
            _try(f"uv tool install {wheel.name}", _install_with_uv, wheel, str(tools), version),
        ]
    for trial in trials:
        print(f"{trial.name}: {trial.problem or 'works'}")
    if any(trial.problem for trial in trials):
        return 1
    print(_describe_rest(version))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("version", nargs="?", metavar="VERSION", help="such as 0.3.0")
    parser.add_argument(
        "--python",
        action="append",
        metavar="X.Y",
        help="a CPython to try it with; may be given several times (default: oldest and newest)",
    )
    return parser.parse_args()


# --- the version ---------------------------------------------------------------------------------


def read_version(root: Path) -> str:
    """Return the version that the package has."""
    found = VERSION.search((root / "procsup" / "__init__.py").read_text(encoding="utf-8"))
    assert found is not None
    return found.group(1)


def write_version(root: Path, version: str, today: datetime.date) -> None:
    """Write a new version into the package, and a dated section of it into the changelog.

    NotReleased if it is none, or not a later one, or if the changelog has nothing for it.
    """
    before = read_version(root)
    if re.fullmatch(r"\d+\.\d+\.\d+", version) is None:
        raise NotReleased(f"{version!r} is no version: three numbers are expected, as in 0.3.0")
    if as_numbers(version) <= as_numbers(before):
        raise NotReleased(f"{version} is not later than {before}, which the package has")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    start, found, rest = text.partition(UNRELEASED)
    news, *_ = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)
    if not found or not news.strip():
        raise NotReleased(f"{changelog.name} has nothing under {UNRELEASED.strip()}")
    heading = f"{UNRELEASED}\n## [{version}] - {today.isoformat()}\n"
    changelog.write_text(start + heading + rest, encoding="utf-8")
    package = root / "procsup" / "__init__.py"
    code = package.read_text(encoding="utf-8")
    package.write_text(VERSION.sub(f'__version__ = "{version}"', code), encoding="utf-8")


def choose_pythons(found: Dict[str, str], wanted: Sequence[str]) -> Dict[str, str]:
    """Return the interpreters to try it with; NotReleased if one that is wanted is not here."""
    able = sorted((name for name in found if as_numbers(name) >= _setup.OLDEST), key=as_numbers)
    chosen = list(wanted or dict.fromkeys((able[0], able[-1])))
    missing = [name for name in chosen if name not in able]
    if missing:
        raise NotReleased(f"no CPython {', '.join(missing)} here; there are {', '.join(able)}")
    return {name: found[name] for name in chosen}


# --- built ---------------------------------------------------------------------------------------


def build(tools: Path, folder: Path) -> Tuple[Path, Path]:
    """Build the wheel and the source distribution into dist/; return them in this order."""
    source = folder / "source"
    listed = _call(["git", "ls-files", "-z"], _setup.ROOT)
    for name in filter(None, listed.split("\0")):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(str(_setup.ROOT / name), str(target))
    shutil.rmtree(str(DIST), ignore_errors=True)
    _setup.say(f"building {DIST}")
    _call([str(tools), "-m", "build", "--outdir", str(DIST), str(source)], folder)
    (wheel,), (archive,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    _call([str(tools), "-m", "twine", "check", "--strict", str(wheel), str(archive)], folder)
    return wheel, archive


# --- tried ---------------------------------------------------------------------------------------


def _try(
    name: str, install: Callable[[Path, str, Path], Path], file: Path, python: str, version: str
) -> Trial:
    """Install into an empty folder, and use it there; `install` returns where procsup is."""
    _setup.say(f"trying {name}")
    with tempfile.TemporaryDirectory(prefix="procsup-trial-") as folder:
        try:
            program = install(file, python, Path(folder))
            use(program, version, Path(folder))
        except NotReleased as error:
            return Trial(name, str(error))
    return Trial(name, "")


def use(program: Path, version: str, folder: Path) -> None:
    """Do what a newcomer does first, with an example; NotReleased if any of it fails."""
    here = folder / "project"
    here.mkdir()
    said = _call([str(program), "--version"], here)
    if said.split() != ["procsup", version]:
        raise NotReleased(f"--version says {said!r}")
    for words in ("init", "run", "wait files", "verify files", "run", "help tutorial"):
        _call([str(program), *words.split()], here)
    if not (here / "table.csv").exists():
        raise NotReleased("the example has made no table.csv")


def _install_with_pip(file: Path, python: str, folder: Path) -> Path:
    _call([python, "-m", "venv", str(folder / "v")], folder)
    own = _setup.python_in(folder / "v")
    _call([str(own), "-m", "pip", "install", "--disable-pip-version-check", str(file)], folder)
    _call([str(own), "-c", LIBRARY], folder)
    return own.with_name("procsup.exe" if os.name == "nt" else "procsup")


def _install_with_pipx(file: Path, python: str, folder: Path) -> Path:
    places = {"PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin")}
    _call([python, "-m", "pipx", "install", str(file)], folder, **places)
    return _find_program(folder / "bin")


def _install_with_uv(file: Path, python: str, folder: Path) -> Path:
    places = {"UV_TOOL_DIR": str(folder / "uv"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    _call([python, "-m", "uv", "tool", "install", "--python", python, str(file)], folder, **places)
    return _find_program(folder / "bin")


def _find_program(folder: Path) -> Path:
    (found,) = folder.glob("procsup*")
    return found


def _call(argv: List[str], folder: Path, **places: str) -> str:
    """Carry out a command; return its stdout. NotReleased with its last words if it fails."""
    try:
        done = subprocess.run(
            argv, cwd=str(folder), env=_setup.clean_environ(**places), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NotReleased(f"{' '.join(argv)}: no end within {LIMIT_S:.0f} s") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        last = "\n".join(said.splitlines()[-15:])
        raise NotReleased(f"{' '.join(argv)} ended with {done.returncode}:\n{last}")
    return done.stdout.decode("utf-8", "replace")


def _describe_rest(version: str) -> str:
    return (
        f"\ndist/ has procsup {version}. To release it:\n"
        f"  git commit -am 'Version {version}'\n"
        f"  git tag v{version} && git push origin main v{version}\n"
        f"  python -m twine upload dist/*"
    )


if __name__ == "__main__":
    sys.exit(_setup.guarded(main))

"""Other users: files that belong to them, and what we may do in their place. Root only."""

import ast
import codecs
import contextlib
import importlib
import os
import pickle
import pkgutil
import shutil
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

import procsup
from tests.support.modules import list_modules

EVE, BOB = 60001, 60002  # numbers of users who have no account here
LIMIT_S = 60.0

root_only = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="to be another user takes root, on Linux"
)


def give(path: Path, uid: int) -> Path:
    """Make a file or folder, with all that is in it, another user's."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.lchown(os.path.join(folder, name), uid, uid)
    os.lchown(path, uid, uid)
    return path


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A new folder that all users may enter."""
    folder = Path(tempfile.mkdtemp()).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_user(uid: int, act: Callable[[], Any]) -> Any:
    """Return what `act` returns to another user, in a process of its own; errors are raised here.

    All of procsup is loaded before: the user may not be able to read where it stands.
    """
    _load_everything()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be(uid, act, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    assert answer, "it ended without an answer"
    is_error, value = pickle.loads(answer)
    if is_error:
        raise value
    return value


@contextlib.contextmanager
def acting(uid: int, act: Callable[[], Any]) -> Iterator[int]:
    """Let another user act in a process of its own meanwhile; wait for its end afterwards."""
    _load_everything()
    child = os.fork()
    if child == 0:
        _be(uid, act, os.open(os.devnull, os.O_WRONLY))
    try:
        yield child
    finally:
        os.waitpid(child, 0)


def _be(uid: int, act: Callable[[], Any], answer: int) -> None:
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.environ["HOME"] = "/nonexistent"
        os.environ.pop("XDG_CONFIG_HOME", None)
        text = pickle.dumps((False, act()))
    except BaseException as error:  # noqa: BLE001 - it is raised on the other side
        text = _dumped(error)
    os.write(answer, text)
    os._exit(0)


def _dumped(error: BaseException) -> bytes:
    try:
        text = pickle.dumps((True, error))
        pickle.loads(text)
    except Exception:  # noqa: BLE001 - not every error can be sent
        return pickle.dumps((True, AssertionError(f"{type(error).__name__}: {error}")))
    return text


def _load_everything() -> None:
    for module in _modules():
        with contextlib.suppress(ImportError, AssertionError):  # another system's
            importlib.import_module(module)
    for encoding in ("ascii", "latin-1", "utf-8-sig", "utf-16"):
        codecs.lookup(encoding)


@lru_cache(maxsize=1)
def _modules() -> List[str]:
    """Return all modules of procsup, and what is imported anywhere in them."""
    ours = list(pkgutil.walk_packages(procsup.__path__, "procsup."))
    names = {one.name for one in ours if one.name != "procsup.__main__"}
    for path in list_modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    return sorted(names)


@contextlib.contextmanager
def trusting(monkeypatch: pytest.MonkeyPatch, home: Path, *folders: Path) -> Iterator[Path]:
    """Let the user's configuration trust these folders; yields its path."""
    config = home / "procsup" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"trust = {[str(folder) for folder in folders]}\n")
    config.chmod(0o644)
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(home))
        yield config

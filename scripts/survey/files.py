"""What the three workers share: finding source files, and writing a file whole or not at all."""

import contextlib
import os
import sys
import sysconfig
from pathlib import Path
from typing import Iterator, List, TextIO

# Not the interpreter's own: what was installed into it, and what it compiled.
FOREIGN = ("site-packages", "dist-packages", "__pycache__")


def standard_library() -> Path:
    """Return the folder of the running interpreter's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def sources_in(library: Path) -> List[Path]:
    """Return a library's packages (folders), then its top-level modules (files), each by name.

    Packages are the longer work: started first, none is left to run alone at the end.
    """
    found = [entry for entry in library.iterdir() if _is_source(entry)]
    return sorted(found, key=lambda entry: (entry.is_file(), entry.name))


def _is_source(entry: Path) -> bool:
    if entry.name in FOREIGN or entry.name.startswith("."):
        return False
    if entry.is_dir():
        return (entry / "__init__.py").is_file()
    return entry.suffix == ".py"


def python_files(source: Path) -> Iterator[Path]:
    """Yield the Python files of a module or package, sorted."""
    if source.is_file():
        yield source
        return
    for path in sorted(source.rglob("*.py")):
        if not any(part in FOREIGN for part in path.relative_to(source).parts):
            yield path


@contextlib.contextmanager
def written_whole(path: Path, newline: str = "\n") -> Iterator[TextIO]:
    """Open a text file that appears under its name only once it is complete.

    A worker that is killed half-way leaves no output that looks like one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8", newline=newline) as stream:
            yield stream
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # it may have failed before it was made
            partial.unlink()
        raise


def fail(message: str) -> int:
    """Say what is wrong on stderr and return the exit code for it."""
    print(f"survey: {message}", file=sys.stderr)
    return 2

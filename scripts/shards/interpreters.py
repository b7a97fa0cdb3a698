"""``python interpreters.py --out FILE``: list the CPythons of this machine, one a version.

Writes a CSV of versions and paths, 2.7 and 3.x, oldest first: those on the PATH, those that
pyenv keeps, and the one that runs this. Each was started once, so that what stands there works.
"""

import argparse
import csv
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

NAME = re.compile(r"python(2\.7|3\.\d+)(\.exe)?")
ASK = (
    "import platform as p, sys; print(p.python_implementation() + ' %d.%d' % sys.version_info[:2])"
)
LIMIT_S = 20


def main(argv: Optional[List[str]] = None) -> int:
    """Look, and write the list unless it would be the same."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    parser.add_argument("--only", default="all", help="versions, such as 2.7,3.11 (default: all)")
    options = parser.parse_args(argv)
    wanted = None if options.only == "all" else options.only.split(",")
    found = interpreters()
    rows = [(version, found[version]) for version in sorted(found, key=as_numbers)]
    rows = [row for row in rows if wanted is None or row[0] in wanted]
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("version", "interpreter"), *rows])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not options.out.exists() or options.out.read_text(encoding="utf-8") != table.getvalue():
        options.out.write_text(table.getvalue(), encoding="utf-8")
    print(", ".join(version for version, _ in rows))
    return 0 if rows else 1


def interpreters() -> Dict[str, str]:
    """Return a path for each version, the running interpreter for its own."""
    found = {"{}.{}".format(*sys.version_info[:2]): sys.executable}
    for path in candidates():
        named = NAME.fullmatch(path.name)
        if named and named.group(1) not in found and version_of(path) == named.group(1):
            found[named.group(1)] = str(path)
    return found


def candidates() -> Iterator[Path]:
    """Yield what may be interpreters: pyenv's own before its shims, which need a choice."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = sorted(pyenv.glob("versions/*/bin"))
    folders += [Path(folder) for folder in os.get_exec_path() if folder]
    for folder in folders:
        if folder.is_dir():
            yield from sorted(folder.glob("python*.*"))


def version_of(path: Path) -> Optional[str]:
    """Ask an interpreter for its version; None if it is no CPython, or does not start."""
    if shutil.which(str(path)) is None:
        return None
    try:
        said = subprocess.run(
            [str(path), "-c", ASK], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=True,
        ).stdout.decode("ascii", "replace")  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    implementation, _, version = said.strip().partition(" ")
    return version if implementation == "CPython" else None


def as_numbers(version: str) -> Tuple[int, ...]:
    """Return a version as numbers, so that 3.10 comes after 3.9."""
    return tuple(map(int, version.split(".")))


if __name__ == "__main__":
    sys.exit(main())

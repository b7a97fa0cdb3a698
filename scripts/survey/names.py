"""``python -m survey.names --out FILE``: list the modules and packages there are to survey.

Writes one path a line, with slashes on every system: a folder for a package, a file for a
module. A list that would be the same is left untouched, so that nothing looks new when nothing is.
"""

import argparse
import sys
from pathlib import Path
from typing import List, Optional

from survey.files import fail, sources_in, standard_library, written_whole

OWN = "own"  # stands for the standard library of the interpreter that runs this


def main(argv: Optional[List[str]] = None) -> int:
    """Write the list; 2 if there is nothing to list."""
    parser = argparse.ArgumentParser(prog="survey.names", description=__doc__)
    parser.add_argument("--lib", default=OWN, help="folder to look in (default: our own library)")
    parser.add_argument("--out", required=True, type=Path, help="file to write")
    options = parser.parse_args(argv)
    library = Path(options.lib).resolve() if options.lib != OWN else standard_library()
    if not library.is_dir():
        return fail(f"{library}: no such folder")
    sources = sources_in(library)
    if not sources:
        return fail(f"{library}: no Python modules in it")
    text = "".join(f"{source.as_posix()}\n" for source in sources)
    if _read(options.out) == text:
        print(f"{len(sources)} modules and packages in {library}, as before")
        return 0
    with written_whole(options.out) as stream:
        stream.write(text)
    print(f"{len(sources)} modules and packages in {library}")
    return 0


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())

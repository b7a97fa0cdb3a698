"""The modules of the package, as files."""

from pathlib import Path
from typing import List

import procsup

PACKAGE = Path(procsup.__file__).resolve().parent
EXAMPLES = PACKAGE / "examples"  # what `procsup init` writes: programs of users, no modules


def list_modules() -> List[Path]:
    """Return the files of all modules of the package."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if EXAMPLES not in path.parents]

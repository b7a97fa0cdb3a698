"""The scripts are programs, not a package: their folder goes on the search path here, last."""

import sys
from pathlib import Path

SCRIPTS = str(Path(__file__).resolve().parent.parent.parent / "scripts")
if SCRIPTS not in sys.path:
    sys.path.append(SCRIPTS)

"""The command line of another procsup, from wherever this one was imported."""

import os
import sys
from typing import List, Sequence

# The same package as here is imported, wherever it lies, and nothing of that place stays in the
# search path or gets into the environment of units. The current folder is not searched.
_BOOT = """\
import sys
if sys.path and sys.path[0] == "": del sys.path[0]
sys.argv[0] = "procsup"
home = sys.argv.pop(1)
sys.path.insert(0, home)
import procsup
sys.path.remove(home)
from procsup.__main__ import program
sys.exit(program(detached=%s))
"""


def command_line(arguments: Sequence[str], *, detached: bool = False) -> List[str]:
    """Return the argv that runs ``procsup ARGUMENTS...`` with this interpreter and package."""
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, *_interpreter_options(), "-c", _BOOT % detached, home, *arguments]


def _interpreter_options() -> List[str]:
    """Return the options that decide which modules are found: the other must find the same."""
    if sys.flags.isolated:
        return ["-I"]
    options = ["-E"] if sys.flags.ignore_environment else []
    return [*options, "-s"] if sys.flags.no_user_site else options

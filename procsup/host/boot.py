"""The command line of another procsup, from wherever this one was imported, and its start."""

import os
import subprocess
import sys
from typing import Any, Dict, List, Mapping, Optional, Sequence

# Imports the same package as here from its folder, which then leaves the search path and never
# gets into the environment of units. The current folder is not searched.
_BOOT = """\
import sys
if sys.path and sys.path[0] == "": del sys.path[0]
sys.argv[0] = "procsup"
home = sys.argv.pop(1)
sys.path.insert(0, home)
import procsup
sys.path.remove(home)
"""
# What it does then: the command line, or (from elsewhere) another door that has no verb.
PROGRAM = "from procsup.__main__ import program\nsys.exit(program())\n"
DETACHED = "from procsup.__main__ import program\nsys.exit(program(detached=True))\n"


def command_line(arguments: Sequence[str], *, entry: str = PROGRAM) -> List[str]:
    """Return the argv that runs ``procsup ARGUMENTS...`` with this interpreter and package.

    `entry` is the Python text that is executed when the package has been found.
    """
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return [sys.executable, *_interpreter_options(), "-c", _BOOT + entry, home, *arguments]


def start_apart(
    arguments: Sequence[str],
    *,
    entry: str = DETACHED,
    stdin: int = subprocess.PIPE,
    stderr: Optional[int] = subprocess.PIPE,
    environment: Optional[Mapping[str, str]] = None,
) -> "subprocess.Popen[bytes]":
    """Start it in its own session; its stdout is a pipe.

    `environment` is by default `os.environ`. OSError if it cannot be started.
    """
    options: Dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        options = {"creationflags": flags}
    return subprocess.Popen(
        command_line(arguments, entry=entry),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment,
        **options,
    )


def _interpreter_options() -> List[str]:
    """Return the options that affect the module search: the new process must find the same."""
    if sys.flags.isolated:
        return ["-I"]
    options = ["-E"] if sys.flags.ignore_environment else []
    return [*options, "-s"] if sys.flags.no_user_site else options

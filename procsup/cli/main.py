"""The entry of the command line: finds the verb, and ends as the shell expects."""

from __future__ import annotations

import os
import sys

from procsup import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Carry out a command line and return its exit code. Never raises for errors of the user.

    If a signal ended the run, the process dies by that signal instead of returning.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"] and _try_print_version():
        return 0
    from procsup.cli.group import carry_out

    return carry_out(arguments)


def _try_print_version() -> bool:
    """Print the version without loading anything: scripts call it often. False if that failed."""
    text = f"procsup {__version__}\n".encode("ascii")
    try:
        return sys.stdout is not None and os.write(1, text) == len(text)
    except OSError:  # the verb reports that
        return False

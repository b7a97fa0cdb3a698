"""Where the command line begins: which verb, and what its end means to the shell."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Carry out a command line and return its exit code. Never raises for what a user can do.

    Where the run was ended by a signal, the process dies by that signal instead of returning.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"] and _try_print_version():
        return 0
    from procsup.cli.ending import carry_out

    return carry_out(arguments)


def _try_print_version() -> bool:
    """Answer without loading anything: scripts ask this often. False if it was not written."""
    from procsup import __version__

    text = f"procsup {__version__}\n".encode("ascii")
    try:
        return sys.stdout is not None and os.write(1, text) == len(text)
    except OSError:  # the verb knows what is to be said of that
        return False

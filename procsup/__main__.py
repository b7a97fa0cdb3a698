"""The program `procsup`, and ``python -m procsup``.

A verb that starts processes is guarded: this forks before anything heavy is imported.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence

_GUARDED_VERBS = ("run", "map")
_STARTS_NOTHING = ("--detach", "--dry-run", "--help", "-h", "--here")


def main(argv: Optional[Sequence[str]] = None, *, detached: bool = False) -> int:
    """Run the command line and return its exit code; ended by a signal, it does not return."""
    args = sys.argv[1:] if argv is None else list(argv)
    open_standard_streams()
    try:
        if detached or is_guarded(args):
            from procsup.host.guard import fork_supervisor

            try:
                fork_supervisor(detached=detached)
            except OSError as error:
                sys.stderr.write(f"procsup: cannot start a second process: {error}\n")
                return 70
        from procsup.cli.main import main as cli_main

        return cli_main(args)  # type: ignore[no-any-return,unused-ignore]
    except KeyboardInterrupt:
        from procsup.host.guard import die_of_interrupt

        die_of_interrupt()


def is_guarded(args: Sequence[str]) -> bool:
    """Tell whether this command line starts processes of its own, here."""
    options = list(args)
    if "--" in options:
        del options[options.index("--") :]
    verb = next((arg for arg in options if not arg.startswith("-")), "")
    if verb in ("run", "retry"):
        return not any(option in _STARTS_NOTHING for option in options)
    return verb in _GUARDED_VERBS  # the options of `map` may be those of its command


def open_standard_streams() -> None:
    """Put the null device where stdin, stdout or stderr is closed.

    Otherwise the journal would get number 2, and a C library's message would land in it.
    """
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest free number is given, and all below this one are open.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def leave_out_current_folder() -> None:
    """Undo what ``-m`` does to the search path: a ``json.py`` lying here is not ours to execute.

    The package itself is found by where it was loaded from, not by the search path.
    """
    if getattr(sys.flags, "safe_path", False) or sys.flags.isolated or not sys.path:
        return
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:
        here = ""  # it was deleted
    if sys.path[0] == "" or os.path.realpath(sys.path[0]) == here:
        del sys.path[0]


if __name__ == "__main__":
    leave_out_current_folder()
    sys.exit(main())

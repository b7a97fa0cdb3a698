"""The program `procsup`, and ``python -m procsup``.

A verb that starts processes is guarded: this forks before anything heavy is imported.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Sequence

_GUARDED_VERBS = ("run", "map")
_STARTS_NOTHING = ("--detach", "--dry-run", "--help", "-h", "--here")
# Importing makes some 40,000 objects that stay. At Python's own threshold (700, from 3.12 on
# 2,000) the collector walks them again and again: a tenth of what a short command costs.
_NEW_OBJECTS_PER_COLLECTION = 50_000


def program(*, hosted: bool = False, detached: bool = False) -> int:
    """Run the program, also for ``-m``; end the process or return its exit code.

    `hosted`: another program has started this one, and sends the request of a run by stdin.
    """
    gc.set_threshold(_NEW_OBJECTS_PER_COLLECTION, *gc.get_threshold()[1:])
    code = main(hosted=hosted, detached=detached)
    leave_quickly(code)
    return code


def main(
    argv: Optional[Sequence[str]] = None, *, hosted: bool = False, detached: bool = False
) -> int:
    """Run the command line and return its exit code; ended by a signal, it does not return."""
    args = sys.argv[1:] if argv is None else list(argv)
    open_standard_streams()
    try:
        if hosted or is_guarded(args):
            from procsup.host.guard import find_owner, fork_supervisor

            try:
                fork_supervisor(detached=detached, owned=hosted and find_owner(args) is not None)
            except OSError as error:
                sys.stderr.write(f"procsup: cannot start a second process: {error}\n")
                return 70
        if hosted:
            from procsup.cli.hosted import main as host

            return host(args)  # type: ignore[no-any-return,unused-ignore]
        from procsup.cli.main import main as cli_main

        return cli_main(args)  # type: ignore[no-any-return,unused-ignore]
    except KeyboardInterrupt:
        from procsup.host.signals import INTERRUPT, die_by

        die_by(INTERRUPT)


def is_guarded(args: Sequence[str]) -> bool:
    """Whether this command line starts units in this process."""
    options = list(args)
    if "--" in options:
        del options[options.index("--") :]
    verb = next((arg for arg in options if not arg.startswith("-")), "")
    if verb in ("run", "retry"):
        return not any(option in _STARTS_NOTHING for option in options)
    return verb in _GUARDED_VERBS  # an option of `map` may belong to its command


def open_standard_streams() -> None:
    """Put the null device where stdin, stdout or stderr is closed.

    Otherwise the journal would get number 2, and a C library's message would land in it. A closed
    stdout stays None: output is lost, and the writer must report that.
    """
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            # The system assigns the lowest free number, and all below this one are open.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None and name != "stdout":
            setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def leave_quickly(code: int) -> None:
    """End the process without the interpreter's finalization, which takes longer than `wait` does.

    Buffers are written and exit functions are called. Returns if the interpreter's own exit is
    needed: to wait for a thread, or to report that stdout cannot be written.
    """
    threading = sys.modules.get("threading")
    if threading is not None and not _is_alone(threading):
        return

    atexit._run_exitfuncs()
    if _is_flushed(sys.stdout):
        _is_flushed(sys.stderr)  # a failure loses status lines only: the exit code stays
        os._exit(code)


def _is_flushed(stream: Any) -> bool:
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):  # closed, full, no reader
        return False
    return True


def _is_alone(threading: Any) -> bool:
    others = (thread for thread in threading.enumerate() if not thread.daemon)
    return all(thread is threading.main_thread() for thread in others)


def leave_out_current_folder() -> None:
    """Remove the current folder from the search path: ``-m`` adds it, and a ``json.py`` there runs.

    The package itself is found by the place from which it was loaded, not by the search path.
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
    sys.exit(program())

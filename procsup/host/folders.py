"""Explains why a path is unreachable: a folder that we may not enter, a removed current folder."""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from procsup.errors import UsageError

if TYPE_CHECKING:
    from procsup.host.files import AnyPath


def current_folder() -> str:
    """Return the current folder; UsageError if it does not exist any more."""
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise UsageError(
            "the current folder does not exist any more: it was removed, perhaps made anew under"
            " its name; change to one that is there (`cd .` is enough if it was made anew)"
        ) from error


def absolute(path: "AnyPath") -> str:
    """Return the absolute path, without `.` and `..`; UsageError as `current_folder`."""
    text = os.fspath(path)
    if os.path.isabs(text):
        return os.path.abspath(text)
    return os.path.normpath(os.path.join(current_folder(), text))


def real_file(path: "AnyPath") -> str:
    """Return the absolute path of a file; for a symbolic link, the path of its target.

    If the file itself is not a link, links among its folders keep their names. UsageError as
    `current_folder`.
    """
    whole = absolute(path)
    return os.path.realpath(whole) if os.path.islink(whole) else whole


def who_refuses(path: "AnyPath") -> str:
    """Return which folder refuses access to `path`, and its owner; empty if none is found.

    The system's "Permission denied" does not name the folder; this does:
    ``/data/eve may not be entered: it belongs to user eve (mode 0700)``.
    """
    whole = Path(path)
    for folder in reversed(whole.parents):
        try:
            os.stat(os.path.join(folder, os.curdir))
        except PermissionError:  # noqa: PERF203 - it ends the loop
            return f"{folder} may not be entered{_whose(folder)}"
        except OSError:
            return ""  # the path ends here; no folder refused access
    return f"{whole} may not be read{_whose(whole)}" if _may_not_be_read(whole) else ""


def _may_not_be_read(path: Path) -> bool:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
            os.stat(path / os.curdir)
        elif stat.S_ISREG(mode):
            os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _whose(path: Path) -> str:
    if sys.platform == "win32":
        return ""
    try:
        status = os.stat(path)
    except OSError:
        return ""  # it was removed
    import pwd

    try:
        user = f"user {pwd.getpwuid(status.st_uid).pw_name}"
    except KeyError:
        user = f"an unknown user (uid {status.st_uid})"
    return f": it belongs to {user} (mode {stat.S_IMODE(status.st_mode):04o})"

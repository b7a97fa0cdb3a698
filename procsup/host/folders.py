"""Explains why a path is unreachable: a folder that we may not enter, a removed current folder."""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from procsup.errors import UsageError
from procsup.host.owners import name_user
from procsup.paths.joining import join_path
from procsup.paths.opening import open_regular

if TYPE_CHECKING:
    from procsup.host.files import AnyPath


def get_current_folder() -> str:
    """Return the current folder; UsageError if it does not exist any more."""
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise UsageError(
            "the current folder does not exist any more: it was removed, perhaps made anew under"
            " its name; change to one that is there (`cd .` is enough if it was made anew)"
        ) from error


def make_absolute(path: "AnyPath") -> str:
    """Return the absolute path, `.` and `..` resolved; UsageError as `get_current_folder`."""
    text = os.fspath(path)
    if os.path.isabs(text):
        return os.path.abspath(join_path("", text))
    return join_path(get_current_folder(), text)


def resolve_file(path: "AnyPath") -> str:
    """Return the absolute path of a file; for a symbolic link, the path of its target.

    If the file itself is not a link, links among its folders keep their names. UsageError as
    `get_current_folder`.
    """
    whole = make_absolute(path)
    return os.path.realpath(whole) if os.path.islink(whole) else whole


def find_user_settings() -> str:
    """Return the path of the user's own configuration of procsup, whether it is there or not."""
    if sys.platform == "win32":
        folder = os.environ.get("APPDATA") or os.path.expanduser("~")
    else:
        # By the XDG Base Directory Specification a relative path must be ignored.
        named = os.environ.get("XDG_CONFIG_HOME", "")
        folder = named if os.path.isabs(named) else os.path.expanduser("~/.config")
    return os.path.join(folder, "procsup", "config.toml")


def find_refusal(path: "AnyPath") -> str:
    """Return which folder refuses access to `path`, and its owner; empty if none is found.

    The system's "Permission denied" does not name the folder; this does:
    ``/data/eve may not be entered: it belongs to user eve (mode 0700)``.
    """
    whole = Path(path)
    above = None
    for folder in reversed(whole.parents):
        try:
            os.stat(os.path.join(folder, os.curdir))
        except PermissionError:
            return f"{folder} may not be entered{_describe_owner(folder)}"
        except OSError:
            return _describe_closed(above)  # the path ends here
        above = folder
    if _may_not_be_read(whole):
        return f"{whole} may not be read{_describe_owner(whole)}"
    return "" if os.path.lexists(whole) else _describe_closed(above)


def _describe_closed(folder: Optional[Path]) -> str:
    if sys.platform == "win32" or folder is None or os.access(folder, os.W_OK):
        return ""
    return f"{folder} may not be written to{_describe_owner(folder)}"


def find_keeper(path: "AnyPath") -> str:
    """Return a sentence if only its owner may remove or replace a file, and we are not; else "".

    That is so in a sticky folder, such as /tmp, where the system says "Operation not permitted".
    """
    whole = Path(path)
    if sys.platform == "win32" or not whole.is_absolute():
        return ""
    try:
        status, above = os.lstat(whole), os.stat(whole.parent)
    except OSError:
        return ""  # it was removed
    if not above.st_mode & stat.S_ISVTX or os.geteuid() in (0, status.st_uid, above.st_uid):
        return ""
    return (
        f"{whole} belongs to {name_user(status.st_uid)}, who alone may remove or replace it in this"
        " folder (it is sticky): have it removed, or choose another folder"
    )


def _may_not_be_read(path: Path) -> bool:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
            os.stat(path / os.curdir)
        elif stat.S_ISREG(mode):
            os.close(open_regular(os.fspath(path)))
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _describe_owner(path: Path) -> str:
    if sys.platform == "win32":
        return ""
    try:
        status = os.stat(path)
    except OSError:
        return ""  # it was removed
    return f": it belongs to {name_user(status.st_uid)} (mode {stat.S_IMODE(status.st_mode):04o})"

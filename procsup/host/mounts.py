"""Lists mounts by /proc/self/mountinfo (Linux; proc(5))."""

import os
from typing import Iterator, Optional

from msgspec import Struct

from procsup.core.regexes import compile_at_use
from procsup.host.files import AnyPath

_ESCAPE = compile_at_use(r"\\([0-7]{3})")  # blanks and backslashes are written so


class Mount(Struct, frozen=True):
    """A mount point, and the options of the file system there."""

    point: str
    options: str


def list_mounts() -> Iterator[Mount]:
    """Yield the mounts, in the order of mounting; none on systems other than Linux."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split() for line in file]
    except OSError:
        return
    for words in lines:
        if len(words) > 4:
            yield Mount(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), words[4]), words[-1])


def find_mount_below(folder: AnyPath) -> Optional[str]:
    """Return a mount point below a folder, the first by name; None if there is none, or unknown."""
    inside = os.path.join(os.path.realpath(folder), "")
    return min((one.point for one in list_mounts() if one.point.startswith(inside)), default=None)

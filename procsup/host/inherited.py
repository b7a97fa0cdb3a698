"""The environment that this process inherited."""

import os
import sys
from typing import Dict, Optional

from procsup.host import machine, procfs

# PEP 538: where the locale is "C", CPython sets LC_CTYPE to the first of these that there is.
_MADE_UP = ("C.UTF-8", "C.utf8", "UTF-8")


def get_inherited_environment() -> Dict[str, str]:
    """Return `os.environ` with the LC_CTYPE that we were started with.

    A program that uses the library starts its supervisor with its own `os.environ`, as
    `subprocess` does.
    """
    environment = dict(os.environ)
    if environment.get("LC_CTYPE") not in _MADE_UP:
        return environment
    first = _find_first_environment()
    if first is None:
        return environment  # it may be the user's value
    if "LC_CTYPE" in first:
        environment["LC_CTYPE"] = first["LC_CTYPE"]
    else:
        del environment["LC_CTYPE"]
    return environment


def _find_first_environment() -> Optional[Dict[str, str]]:
    """Return the environment with which this process, or the one it was forked from, started.

    Changes of `os.environ` do not affect it. None if the system does not show it.
    """
    if sys.platform != "linux":
        return machine.read_first_environment()
    try:
        with open("/proc/self/environ", "rb") as file:
            return procfs.parse_environment(file.read())
    except OSError:
        return None  # hidden

"""Removes from MAKEFLAGS the job server of an outer `make`, if units cannot reach it.

GNU make hands out its tokens by a pipe or by a FIFO, which MAKEFLAGS names. Units do not inherit
the descriptors of a pipe: a `make` in a unit would warn and run one job at a time, or use another
file that has the same descriptor number.
"""

import os
import stat
from typing import Tuple

from procsup.core.regexes import compile_at_use

# Cargo and the crate `jobserver` read the first two before MAKEFLAGS.
VARIABLES = ("CARGO_MAKEFLAGS", "MFLAGS", "MAKEFLAGS")
# make 4.4: fifo:PATH; 4.2: auth=R,W; before: fds=R,W. Negative numbers: make disabled it.
_SERVER = compile_at_use(r"(?<!\S)--jobserver-(?:auth|fds)=(\S+)")
_DESCRIPTORS = compile_at_use(r"-?\d+,-?\d+")
_PARTS = compile_at_use(r"(?<!\S)(?:--jobserver-(?:auth|fds)=\S+|-j\d*|--jobs(?:=\d+)?)(?!\S)\s*")


def remove_dead_server(flags: str) -> str:
    """Return MAKEFLAGS without a job server that units cannot reach, and without its ``-jN``.

    Flags without a job server, or with one that can be opened, are returned unchanged.
    Definitions of variables (behind ``--``) stay.
    """
    options, separator, definitions = _split(flags)
    servers = _SERVER.findall(options)
    if not servers or _is_within_reach(servers[-1]):  # make itself uses the last
        return flags
    left = _PARTS.sub("", options).rstrip()
    return f"{left}{separator}{definitions}" if left else f"{separator}{definitions}".lstrip()


def _split(flags: str) -> Tuple[str, str, str]:
    if flags.startswith("-- "):
        return "", "-- ", flags[3:]
    return flags.partition(" -- ")


def _is_within_reach(server: str) -> bool:
    if server.startswith("fifo:"):
        return _can_be_opened(server[len("fifo:") :])
    return _DESCRIPTORS.fullmatch(server) is None  # Windows: the name of a semaphore


def _can_be_opened(path: str) -> bool:
    try:
        is_fifo = stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
    return is_fifo and os.access(path, os.R_OK | os.W_OK)

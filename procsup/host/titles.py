"""Names of processes for messages; of an interpreter, the module or script that it runs."""

import os
import sys
from typing import Sequence

from procsup.core.regexes import compile_at_use
from procsup.host import machine, procfs

_INTERPRETERS = compile_at_use(r"(python|pypy|perl|ruby|node|nodejs|java|php|Rscript)[\d.]*")
_NOT_A_FILE = ("-c", "-e", "--eval", "-r")  # what follows is a program's text
_TAKES_A_WORD = ("-W", "-X", "-cp", "-classpath", "-I")


def read_title(pid: int) -> str:
    """Return the name of a process, or of its script or module; empty if it has ended."""
    if sys.platform != "linux":
        return machine.read_name(pid)
    name = procfs.read_name(pid)
    words = procfs.read(f"/proc/{pid}/cmdline").split(b"\0")
    return find_title([os.fsdecode(word) for word in words if word]) or name


def find_title(argv: Sequence[str]) -> str:
    """Return the script or module of an interpreter's command line; empty if there is none."""
    if not argv or not _INTERPRETERS.fullmatch(os.path.basename(argv[0])):
        return ""
    words = iter(argv[1:])
    for word in words:
        if word in _NOT_A_FILE:
            return ""
        if word in ("-m", "-jar"):
            return os.path.basename(next(words, ""))
        if word in _TAKES_A_WORD:
            next(words, "")
        elif not word.startswith("-"):
            return os.path.basename(word)
    return ""

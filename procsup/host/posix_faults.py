"""Where a program is found on Linux, macOS and the BSDs, and why it could not be started."""

import errno
import os
import stat
import sys
from typing import Optional, Sequence, Tuple

from procsup.core.outcome import NotStarted
from procsup.core.text import quote_word
from procsup.host.files import describe_error, open_reading
from procsup.host.processes import Launch

assert sys.platform != "win32"

# Shortages that may pass: too many processes, too many open files, no memory, a full disk.
_SHORTAGES = frozenset(
    (
        errno.EAGAIN,
        errno.ENOMEM,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ETXTBSY,
    )
)

_SHELL = "/bin/sh"  # by POSIX, `execvp` runs a script without an interpreter line by this
_LOOKED_AT_BYTES = 256


def find_program(name: str, path: str, cwd: str) -> str:
    """Return the file that `name` stands for; FileNotFoundError if PATH has none.

    PermissionError if PATH has such files, but none may be executed. A name with a slash is
    relative to `cwd`.
    """
    if "/" in name:
        return os.path.join(cwd, name)
    candidates = [os.path.join(cwd, folder, name) for folder in path.split(os.pathsep)]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    refused = next((one for one in candidates if os.path.isfile(one)), None)
    if refused is not None:
        said = f"program {name!r} is found on PATH as {refused}, which may not be executed"
        raise PermissionError(errno.EACCES, said)
    raise FileNotFoundError(errno.ENOENT, f"program {name!r} was not found on PATH")


def is_plain_script(program: str) -> bool:
    """Whether a file that the system cannot execute is text, which the shell can run.

    Shells check the same: a binary of another system has a NUL among its first bytes. An empty
    file is not a script, although `execvp` runs it: it would do nothing and count as succeeded.
    """
    start = _read_start(program)
    return start != b"" and b"\0" not in start


def wrap_in_shell(program: str, argv: Sequence[str]) -> Tuple[str, ...]:
    """Return the argv with which the shell runs this script."""
    return (_SHELL, program, *argv[1:])


def make_environment_key(name: str) -> str:
    """Return the form in which an environment variable's name is compared."""
    return name


def explain_not_started(
    error: BaseException, launch: Optional[Launch], step: str = ""
) -> NotStarted:
    """Return what failed and why; it checks the file system, since ENOENT has many causes.

    Without a `launch`, `step` names what was being made.
    """
    number = error.errno if isinstance(error, OSError) else None
    words = describe_error(error) if isinstance(error, OSError) else str(error)
    name = getattr(error, "filename", None)
    if isinstance(name, (str, bytes)):
        words = f"{os.fsdecode(name)!r}: {words}"
    if number in _SHORTAGES:
        return NotStarted(f"the system is short of something: {words}", passing=True)
    if launch is None:
        return NotStarted(f"{step}: {words}" if step else words)
    return NotStarted(_explain_fault(launch, number) or words)


def _explain_fault(launch: Launch, number: Optional[int]) -> Optional[str]:
    if any("\0" in part for part in (*launch.argv, launch.cwd)):
        return "an argument or the working folder contains a NUL character"
    if number == errno.E2BIG:
        return "the argument list and environment are too long for this system"
    return _explain_folder(launch.cwd) or _explain_program(launch.program, number)


def _explain_folder(cwd: str) -> Optional[str]:
    try:
        if not stat.S_ISDIR(os.stat(cwd).st_mode):
            return f"working folder {cwd!r} is not a folder"
    except FileNotFoundError:
        return f"working folder {cwd!r} does not exist"
    except OSError as error:
        return f"working folder {cwd!r}: {error.strerror}"
    return None if os.access(cwd, os.X_OK) else f"working folder {cwd!r} may not be entered"


def _explain_program(program: str, number: Optional[int]) -> Optional[str]:
    try:
        mode = os.stat(program).st_mode
    except FileNotFoundError:
        return f"program {program!r} does not exist"
    except OSError as error:
        return f"program {program!r}: {error.strerror}"
    if stat.S_ISDIR(mode):
        return f"program {program!r} is a folder"
    if not mode & 0o111 or not os.access(program, os.X_OK):
        return f"program {program!r} is not executable"
    if number == errno.ENOEXEC:
        if _read_start(program) == b"":
            return f"program {program!r} is empty, or may not be read"
        return f"program {program!r} is neither a binary of this system nor a script"
    interpreter = _read_interpreter(program)
    if interpreter is None or os.access(interpreter, os.X_OK):
        return None
    if interpreter.endswith("\r"):
        cure = f"sed -i 's/\\r$//' {quote_word(program)}"
        return (
            f"program {program!r} has Windows line ends, so that its first line asks for"
            f" {interpreter!r}: take them out with dos2unix, or {cure}"
        )
    return f"program {program!r} asks for an interpreter that cannot run: {interpreter!r}"


def _read_start(program: str) -> bytes:
    """Return the first bytes of a file; empty if it may not be read."""
    try:
        with open_reading(program) as file:
            return file.read(_LOOKED_AT_BYTES)
    except OSError:
        return b""  # executable, but not readable: the cause is unknown


def _read_interpreter(program: str) -> Optional[str]:
    """Return the interpreter that the first line names, as the kernel reads it: \\r is no blank."""
    line = _read_start(program).partition(b"\n")[0]
    if not line.startswith(b"#!"):
        return None
    words = line[2:].replace(b"\t", b" ").strip(b" ").split(b" ")
    return os.fsdecode(words[0]) or None

"""Starts detached runs in their own session; the starter ends when the run is ready.

The starter reads one line of JSON from the new process's stdout and relays its stderr until then.
After that the run writes to its own log; no other process holds its streams.
"""

import json
import os
import sys
from typing import Any, Callable, Iterable, Mapping, Optional

from procsup.errors import RecordError
from procsup.host import boot, guard, watchdog
from procsup.host.boot import Announcing, relay_to_stderr
from procsup.host.files import describe_error, open_private
from procsup.host.owners import refuse_foreign


def start_detached(
    label: str,
    lines: Iterable[bytes],
    called_off: bytes = b"",
    *,
    relay: Callable[[bytes], object] = relay_to_stderr,
    environment: Optional[Mapping[str, str]] = None,
) -> Announcing:
    """Start a supervisor that reads these lines; return when it is ready, or has ended.

    Process lists show the `label`. `relay` gets its stderr until then. `environment` is by default
    `os.environ`. An exception (Ctrl-C) cancels the start. OSError if no process can be started.
    """
    line = guard.find_guard_link()
    if line is not None:
        line.release()  # the supervisor outlives this process
    child = boot.start_own_child([label], environment=environment)
    return Announcing(child, lines, called_off, relay=relay, cancel=child.terminate)


def announce(ready: Mapping[str, Any], log_path: str, *, dir_fd: Optional[int] = None) -> None:
    """Announce that this detached process is ready, then `release_streams` to this log.

    The log is opened in the folder `dir_fd`, if that is given, whatever its path leads to by then.
    RecordError, before the announcement, if the log cannot be written or was tampered with.
    """
    is_heard = _is_open(1)  # if it is closed, the log gets its number
    log = _open_log(log_path, dir_fd)
    line = json.dumps({boot.READY: True, **ready}, separators=(",", ":")) + "\n"
    try:
        if is_heard:
            os.write(1, line.encode("ascii"))
    except OSError:
        pass  # the starter has ended; the run continues
    release_streams(log)


def release_streams(log: int) -> None:
    """Point stdout and stderr to this open file, and close it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for fd in (1, 2):
        os.dup2(log, fd)
    if log > 2:  # otherwise it got the number of a closed stream
        os.close(log)
    watchdog.write_stacks_to(2)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _open_log(path: str, dir_fd: Optional[int]) -> int:
    try:
        log = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, dir_fd=dir_fd)
        if dir_fd is not None:
            try:
                refuse_foreign(log, path, os.fstat(dir_fd).st_uid)
            except BaseException:
                os.close(log)
                raise
        return log
    except OSError as error:
        raise RecordError(f"{path} cannot be written: {describe_error(error)}") from error

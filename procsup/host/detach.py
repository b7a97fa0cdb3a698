"""Detached runs: started in their own session; the starter ends when the run is ready.

The starter reads one line of JSON from the new process's stdout and relays its stderr until then.
After that the run writes to its own log; no other process holds its streams.
"""

import json
import os
import subprocess
import sys
import threading
from typing import IO, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from procsup.errors import RecordError
from procsup.host import boot, guard
from procsup.host.files import open_private, reason

_LAST_WORDS_S = 2.0
_SAID_LIMIT_BYTES = 1 << 16


class Detached(NamedTuple):
    """The result of a detached start: `ready` is the announcement; None: the process ended before.

    Then `exit_code` is its code (negative: the signal that ended it) and `said` its stderr.
    """

    ready: Optional[Dict[str, Any]]
    exit_code: Optional[int]
    said: str


def start_detached(
    argv: Sequence[str],
    *,
    relay: Optional[Callable[[bytes], object]] = None,
    environment: Optional[Mapping[str, str]] = None,
) -> Detached:
    """Start ``procsup ARGV...`` detached; return when it announced that it is ready, or ended.

    `relay` gets its stderr until then; the default writes it to our own stderr. `environment` is
    by default `os.environ`. An exception (Ctrl-C) cancels the start. OSError if no process can be
    started.
    """
    line = guard.lifeline()
    if line is not None:
        line.release()  # the supervisor outlives this process
    child = boot.start_apart(argv, stdin=subprocess.DEVNULL, environment=environment)
    assert child.stdout is not None
    assert child.stderr is not None
    said: List[bytes] = []
    listener = threading.Thread(
        target=_listen, args=(child.stderr, said, relay or _to_our_stderr), daemon=True
    )
    listener.start()
    try:
        with child.stdout:
            ready = _read_announcement(child.stdout)
        exit_code = child.wait() if ready is None else None
        # A ready child has closed the pipe. If it ended, other processes may still hold it.
        listener.join(_LAST_WORDS_S)
    except BaseException:
        child.terminate()
        raise
    finally:
        # Reaps it after its end, so that no zombie is left in a program that lives longer.
        threading.Thread(target=child.wait, daemon=True).start()
    return Detached(ready, exit_code, b"".join(said).decode("utf-8", "replace"))


def announce(ready: Mapping[str, Any], log_path: str) -> None:
    """In the detached process: announce to the starter that it is ready, then `let_go` to this log.

    RecordError, before the announcement, if the log cannot be written or was tampered with.
    """
    is_heard = _is_open(1)  # if it is closed, the log gets its number
    log = _open_log(log_path)
    line = json.dumps(dict(ready), separators=(",", ":")) + "\n"
    try:
        if is_heard:
            os.write(1, line.encode("ascii"))
    except OSError:
        pass  # the starter has ended; the run continues
    let_go(log)


def let_go(log: int) -> None:
    """Point stdout and stderr to this open file, and close it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for fd in (1, 2):
        os.dup2(log, fd)
    if log > 2:  # else the log has the number of a closed stream
        os.close(log)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _open_log(path: str) -> int:
    try:
        return open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    except OSError as error:
        raise RecordError(f"{path} cannot be written: {reason(error)}") from error


def _read_announcement(stdout: IO[bytes]) -> Optional[Dict[str, Any]]:
    for line in stdout:
        try:
            ready = json.loads(line)
        except ValueError:
            continue  # the output of other code
        if isinstance(ready, dict):
            return ready
    return None


def _listen(stderr: IO[bytes], said: List[bytes], relay: Callable[[bytes], object]) -> None:
    with stderr:
        size = 0
        for line in stderr:
            if size < _SAID_LIMIT_BYTES:
                said.append(line)
                size += len(line)
            relay(line)


def _to_our_stderr(line: bytes) -> None:
    try:
        os.write(2, line)
    except OSError:
        pass  # closed: the starter's terminal is gone

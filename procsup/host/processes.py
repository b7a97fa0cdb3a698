"""Data and interfaces that the modules for processes of all systems share."""

import subprocess
from typing import Any, List, Mapping, NamedTuple, Optional, Protocol, Tuple

from msgspec import Struct

from procsup.core.outcome import Exit

Key = Tuple[str, str]  # the unit's id and the attempt's number, as in its environment
WITHIN = "PROCSUP_WITHIN"  # a line ``RUN ATTEMPT UNIT`` for each outer run's attempt
Identity = Tuple[int, int]  # a process: its pid and its start, in ticks since the boot


class Launch(Struct, frozen=True):
    """All that a start takes. `program` is the file to execute; file descriptors stay open here.

    `inherited_fds` are open in the child under the same numbers (POSIX). `key` identifies the
    attempt, as in its environment. `mark` is that of another process of the same attempt, None for
    a new one.
    """

    program: str
    argv: Tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    stdin: int
    stdout: int
    stderr: int
    cpu_ids: Tuple[int, ...] = ()
    inherited_fds: Tuple[int, ...] = ()
    key: Key = ("", "")
    mark: Optional[int] = None

    def open(self, **settings: Any) -> "subprocess.Popen[bytes]":
        """Start the process; `settings` are further arguments of this system's `Popen`."""
        return subprocess.Popen(
            self.argv,
            executable=self.program,
            cwd=self.cwd,
            env=self.env,
            stdin=self.stdin,
            stdout=self.stdout,
            stderr=self.stderr,
            **settings,
        )


class OpenFile(Struct, frozen=True):
    """A file that a process may write to: device and inode, and the path by which it was opened."""

    device: int
    inode: int
    path: str


class ReapResult(Struct, frozen=True):
    """The status and the resource usage of a reaped child; None is unknown.

    `peak_memory_bytes` is that of its largest process, if our own peak does not hide it.
    """

    exit: Exit
    cpu_user_s: Optional[float] = None
    cpu_system_s: Optional[float] = None
    peak_memory_bytes: Optional[int] = None


class KillRound(Struct, frozen=True):
    """How many processes a round of kills found alive, and how many of them were new."""

    alive: int
    fresh: int


class TreeProcess(Struct, frozen=True):
    """A process of a tree, and the files that it may write to (None: unknown)."""

    pid: int
    start_ticks: int
    name: str
    files: Optional[List[OpenFile]]


class Wakeup(NamedTuple):
    """The result of a wait: children that may have ended, and whether `wake` was called."""

    pids: List[int]
    called: bool  # by `wake`


class ExitNotifier(Protocol):
    """Reports which children *may* have ended; reaps none. For one thread, except `wake`.

    No other code may reap a watched child: a reaped pid can be reused.
    """

    def watch(self, pid: int) -> None:
        """Report the end of this child, not yet reaped; it may have ended already."""
        ...

    def forget(self, pid: int) -> None:
        """Stop watching; a pid that is not watched is ignored."""
        ...

    def wait(self, timeout_s: Optional[float]) -> Wakeup:
        """Block until a child may have ended, `wake` is called, or the time is over."""
        ...

    def wake(self) -> None:
        """Make `wait` return; callable from any thread and from signal handlers."""
        ...

    def close(self) -> None:
        """Release everything; no child is watched any more."""
        ...

"""How a process comes into being on Linux, macOS and the BSDs.

With glibc it is `posix_spawn`, which costs half of the CPU time of `subprocess.Popen` (no pipe
for errors, no second encoding of the environment), and on Python 3.8 and 3.9, where that forks,
a seventh. Elsewhere it is `Popen`, which does the same, only slower.
"""

import os
import signal
import subprocess
import sys
from typing import Any, Optional, Sequence, Tuple

from procsup.host.processes import Launch

assert sys.platform != "win32"

# Python ignores these; a program that it starts shall not.
_RESTORED = tuple(
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ") if hasattr(signal, name)
)
_OWN_SESSION_SINCE = (2, 26)  # glibc's POSIX_SPAWN_SETSID; it tells errors since 2.24


class PopenSpawner:
    """Starts processes that lead a session of their own and inherit nothing but what is said."""

    def __init__(self, inherited_fds: Sequence[int] = ()) -> None:
        self._inherited_fds = tuple(inherited_fds)

    def spawn(self, launch: Launch) -> int:
        """Start a process and return its pid; OSError, ValueError or TypeError if it cannot be.

        CPUs are set on this thread around the start, so the child has them from its first
        instruction.
        """
        own_cpus = _take_cpus(launch.cpu_ids) if launch.cpu_ids else None
        try:
            return self._spawn(launch)
        finally:
            if own_cpus is not None and sys.platform == "linux":
                os.sched_setaffinity(0, own_cpus)

    def _spawn(self, launch: Launch) -> int:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        if mask:  # it would be inherited
            signal.pthread_sigmask(signal.SIG_UNBLOCK, mask)
        try:
            popen = subprocess.Popen(
                launch.argv,
                executable=launch.program,
                cwd=launch.cwd,
                env=launch.env,
                stdin=launch.stdin,
                stdout=launch.stdout,
                stderr=launch.stderr,
                pass_fds=self._inherited_fds,
                start_new_session=True,
            )
        finally:
            if mask:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        popen.returncode = 0  # reaping is not its business; without one it would try
        return popen.pid

    def close(self) -> None:
        """Release what is held."""


def _take_cpus(cpu_ids: Sequence[int]) -> Any:
    """Put this thread on these CPUs; return those it had, or None if nothing was changed."""
    if sys.platform != "linux":
        return None  # macOS has no affinity
    own_cpus = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cpu_ids)
    except OSError:
        return None  # they went offline: the start goes on, and the drift is recorded
    return own_cpus


if sys.platform == "linux":

    class PosixSpawner(PopenSpawner):
        """The same by `posix_spawn`.

        That closes no descriptors and changes no folder. So all that were open before are marked
        to be closed at exec (what Python opens later is so by itself), and this process is in
        the unit's folder for the moment: no other thread of it uses relative paths.
        """

        def __init__(self, inherited_fds: Sequence[int] = ()) -> None:
            super().__init__(inherited_fds)
            self._home_fd = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _hand_down_only(inherited_fds)
            except BaseException:
                os.close(self._home_fd)
                raise

        def _spawn(self, launch: Launch) -> int:
            streams = (launch.stdin, launch.stdout, launch.stderr)
            os.chdir(launch.cwd)
            try:
                return os.posix_spawn(
                    launch.program,
                    launch.argv,
                    launch.env,
                    file_actions=[(os.POSIX_SPAWN_DUP2, fd, n) for n, fd in enumerate(streams)],
                    setsid=True,
                    setsigmask=(),
                    setsigdef=_RESTORED,
                )
            finally:
                os.fchdir(self._home_fd)

        def close(self) -> None:
            """Release what is held."""
            os.close(self._home_fd)

    def _hand_down_only(inherited_fds: Sequence[int]) -> None:
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            try:
                if fd > 2 and os.get_inheritable(fd) != (fd in inherited_fds):
                    os.set_inheritable(fd, fd in inherited_fds)
            except OSError:
                pass  # that of the list itself, closed by now


def spawner(inherited_fds: Sequence[int] = ()) -> PopenSpawner:
    """Return the fastest one that this system has; `inherited_fds` stay open in each child."""
    if sys.platform == "linux" and _glibc_version() >= _OWN_SESSION_SINCE:
        try:
            return PosixSpawner(inherited_fds)
        except OSError:
            pass  # /proc is hidden, or there are no descriptors left: the other needs neither
    return PopenSpawner(inherited_fds)


def _glibc_version() -> Tuple[int, ...]:
    """Return the version of the GNU C library; nothing if it is another."""
    try:
        library: Optional[str] = os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):
        return ()
    name, _, version = (library or "").partition(" ")
    parts = version.split(".")
    return tuple(map(int, parts)) if name == "glibc" and all(map(str.isdigit, parts)) else ()

"""Starts processes on Linux, macOS and the BSDs, by `subprocess.Popen`.

`posix_spawn` would save 50 us of CPU time (scripts/bench/starts.py), but then the current folder of
the whole process must change and all descriptors must be visited for each start. On Python 3.8 and
3.9 `Popen` forks, which takes longer with more memory in the supervisor.
"""

import os
import signal
import sys
from typing import Any, Sequence

from procsup.host.processes import Launch

assert sys.platform != "win32"


def start(launch: Launch) -> int:
    """Start a process that leads its own session, and return its pid.

    It inherits only its streams and the descriptors in the launch. Its CPUs are set on this thread
    around the start, so that it has them from its first instruction. OSError, ValueError or
    TypeError if it cannot be started.
    """
    own_cpus = _take_cpus(launch.cpu_ids) if launch.cpu_ids else None
    try:
        return _start(launch)
    finally:
        if own_cpus is not None and sys.platform == "linux":
            os.sched_setaffinity(0, own_cpus)


def _start(launch: Launch) -> int:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if mask:  # it would be inherited
        signal.pthread_sigmask(signal.SIG_UNBLOCK, mask)
    try:
        popen = launch.open(pass_fds=launch.inherited_fds, start_new_session=True)
    finally:
        if mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    popen.returncode = 0  # Popen must not reap it; without a return code it would try
    return popen.pid


def _take_cpus(cpu_ids: Sequence[int]) -> Any:
    """Put this thread on these CPUs; return those it had, or None if nothing was changed."""
    if sys.platform != "linux":
        return None  # macOS has no affinity
    own_cpus = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, cpu_ids)
    except OSError:
        return None  # they went offline: the start continues, and the drift is recorded
    return own_cpus

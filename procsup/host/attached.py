"""Running procsup as a child and waiting for it: how a program that imports it starts a run.

The guard and the supervisor are processes of their own, so that the host program keeps its
signal handlers, its children and its threads.
"""

import signal
import subprocess
from typing import NamedTuple, Sequence

from procsup.host.boot import command_line


class Finished(NamedTuple):
    """How it ended: its exit code (negative: the signal), and what it wrote to stdout."""

    exit_code: int
    stdout: bytes


def run_attached(arguments: Sequence[str]) -> Finished:
    """Run ``procsup ARGUMENTS...`` and return when it has ended; its stderr is ours.

    Ended by an exception (Ctrl-C), the run is asked to stop, and the exception goes on when it
    has: nothing of it is left then. OSError if no process can be started.
    """
    with subprocess.Popen(
        command_line(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as child:
        try:
            stdout, _ = child.communicate()
        except BaseException:
            _stop(child)
            raise
    return Finished(child.returncode, stdout)


def _stop(child: "subprocess.Popen[bytes]") -> None:
    """Ask it to end and wait until it has.

    A terminal's Ctrl-C reaches it by itself: the request is the same press then. Each further
    one here is passed on, and ends its units at once.
    """
    while child.poll() is None:
        _ask_and_wait(child)


def _ask_and_wait(child: "subprocess.Popen[bytes]") -> None:
    try:
        child.send_signal(signal.SIGTERM)
        child.communicate()
    except KeyboardInterrupt:
        pass  # it is asked once more
    except (OSError, ValueError):  # its stdout is closed already
        child.wait()

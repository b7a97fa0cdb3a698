"""Ends the supervisor by a timer of the kernel when its interpreter is stuck.

C code that does not return, such as a regular expression, may hold the interpreter's lock. Then no
thread can notice that the guard has died, or that a user interrupts. So a timer of the kernel
counts the CPU time of this process, and ends it by SIGPROF, at its default action. A thread resets
the timer again and again, as long as Python code can run and the guard lives.

CPU time does not pass while the process waits, is suspended or is starved. Child processes do not
inherit the timer (setitimer(2)); `exec` would keep it, which the supervisor never calls.
"""

from __future__ import annotations

import signal
import sys

CPU_LIMIT_S = 60.0
RESET_EVERY_S = 5.0  # few threads of ours compute: they cannot use up the limit meanwhile
_is_on = False


if sys.platform != "win32":

    def start(guard_fd: int) -> None:
        """Start the timer; `guard_fd` shows the guard's end.

        Without a thread there is no timer, nor if a profiler handles SIGPROF.
        """
        global _is_on

        from procsup.host.threads import try_start_thread

        if signal.getsignal(signal.SIGPROF) not in (signal.SIG_DFL, signal.SIG_IGN):
            return
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        _set_timer(CPU_LIMIT_S)
        thread = try_start_thread(lambda: _keep_resetting(guard_fd), "procsup-watchdog")
        _is_on = thread is not None
        if not _is_on:
            _set_timer(0)

    def _keep_resetting(guard_fd: int) -> None:
        import select

        poller = select.poll()
        poller.register(guard_fd, 0)  # only its end; others read it
        try:
            while not poller.poll(RESET_EVERY_S * 1000):
                _set_timer(CPU_LIMIT_S)
        except OSError:
            _set_timer(0)  # it cannot be reset at the right times

    def _set_timer(limit_s: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, limit_s)


def write_stacks_to(fd: int) -> None:
    """Have the timer write the stack of each thread to a file before it ends the process.

    It must be a regular file: a pipe that is full would keep the process from ending.
    """
    if sys.platform != "win32" and _is_on:
        import faulthandler

        faulthandler.register(signal.SIGPROF, file=fd, chain=True)


def explain() -> str:
    """Return what the guard says of a supervisor that the timer has ended."""
    return (
        f"the supervisor was stuck, so that it was ended: within {CPU_LIMIT_S:g} s of CPU time it"
        " could execute no Python code; the next run goes on from here"
    )

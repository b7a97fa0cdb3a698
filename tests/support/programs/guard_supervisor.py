"""A supervisor under a guard, which does what its first argument says; it reports on stdout.

Needs PYTHONPATH to hold the package. Each line it prints is one fact; the first one is
``guard PID supervisor PID``, written once the guard is ready.
"""

import os
import signal
import subprocess
import sys
import time

from procsup.host import guard

_FOREVER = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
_DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
print("child", os.getpid(), flush=True)
os.execve(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(60)"], {})
"""
_BREEDER = """
import os, time
end = time.monotonic() + 20
while time.monotonic() < end:
    if os.fork():
        time.sleep(0.002)
        os._exit(0)
"""


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def start_plain():
    child = subprocess.Popen(_FOREVER, start_new_session=True)
    say("child", child.pid)


def start_daemon():
    subprocess.run([sys.executable, "-S", "-c", _DAEMON], start_new_session=True, check=True)


def start_breeder():
    subprocess.Popen([sys.executable, "-S", "-c", _BREEDER], start_new_session=True)


def die_when_guard_is_dead(line):
    import select

    select.select([line.fd], [], [], 20)
    say("guard alive", line.alive())


def hear_signals():
    """Report each signal; three of them do not end it."""
    heard = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for signum in heard:
        signal.signal(signum, lambda *_: None)
    say("hearing")
    while True:
        say("heard", os.read(reader, 1)[0])


def main(what, *args):
    guard.fork_supervisor()
    line = guard.lifeline()
    line.wait_until_ready(20)
    say("guard", os.getppid(), "supervisor", os.getpid())
    if what == "exit":
        sys.exit(int(args[0]))
    if what == "die-by":
        guard.die_by(int(args[0]))
    if what == "watch-guard":
        die_when_guard_is_dead(line)
        return
    if what == "hear":
        start_plain()
        hear_signals()
    for start in args:
        {"plain": start_plain, "daemon": start_daemon, "breeder": start_breeder}[start]()
    say("started")
    if what == "release":
        line.release()
    elif what == "wait":
        time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A supervisor under a guard. What it does: its first argument; what it starts before: the others.

It says each fact as a line on stdout. What it starts inherits stdout, so its end is the proof
that all of it is gone.
"""

import os
import re
import select
import signal
import subprocess
import sys
import time

from procsup.host import guard, guardian, signals, watchdog

_PLAIN = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
_DAEMON = """
import os, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.write(1, b"child %d\\n" % os.getpid())
os.execve(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(60)"], {})
"""
_BREEDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard_breeder.py")


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def start_plain():
    child = subprocess.Popen(_PLAIN, start_new_session=True)
    say("child", child.pid)


def start_daemon():
    subprocess.run([sys.executable, "-S", "-c", _DAEMON], start_new_session=True, check=True)


def start_breeder():
    subprocess.Popen([sys.executable, "-S", _BREEDER], start_new_session=True)


def start_bomb():
    for _ in range(16):
        start_breeder()


STARTS = {
    "plain": start_plain,
    "daemon": start_daemon,
    "breeder": start_breeder,
    "bomb": start_bomb,
}


def end_at_once(line):
    """Return: whatever was started lives on."""


def die_of(name):
    def die(line):
        signals.die_by(signal.Signals[name])

    return die


def wait(line):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    say("ready")
    time.sleep(60)


def watch_guard(line):
    say("ready")
    select.select([line.fd], [], [], 20)
    say("guard alive", line.is_alive())


def release(line):
    line.release()


def tell_run(line):
    os.environ["PROCSUP_RUN"] = "the-run"
    start_plain()
    line.tell_run_id("the-run")
    wait(line)


def hear(line):
    """Say each signal that comes, and go on."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    for signum in (*ends, signal.SIGUSR1):
        signal.signal(signum, lambda *_: None)
    say("ready")
    while True:
        for signum in os.read(reader, 64):
            say("heard", signal.Signals(signum).name)


def spoil_terminal(line):
    import termios

    settings = termios.tcgetattr(2)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(2, termios.TCSANOW, settings)
    os.write(2, b"\x1b[?25l")
    wait(line)


def show_signals(line):
    say("blocked", len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    say("SIGCHLD default", signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL)


def hold_the_lock(line):
    say("ready")
    re.match("(a*)*b", "a" * 99)


def hold_the_lock_with_stacks(line):
    watchdog.write_stacks_to(2)
    hold_the_lock(line)


def loop(line):
    """Execute Python code for ever, and hear nothing."""
    say("ready")
    while True:
        pass


def compute(line):
    """Use more CPU time than a supervisor may that is stuck."""
    until = time.process_time() + 4 * watchdog.CPU_LIMIT_S
    while time.process_time() < until:
        pass
    say("computed")


def show_timer(line):
    show = (
        "import signal; print(signal.getsignal(signal.SIGPROF) is signal.SIG_DFL,"
        " signal.getitimer(signal.ITIMER_PROF)[0] > 0, flush=True)"
    )
    exec(show)
    subprocess.run([sys.executable, "-S", "-c", show], check=True)


DEEDS = {
    "end": end_at_once,
    "wait": wait,
    "watch-guard": watch_guard,
    "release": release,
    "tell-run": tell_run,
    "hear": hear,
    "spoil-terminal": spoil_terminal,
    "show-signals": show_signals,
    "hold-lock": hold_the_lock,
    "hold-lock-with-stacks": hold_the_lock_with_stacks,
    "loop": loop,
    "compute": compute,
    "show-timer": show_timer,
}


def main(deed, *starts):
    if deed == "tell-run":
        guardian._adopt_orphans = lambda: False  # as on macOS
    if deed in ("hold-lock", "hold-lock-with-stacks", "loop", "compute"):
        watchdog.CPU_LIMIT_S, watchdog.RESET_EVERY_S = 0.3, 0.02
    guard.fork_supervisor()
    line = guard.find_guard_link()
    line.wait_until_ready(20)
    say("guard", os.getppid(), "adopts", line.adopts)
    say("supervisor", os.getpid())
    for name in starts:
        STARTS[name]()
    if deed.isdigit():
        sys.exit(int(deed))
    DEEDS.get(deed, die_of(deed))(line)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A unit that reports to the test's gate and does what it is told; runs on any Python 3.

    gated.py PORT NAME [--daemon] [--scrub] [--ignore-term] [--output PATH] [--lock PATH]

It connects to 127.0.0.1:PORT, says ``NAME PID`` and then obeys lines: ``exit N``,
``write PATH TEXT``, ``signal N``. The connection ends when the process does, however it ends:
that is how the test learns of its death, without looking for it. ``--daemon`` first leaves a
daemon behind (double fork, own session, no files) which reports as ``NAME-daemon``; ``--scrub``
clears the daemon's environment. ``--lock`` takes an exclusive lock and fails with exit 99 if a
second live copy holds it. ``--shed`` first becomes a process without procsup's environment and
files.
"""

import os
import signal
import socket
import sys


def report(port, name):
    gate = socket.create_connection(("127.0.0.1", port))
    gate.sendall(f"{name} {os.getpid()}\n".encode())
    return gate


def obey(gate):
    for line in gate.makefile("r"):
        word, _, rest = line.strip().partition(" ")
        if word == "exit":
            os._exit(int(rest))
        if word == "signal":
            os.kill(os.getpid(), int(rest))
        if word == "write":
            path, _, text = rest.partition(" ")
            with open(path, "w") as file:
                file.write(text)
            gate.sendall(b"written\n")
    os._exit(98)  # the test is gone


def leave_daemon(port, name, scrub):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if scrub:
        again = [sys.executable, os.path.abspath(__file__), str(port), name]
        os.execve(sys.executable, again, {})
    obey(report(port, name))


def main(argv):
    port, name, options = int(argv[0]), argv[1], argv[2:]
    if "--shed" in options:
        options.remove("--shed")
        os.closerange(3, 64)
        again = [sys.executable, os.path.abspath(__file__), str(port), name]
        os.execve(sys.executable, again + options, {})
    if "--lock" in options:
        import fcntl

        held = open(options[options.index("--lock") + 1], "a")  # noqa: SIM115
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os._exit(99)
    if "--ignore-term" in options:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--daemon" in options:
        leave_daemon(port, name + "-daemon", "--scrub" in options)
    gate = report(port, name)
    if "--output" in options:
        with open(options[options.index("--output") + 1], "w") as file:
            file.write(name)
    obey(gate)


main(sys.argv[1:])

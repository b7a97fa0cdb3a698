"""A shell for one job, in any of the ways that jobs are started: WAY STDIN STDOUT STDERR ARGV...

Must lead a session. ``pty``: the foreground job of a terminal; ``background``: as ``&`` in a
script, INT and QUIT ignored; ``nohup``: by that program; ``pipe``: no terminal at all. The
streams are paths. Says ``job PID`` and each change of its state on its own stdout.
"""

import os
import signal
import sys


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def become_job(way, streams, argv):
    os.setpgid(0, 0)
    if way == "pty":
        os.tcsetpgrp(os.open(streams[0], os.O_RDWR), os.getpgrp())
    for number, path in enumerate(streams):
        flags = os.O_RDWR if os.path.realpath(path).startswith("/dev/") else os.O_WRONLY
        os.dup2(os.open(path, flags | os.O_CREAT, 0o600), number)
    for signum in (signal.SIGPIPE, signal.SIGTTOU):
        signal.signal(signum, signal.SIG_DFL)
    if way == "background":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    if way == "nohup":
        argv = ["nohup", *argv]
    os.closerange(3, 64)
    os.execvp(argv[0], argv)


def main(way, stdin, stdout, stderr, *argv):
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    if way in ("pty", "background"):
        os.open(stderr, os.O_RDWR)  # whoever leads a session has the terminal that it opens
    job = os.fork()
    if not job:
        become_job(way, (stdin, stdout, stderr), list(argv))
    say("job", job)
    while True:
        _, status = os.waitpid(job, os.WUNTRACED | os.WCONTINUED)
        if os.WIFSTOPPED(status):
            say("stopped", signal.Signals(os.WSTOPSIG(status)).name)
        elif os.WIFCONTINUED(status):
            say("continued")
        elif os.WIFSIGNALED(status):
            say("over", signal.Signals(os.WTERMSIG(status)).name)
            return
        else:
            say("over", os.WEXITSTATUS(status))
            return


if __name__ == "__main__":
    main(*sys.argv[1:])

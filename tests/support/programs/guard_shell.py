"""A shell with job control, for one job: TERMINAL ARGV... Says each change of the job's state.

Must lead a session. The terminal becomes that of the session, and the job its foreground job.
Reads commands on stdin: ``continue`` continues the job in the foreground.
"""

import os
import signal
import sys
import threading


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def start(terminal, argv):
    job = os.fork()
    if not job:
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.dup2(terminal, 0)
        os.dup2(terminal, 2)
        os.execv(argv[0], argv)
    return job


def obey(terminal, job):
    for command in sys.stdin:
        if command.strip() == "continue":
            os.tcsetpgrp(terminal, job)
            os.killpg(job, signal.SIGCONT)


def main(path, *argv):
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    terminal = os.open(path, os.O_RDWR)
    job = start(terminal, argv)
    threading.Thread(target=obey, args=(terminal, job), daemon=True).start()
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            os.tcsetpgrp(terminal, os.getpgrp())
            say("job stopped", signal.Signals(os.WSTOPSIG(status)).name)
        elif os.WIFSIGNALED(status):
            say("job died", signal.Signals(os.WTERMSIG(status)).name)
            return
        else:
            say("job exited", os.WEXITSTATUS(status))
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # the thread may sit in a read

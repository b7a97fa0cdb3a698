"""A child that behaves as its first argument says; used by the engine's tests.

What says ``ready`` has done its part; pids go to stdout, one a line.
"""

import os
import signal
import subprocess
import sys
import time

LIMIT_S = 30.0  # nothing of this outlives a test by more


def say(*words):
    print(*words, flush=True)


def sleep():
    say("ready")
    time.sleep(LIMIT_S)


def exit_with(code):
    sys.exit(int(code))


def die_by(signum):
    os.kill(os.getpid(), int(signum))
    time.sleep(LIMIT_S)


def ignore_term():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep()


def be_stopped():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    say("ready")
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(LIMIT_S)


def leave_child():
    child = subprocess.Popen([sys.executable, __file__, "sleep"], stdin=subprocess.DEVNULL)
    say(child.pid)


def keep_child():
    leave_child()
    sleep()


def daemonize(environment=None, then="end"):
    """Fork twice, with a session of its own; the daemon holds stdout open."""
    reading, writing = os.pipe()  # closed by the daemon's exec: then it has said who it is
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            say(os.getpid())
            argv = [sys.executable, __file__, "sleep"]
            os.execve(argv[0], argv, os.environ if environment is None else environment)
        os._exit(0)
    os.close(writing)
    os.wait()
    os.read(reading, 1)
    if then == "sleep":
        time.sleep(LIMIT_S)


def daemonize_and_sleep():
    daemonize(then="sleep")


def daemonize_scrubbed():
    daemonize({})


def run_and_fork(times):
    """A fork runner: each generation forks once, in a session of its own, and ends at once."""
    say("ready")
    for _ in range(int(times)):
        if os.fork():
            os._exit(0)
        os.setsid()
    time.sleep(LIMIT_S)


def breed(depth):
    """A branching bomb: two children each, all of which breed on after a while."""
    say("ready")
    for _ in range(int(depth)):
        if os.fork() == 0:
            os.setsid()
        time.sleep(0.002)
    time.sleep(LIMIT_S)


def show_affinity():
    say(*sorted(os.sched_getaffinity(0)))


def show_environment():
    import json

    say(json.dumps(dict(os.environ)))


def show_everything():
    say("out")
    print("err", file=sys.stderr, flush=True)
    say(sys.stdin.read())


def hang():
    def deep_in_thought():
        say("ready")
        time.sleep(LIMIT_S)

    deep_in_thought()


def drift_to(cpu):
    os.sched_setaffinity(0, [int(cpu)])
    sleep()


def take_memory(size):
    block = bytearray(int(size))
    say("ready", len(block))
    time.sleep(LIMIT_S)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

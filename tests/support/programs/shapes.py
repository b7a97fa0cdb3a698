"""A unit of one of the shapes that are hard to end: shapes.py SHAPE END FOLDER [HOW].

END is the exit code, or ``stay``. Each process of it notes itself in FOLDER as
``pids/SHAPE.PID``, its start in the file; ``SHAPE.ready`` appears when all are there. With a file
``calm`` in FOLDER every shape exits 0 at once. Nothing of it lives longer than LIMIT_S. Of writers
HOW is the file that a daemon of theirs still writes after their end.
"""

import mmap
import os
import signal
import sys
import time

LIMIT_S = 20.0
PATIENCE_S = 1800.0  # of a ``patient`` neighbour
MOST_OF_BOMB = 60
BRED_EVERY_S = 0.01
LIFE_IN_BOMB_S = 0.2
ROUNDS = 3
WRITES_S = 0.4  # after the end of the main process
CLEANS_S = 0.3
SHAPE, END, FOLDER = sys.argv[1:4]


def note():
    try:
        with open("/proc/self/stat") as file:
            start = file.read().rpartition(")")[2].split()[19]
    except OSError:
        start = "0"  # a system without /proc
    path = os.path.join(FOLDER, "pids", f"{SHAPE}.{os.getpid()}")
    with open(path + ".new", "w") as file:
        file.write(start)
    os.rename(path + ".new", path)


def sleep():
    time.sleep(LIMIT_S)
    os._exit(0)


def branch(deed, *, orphan=False, session=False):
    """Fork; return when the new process has noted itself and goes on with its deed."""
    reading, writing = os.pipe()
    first = os.fork()
    if first == 0:
        if session:
            os.setsid()
        if orphan and os.fork():
            os._exit(0)
        note()
        os.close(reading)
        os.write(writing, b".")
        os.close(writing)
        deed()
        os._exit(0)
    os.close(writing)
    if orphan:
        os.waitpid(first, 0)
    os.read(reading, 1)
    os.close(reading)


def plain():
    """Have nothing but the main process."""


def ignores_term():
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    branch(sleep)


def stopped():
    branch(stop_and_sleep)


def stop_and_sleep():
    os.kill(os.getpid(), signal.SIGSTOP)
    sleep()


def with_child():
    branch(sleep)


def daemonized():
    branch(sleep, orphan=True, session=True)


def scrubbed():
    """Leave a daemon whose environment tells nothing."""
    branch(lambda: again("sleep", {}), orphan=True, session=True)


def own_session():
    branch(sleep, session=True)


def runner():
    """Fork and exit, generation after generation, each in a session of its own."""
    branch(run_on, orphan=True)


def run_on():
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        if os.fork():
            os._exit(0)
        os.setsid()


def bomb():
    """Breed on and on, but never more than a pipe has tokens."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"." * (MOST_OF_BOMB - 2))
    branch(lambda: breed(reading, writing, time.monotonic() + LIMIT_S), orphan=True)


def breed(reading, writing, until):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    life = until
    born = time.monotonic()
    while time.monotonic() < min(until, born + life):
        if take(reading) and os.fork() == 0:
            os.setsid()
            born, life = time.monotonic(), LIFE_IN_BOMB_S
        time.sleep(BRED_EVERY_S)
    os.write(writing, b".")
    os._exit(0)


def take(reading):
    try:
        return bool(os.read(reading, 1))
    except BlockingIOError:
        return False


def pipe_holder():
    """Leave a grandchild in our group that holds stdout, and a pipe whose other end is gone."""
    os.set_inheritable(os.pipe()[1], True)
    branch(sleep, orphan=True)


def re_exec():
    branch(lambda: again("sleep", os.environ))


def own_group():
    branch(leave_group)


def leave_group():
    os.setpgid(0, 0)
    branch(sleep)
    sleep()


def log_holder():
    branch(write_log, orphan=True, session=True)


def write_log():
    log = os.open("/dev/fd/1", os.O_WRONLY | os.O_APPEND)
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        os.write(log, b"still here\n")
        time.sleep(0.01)


def tracker():
    """Leave a process that ignores the stop, and cleans up when our end of a pipe is closed."""
    reading, writing = os.pipe()
    branch(lambda: track(reading, writing), orphan=True)
    os.close(reading)


def track(reading, writing):
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(writing)
    os.read(reading, 1)
    time.sleep(CLEANS_S)
    touch("cleaned")


def holding():
    write_behind(write_slowly)


def renaming():
    write_behind(rename)


def appending():
    write_behind(append)


def mapping():
    write_behind(write_map)


def write_behind(write):
    """Leave a daemon that writes for a while; for long, if we shall stay."""
    path = sys.argv[4]
    if write is write_map:
        with open(path, "wb") as file:
            file.write(bytes(4096))
    branch(lambda: write(path), orphan=True, session=True)
    first = path + ".part" if write is rename else path
    while not os.path.exists(first):  # who has nothing open yet is not known everywhere
        time.sleep(0.001)


def until_written():
    return time.monotonic() + (WRITES_S if END != "stay" else LIMIT_S)


def write_slowly(path):
    until = until_written()
    with open(path, "w") as file:
        while time.monotonic() < until:
            file.write("more\n")
            file.flush()
            time.sleep(0.02)
        file.write("end\n")


def rename(path):
    write_slowly(path + ".part")
    os.rename(path + ".part", path)


def append(path):
    until = until_written()
    line = "more\n"
    while line == "more\n":
        line = "more\n" if time.monotonic() < until else "end\n"
        with open(path, "a") as file:
            file.write(line)
        time.sleep(0.02)


def write_map(path):
    with open(path, "r+b") as file:
        area = mmap.mmap(file.fileno(), 0)
    time.sleep(until_written() - time.monotonic())
    area[-4:] = b"end\n"


def failing():
    """Fail when the harness wants it."""
    touch("ready")
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until and not os.path.exists(os.path.join(FOLDER, "fail")):
        time.sleep(0.02)
    os._exit(3)


def neighbour():
    """Live until the harness has seen enough, then end well; with a stray daemon if `attended`."""
    if "attended" in sys.argv:
        scrubbed()
    touch("ready")
    until = time.monotonic() + (LIMIT_S if "patient" not in sys.argv else PATIENCE_S)
    while time.monotonic() < until:
        if os.path.exists(os.path.join(FOLDER, "release")):
            os._exit(0)
        time.sleep(0.02)
    os._exit(9)


def stubborn():
    """The same, but a stop signal is only noted."""
    signal.signal(signal.SIGTERM, lambda *_: touch("termed"))
    neighbour()


SHAPES = {
    "plain": plain,
    "ignores-term": ignores_term,
    "stopped": stopped,
    "with-child": with_child,
    "daemonized": daemonized,
    "setsid": own_session,
    "runner": runner,
    "bomb": bomb,
    "pipe-holder": pipe_holder,
    "re-exec": re_exec,
    "own-group": own_group,
    "log-holder": log_holder,
    "scrubbed": scrubbed,
    "tracker": tracker,
    "holding": holding,
    "renaming": renaming,
    "appending": appending,
    "mapping": mapping,
    "failing": failing,
    "neighbour": neighbour,
    "second": neighbour,
    "third": neighbour,
    "stubborn": stubborn,
}


WRITERS = ("holding", "renaming", "appending", "mapping")


def again(what, environment):
    argv = [sys.executable, "-I", "-S", os.path.abspath(__file__), SHAPE, END, FOLDER, what]
    os.execve(argv[0], argv, environment)


def touch(what):
    with open(os.path.join(FOLDER, f"{SHAPE}.{what}"), "w"):
        pass


def main(*more):
    if more == ("sleep",):
        sleep()
    if os.path.exists(os.path.join(FOLDER, "calm")):
        if SHAPE in WRITERS:
            with open(sys.argv[4], "w") as file:
                file.write("end\n")
        os._exit(0)
    past = int(more[0]) if more and more[0].isdigit() else 0
    if SHAPE == "re-exec" and past < ROUNDS:
        again(str(past + 1), os.environ)
    note()
    SHAPES[SHAPE]()
    touch("ready")
    if END != "stay":
        os._exit(int(END))
    if SHAPE == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    sleep()


main(*sys.argv[4:])

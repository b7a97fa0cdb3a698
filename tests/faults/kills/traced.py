"""Runs procsup's program, each time in a fork of this process, with a death planned at some line.

    traced.py serve [FAULT]  one order a line on stdin; answers with the pid, then with the status
    traced.py ORDER          carries out one order in this very process, nothing of procsup loaded

An order is JSON: `argv`, `cwd`, `env`, `output` (a file for stdout and stderr), `notes` (a folder
for what is told to the harness), and for each role, ``S`` (the supervisor, and what it does
before the guard's fork) and ``G`` (the guard), either `deaths` {role: [file, line, nth, whom]} or
`records` {role: file}. `whom` dies is ``self``, ``guard`` or ``both``. procsup knows nothing of
it: the lines are watched by `sys.settrace`, the fork by `os.register_at_fork`.
"""

import gc
import json
import os
import signal
import sys
import threading
import time
import traceback

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
PACKAGE = os.path.join(ROOT, "procsup") + os.sep


class Watch:
    """Follows the executed lines of procsup in this process and in the one that it forks."""

    def __init__(self, order):
        self.notes = order["notes"]
        self.deaths = order.get("deaths", {})
        self.records = order.get("records", {})
        self.forked = False
        self.guard = None
        self.take("S")

    def take(self, role):
        self.role = role
        self.count = 0
        self.target = self.line = self.fd = None
        if role in self.deaths:
            name, self.line, self.nth, self.whom = self.deaths[role]
            self.target = PACKAGE + name
        if role in self.records:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self.fd = high(os.open(self.records[role], flags, 0o600))

    def start(self):
        os.register_at_fork(after_in_parent=self.be_guard, after_in_child=self.be_child)
        threading.settrace(self.on_call)
        sys.settrace(self.on_call)

    def be_guard(self):
        if self.forked:
            return
        self.forked = True
        self.take("G")
        frame = sys._getframe()
        while frame is not None:
            frame.f_trace = self.on_call(frame, "call", None)
            frame = frame.f_back

    def be_child(self):
        if not self.forked:
            self.forked = True
            self.guard = os.getppid()
            self.note("supervisor")

    def on_call(self, frame, _event, _value):
        name = frame.f_code.co_filename
        if self.target is not None and name == self.target:
            return self.on_line
        if self.fd is not None and name.startswith(PACKAGE):
            return self.record
        return None

    def on_line(self, frame, event, _value):
        if event == "line" and frame.f_lineno == self.line:
            self.count += 1
            if self.count == self.nth:
                self.strike()
        return self.on_line

    def record(self, frame, event, _value):
        if event == "line":
            code = frame.f_code
            name = code.co_filename[len(PACKAGE) :]
            os.write(self.fd, f"{name} {frame.f_lineno} {code.co_name}\n".encode())
        return self.record

    def strike(self):
        self.note(f"death-{self.role}")
        # Before the fork, and after the guard's death, the parent is none of procsup's: after it
        # the parent may be the process that runs the tests, which can be a subreaper.
        if self.role == "S" and self.whom != "self" and self.guard == os.getppid():
            os.kill(self.guard, signal.SIGKILL)
        if self.whom != "guard" or not self.forked:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, kind):
        """Tell the harness who this is, and when (monotonic, the same for all processes)."""
        path = os.path.join(self.notes, kind)
        fd = os.open(path + "~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.write(fd, json.dumps([os.getpid(), time.monotonic()]).encode())
        os.close(fd)
        os.rename(path + "~", path)


def high(fd):
    """Move a descriptor out of the way: procsup shall get the numbers that it always gets."""
    import fcntl

    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200)
    os.close(fd)
    return moved


def hold_alive(notes):
    """Hold a lock for as long as this process or the one that it forks lives."""
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    fcntl.flock(high(os.open(os.path.join(notes, "alive"), flags, 0o600)), fcntl.LOCK_EX)


def become(order):
    """Be the program, in a process that was made for it."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    null = os.open(os.devnull, os.O_RDONLY)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, fd in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, fd)
    os.closerange(3, 100)
    hold_alive(order["notes"])
    sys.argv = ["procsup", *order["argv"]]
    if "deaths" in order or "records" in order:
        Watch(order).start()
    from procsup.__main__ import program

    code = program()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def load_everything():
    """Import what a run imports, so that a fork is a run that is about to begin."""
    import pkgutil

    import procsup

    for module in pkgutil.walk_packages(procsup.__path__, "procsup."):
        load(module.name)
    for name in ("psutil", "ctypes", "subprocess", "hashlib", "rich.console"):
        load(name)


def load(name):
    import importlib

    try:
        importlib.import_module(name)
    except (ImportError, AssertionError, AttributeError):
        pass  # of another system, or of a package that is not installed: a run will tell


def serve(breaks=""):
    """Carry out orders until stdin ends; `breaks`: put this fault into procsup first."""
    orders, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    load_everything()
    if breaks:
        from tests.faults.kills import seeded

        seeded.FAULTS[breaks]()
    gc.collect()
    gc.freeze()
    for line in orders:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                become(order)
            except BaseException:  # noqa: BLE001 (the loop of orders must never run in the fork)
                traceback.print_exc()
            os._exit(99)
        answers.write(f"{pid}\n")
        answers.flush()
        _, status = os.waitpid(pid, 0)
        answers.write(f"{status}\n")
        answers.flush()


if __name__ == "__main__":
    sys.path[0] = ROOT
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        become(json.loads(sys.argv[1]))

"""A start program: procsup with one kind of system call failing, in a process forked per case.

``python seam.py`` patches the functions of `os` and its like, loads procsup, and then reads
orders from stdin, one JSON line each (see `Order` in `starting.py`). For each it forks a child
that is procsup, and answers with its pid and, at its end, its wait status. Nothing in procsup
knows of this. Waits that would only cost the suite time are shortened (`_hurry`).

The fault strikes in the supervisor only: the guard is the proof that nothing stays.
"""

import builtins
import errno
import fcntl
import json
import os
import pathlib  # noqa: F401  3.8 binds `os.open` as it is when this is first imported
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

HITS_TOLD = 400
REAL_WRITE, REAL_OPEN, REAL_SLEEP = os.write, os.open, time.sleep

# What each kind of call is in Python. A name that this Python lacks is left out.
FUNCTIONS: Dict[str, List[Tuple[Any, str]]] = {
    "open": [(os, "open"), (builtins, "open")],
    "write": [(os, "write")],
    "fdatasync": [(os, "fdatasync")],
    "fsync": [(os, "fsync")],
    "rename": [(os, "replace"), (os, "rename"), (os, "link")],
    "lock": [(fcntl, "flock")],
    "spawn": [(os, "fork"), (subprocess, "_fork_exec")],
    "pidfd_open": [(os, "pidfd_open")],
    "poll": [(select, "select")],  # and the objects of `select.epoll` and `select.poll`
    "wait": [(os, "waitid"), (os, "wait4"), (os, "waitpid")],
    "thread": [(threading, "_start_new_thread"), (threading, "_start_joinable_thread")],
    "kill": [(os, "kill"), (os, "killpg"), (signal, "pidfd_send_signal")],
}


class Fault:
    """What fails, when, and where it is told: ``error`` is a name of errno, or ``short``."""

    def __init__(self, order: Dict[str, Any], told: int) -> None:
        self.call: str = order["call"]
        self.error: str = order["error"]
        self.folder: str = order["folder"]
        self._first: int = order["first"]
        self._last: float = float("inf") if order["last"] is None else order["last"]
        self._by: str = order["by"]
        self._told = told
        self._seen = 0
        self._lock = threading.Lock()

    def strikes(self, what: str, target: Any) -> bool:
        """Count this call; tell whether it is one of those that fail."""
        if self._by and not any(name.startswith(self._by) for name in _callers()):
            return False
        with self._lock:
            self._seen += 1
            number = self._seen
        struck = self._first <= number <= self._last
        if (struck and number < self._first + HITS_TOLD) or self.error == "none":
            line = {"function": what, "target": _place(target), "by": _callers()}
            REAL_WRITE(self._told, json.dumps(line).encode() + b"\n")
        return struck and self.error != "none"


_fault: Optional[Fault] = None


def _place(target: Any) -> str:
    if isinstance(target, int):
        try:
            return os.readlink(f"/proc/self/fd/{target}")
        except OSError:
            return f"number {target}"
    return os.fsdecode(target) if isinstance(target, (str, bytes, os.PathLike)) else ""


def _callers() -> List[str]:
    """Return who of procsup's called, the innermost first: ``store/journal.py:append``.

    A seam is there under its name, too.
    """
    names = _names_of_seams()
    found = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        _, inside, name = frame.f_code.co_filename.rpartition("/procsup/")
        if inside:
            found += [seam for seam in (names.get(frame.f_code),) if seam]
            found.append(f"{name}:{frame.f_code.co_name}")
        frame = frame.f_back
    return found


def _names_of_seams() -> Dict[Any, str]:
    from procsup.seams import SEAMS

    return {operation.__code__: name for name, operation in SEAMS.items()}


def _target_of(call: str, args: Any) -> Any:
    if call == "rename" and len(args) > 1:
        return args[1]
    return args[0] if args else None


def _fails(call: str, name: str, target: Any) -> Optional[str]:
    fault = _fault
    if fault is None or fault.call != call:
        return None
    # Python reads its own files by the same name: only those of the case are meant.
    if name == "open" and call == "open" and isinstance(target, str) and _is_ours(target, fault):
        return None
    return fault.error if fault.strikes(name, target) else None


def _is_ours(path: str, fault: Fault) -> bool:
    inside = path.startswith((fault.folder, "/proc/"))
    return not inside and os.path.isabs(path)


def _wrapped(call: str, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        target = _target_of(call, args)
        error = _fails(call, name, target)
        if error is None:
            return real(*args, **kwargs)
        if error == "short":
            return real(args[0], bytes(args[1])[: max(1, len(args[1]) // 2)])
        if call == "thread":  # Python says no more than that
            raise RuntimeError("can't start new thread")
        number = getattr(errno, error)
        named = [target] if isinstance(target, (str, bytes)) else []
        raise OSError(number, os.strerror(number), *named)

    return wrapper


class _Polled:
    """An epoll or poll object whose waiting may fail."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def poll(self, *args: Any) -> Any:
        error = _fails("poll", "poll", None)
        if error is not None:
            raise OSError(getattr(errno, error), os.strerror(getattr(errno, error)))
        return self._real.poll(*args)


def _forking(real: Callable[[], int]) -> Callable[[], int]:
    """The guard is what stays behind a fork: no fault is meant for it."""

    def fork() -> int:
        global _fault
        pid = real()
        if pid and _fault is not None:
            _fault = None
        return pid

    return fork


def patch() -> None:
    """Put our functions in the place of the system's; to be called before procsup is loaded."""
    real_fork, epoll, poll = os.fork, getattr(select, "epoll", None), select.poll
    for call, functions in FUNCTIONS.items():
        for module, name in functions:
            if hasattr(module, name):
                real = getattr(module, name)
                setattr(module, name, stand_in(real, _wrapped(call, name, real)))
    os.fork = _wrapped("spawn", "fork", _forking(real_fork))
    select.poll = lambda: _Polled(poll())  # type: ignore[assignment,misc]
    if epoll is not None:
        select.epoll = lambda *args: _Polled(epoll(*args))  # type: ignore[assignment,misc]
    time.sleep = lambda seconds: REAL_SLEEP(min(seconds, 0.005))


def stand_in(real: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    """Return our function, which can what the real one can: procsup asks `os.supports_dir_fd`."""
    for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if real in able:
            able.add(ours)
    return ours


def _hurry() -> None:
    """Shorten what procsup waits for by the clock: a disk that may empty, a shortage, a corpse."""
    from procsup.attempt import attempt
    from tests.faults.seams import plant

    plant("wait out a shortage", lambda delay_s: lambda unit: delay_s(unit) / 200)
    attempt.UNKILLABLE_S = 0.5


def serve() -> None:
    """Read orders until there are no more; one case at a time."""
    for line in sys.stdin:
        order = json.loads(line)
        if "copies" in order:
            _start_crowd(order)
            continue
        pid = REAL_FORK()
        if pid == 0:
            try:
                _be_procsup(order)
            finally:
                os._exit(99)
        _say({"pid": pid})
        _say({"status": REAL_WAITPID(pid, 0)[1]})


def _start_crowd(order: Dict[str, Any]) -> None:
    """Start as many as are wanted, let them loose at one instant, and tell each end."""
    pids, gate = set(), os.pipe()
    for number in range(order["copies"]):
        pid = REAL_FORK()
        if pid == 0:
            try:
                os.close(gate[1])
                os.read(gate[0], 1)
                os.close(gate[0])
                _be_procsup({**order, "err": f"{order['err']}.{number}"})
            finally:
                os._exit(99)
        pids.add(pid)
    os.close(gate[0])
    os.close(gate[1])
    while pids:
        pid, status = REAL_WAITPID(-1, 0)
        pids.discard(pid)
        _say({"status": status})


REAL_FORK, REAL_WAITPID = os.fork, os.waitpid
_PREPARE: List[Callable[[Dict[str, Any]], None]] = []  # what each child does with its order first


def _say(answer: Dict[str, Any]) -> None:
    REAL_WRITE(1, json.dumps(answer).encode() + b"\n")


def _be_procsup(order: Dict[str, Any]) -> None:
    global _fault
    os.setsid()
    os.chdir(order["folder"])
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    stdin = order.get("stdin", os.devnull)
    streams = ((0, stdin, os.O_RDONLY), (1, order["out"], written), (2, order["err"], written))
    for fd, path, flags in streams:
        opened = REAL_OPEN(path, flags, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    told = REAL_OPEN(order["told"], written, 0o600)
    os.environ["FAULTS_CASE"] = order["mark"]
    sys.argv = ["procsup", *order["arguments"]]
    if order["call"] is not None:
        _fault = Fault(order, told)
    for prepare in _PREPARE:
        prepare(order)
    from procsup.__main__ import program

    os._exit(program(hosted="stdin" in order))


def main() -> None:
    patch()

    _hurry()
    for breakage in sys.argv[1:]:  # seeded faults: the suite proves itself by them
        module, name = breakage.split(":")
        __import__(module)
        prepare = getattr(sys.modules[module], name)()
        if prepare is not None:
            _PREPARE.append(prepare)
    serve()


if __name__ == "__main__":
    main()

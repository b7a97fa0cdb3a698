"""In the start program: notes every path that procsup touches, or plants something there first.

Python tells an audit hook of each call before it is made. So a stranger can come at the worst
moment: after all that procsup has looked at, just before it acts.
"""

import importlib
import json
import os
import pkgutil
import re
import resource
import sys
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from tests.faults.strangers.plants import Place, plant

# Asking about a file is a touch, too, but Python has no audit events for it.
ASKING = ("stat", "lstat", "readlink", "access")
# The parts of names that differ from one time to the next: of temporary files and of requests.
VARYING = re.compile(
    r"(?<=/\.procsup-)\d+(-[0-9a-f]{6,})?(?=[-.])|(?<=/control/\d-)[0-9a-f]{8,}-\d+"
)
MEMORY_BYTES = 3 << 30
# Which arguments of an audit event are paths, each with the place of the folder it starts from.
EVENTS: Dict[str, List[Tuple[int, Optional[int]]]] = {
    "open": [(0, None)],  # that of `os.open` is noted by `_opening`
    "os.listdir": [(0, None)],
    "os.scandir": [(0, None)],
    "os.truncate": [(0, None)],
    "os.chmod": [(0, 2)],
    "os.chown": [(0, 3)],
    "os.mkdir": [(0, 2)],
    "os.remove": [(0, 1)],
    "os.rmdir": [(0, 1)],
    "os.utime": [(0, 3)],
    "os.rename": [(0, 2), (1, 3)],
    "os.link": [(0, 2), (1, 3)],
    "os.symlink": [(1, 2)],
    "subprocess.Popen": [(0, None), (2, None)],  # the program, and the folder that it begins in
}
_now = threading.local()
_job: Optional[Dict[str, Any]] = None
_seen: Dict[str, int] = {}


def install() -> Callable[[Dict[str, Any]], None]:
    """Load all of procsup, so that few calls are its own import, and hear of every call."""
    import procsup

    for module in pkgutil.walk_packages(procsup.__path__, "procsup."):
        if module.name != "procsup.__main__":
            try:
                importlib.import_module(module.name)
            except (ImportError, AssertionError):
                pass  # another system's
    from procsup.queries import control as asking
    from procsup.store import control

    control.LOOK_EVERY_S = 0.01
    asking.request.__kwdefaults__["timeout_s"] = 2.0
    os.open = _opening(os.open)
    for name in ASKING:
        setattr(os, name, _asking(getattr(os, name)))
    sys.addaudithook(_heard)
    return _prepare


def _opening(real: Callable[..., int]) -> Callable[..., int]:
    stand_in: Callable[..., Any] = sys.modules["__main__"].stand_in  # type: ignore[attr-defined]

    def opening(*args: Any, dir_fd: Optional[int] = None) -> int:
        _now.folder = dir_fd
        try:
            return real(*args, dir_fd=dir_fd)
        finally:
            _now.folder = None

    return stand_in(real, opening)


def _asking(real: Callable[..., Any]) -> Callable[..., Any]:
    stand_in: Callable[..., Any] = sys.modules["__main__"].stand_in  # type: ignore[attr-defined]

    def asking(*args: Any, **more: Any) -> Any:
        if args and not isinstance(args[0], int):
            _now.folder = more.get("dir_fd")
            _heard("open", args)
            _now.folder = None
        return real(*args, **more)

    return stand_in(real, asking)


def _prepare(order: Dict[str, Any]) -> None:
    global _job
    os.environ.update(order["env"])
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, hard))
    _job = order


def _heard(event: str, arguments: Tuple[Any, ...]) -> None:
    job = _job
    if job is None or event not in EVENTS or getattr(_now, "busy", False):
        return
    _now.busy = True
    try:
        for path in _paths(event, arguments):
            if path.startswith(job["inside"]):
                _touched(job, path)
    finally:
        _now.busy = False


def _paths(event: str, arguments: Tuple[Any, ...]) -> Iterator[str]:
    for at, folder_at in EVENTS[event]:
        path = arguments[at]
        if not isinstance(path, (str, bytes, os.PathLike)):
            continue  # an open file
        folder = getattr(_now, "folder", None) if folder_at is None else arguments[folder_at]
        text = os.fsdecode(path)
        if not os.path.isabs(text):
            start = os.getcwd() if folder in (None, -1) else os.readlink(f"/proc/self/fd/{folder}")
            text = os.path.join(start, text)
        yield os.path.normpath(text)


def _touched(job: Dict[str, Any], path: str) -> None:
    name = VARYING.sub("*", path)
    number = _seen[name] = _seen.get(name, 0) + 1
    if job["note"] is not None:
        fd = os.open(job["note"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, json.dumps([name, number]).encode() + b"\n")
        os.close(fd)
    if [name, number] == job["at"]:
        place = Place(*job["place"])
        place = place._replace(path="/".join(path.split("/")[: place.path.count("/") + 1]))
        try:
            fd = os.open(job["came"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return  # the guard, or the supervisor, was first
        os.write(fd, place.path.encode())
        os.close(fd)
        plant(job["kind"], place)

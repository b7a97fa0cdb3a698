"""Requests to a live supervisor, the same on every system: one file per request.

The file name contains the sitting that the request is for, so that a later sitting never carries
it out. The answer is a journal record, which the verb waits for.
"""

import os
import time
from typing import Callable, List, Optional, Sequence, Set, Tuple

import msgspec
from msgspec import Struct

from procsup.core.events import Asked
from procsup.core.text import pack, unpack
from procsup.errors import RecordError, RunUnfinished, UsageError
from procsup.host.files import is_temporary, open_private, reason, remove, write_atomically
from procsup.store.rundir import RunDir
from procsup.store.sitting import read_owner

# An older supervisor ignores the units of `stop` and ends the whole run: hence `stop-units`.
VERBS = ("drain", "stop", "stop-units", "retry")
LOOK_EVERY_S = 0.5
_LIMIT_BYTES = 1 << 20
_ENDING = ".json"


class _Request(Struct, frozen=True):
    verb: str
    grace_s: Optional[float] = None
    units: Tuple[str, ...] = ()


def ask(
    rundir: RunDir, verb: str, grace_s: Optional[float] = None, units: Sequence[str] = ()
) -> str:
    """Write a request to the present sitting; return its id, which the answer will contain.

    RunUnfinished if there is no live supervisor, UsageError if the request is too long.
    """
    owner = read_owner(rundir)
    if owner is None or owner.ended is not None or owner.sitting == 0:
        raise RunUnfinished(f"nobody is working on {rundir.path}: there is nothing to {verb}")
    request = f"{owner.sitting}-{time.time_ns():x}-{os.getpid()}"
    text = msgspec.json.encode(_Request(verb, grace_s, tuple(pack(list(units)))))
    if len(text) > _LIMIT_BYTES:
        raise UsageError(f"{len(units)} units are too many for one request: {verb} fewer at once")
    try:
        write_atomically(rundir.control / f"{request}{_ENDING}", [text, b"\n"])
    except OSError as error:
        problem = f"{rundir.control}: the request could not be written: {reason(error)}"
        raise RecordError(problem) from error
    return request


class ControlInbox:
    """The supervisor's side: `drain` may be called at any rate, it reads the folder twice a second.

    `ignored` holds a sentence for each invalid request.
    """

    def __init__(
        self, rundir: RunDir, sitting: int, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.ignored: List[str] = []
        self._rundir = rundir
        self._prefix = f"{sitting}-"
        self._now = now
        self._next_look = now()
        self._taken: Set[str] = set()

    @property
    def next_look(self) -> float:
        """The monotonic time before which `drain` has nothing new."""
        return self._next_look

    def drain(self) -> List[Asked]:
        """Return the new requests, each once, oldest first."""
        if self._now() < self._next_look:
            return []
        self._next_look = self._now() + LOOK_EVERY_S
        try:
            names = sorted(os.listdir(self._rundir.control))
        except OSError:
            return []  # the run directory was removed: the journal reports it
        found = (self._take(name) for name in names if not is_temporary(name))
        return [asked for asked in found if asked is not None]

    def done(self, request: str) -> None:
        """Remove a request that was answered."""
        self._discard(f"{request}{_ENDING}")

    def _take(self, name: str) -> Optional[Asked]:
        if name in self._taken:
            return None
        request = name[: -len(_ENDING)]
        if not name.endswith(_ENDING) or not name.startswith(self._prefix):
            self._ignore(name, "it is not meant for this sitting")
            return None
        try:
            asked = self._read(name)
        except FileNotFoundError:
            return None
        except (OSError, RecordError, ValueError, msgspec.MsgspecError, RecursionError) as error:
            self._ignore(name, str(error))
            return None
        if asked.verb not in VERBS:
            self._ignore(name, f"{asked.verb!r} is no request that this procsup knows")
            return None
        self._taken.add(name)
        return Asked(request, asked.verb, asked.grace_s, tuple(unpack(list(asked.units))))

    def _read(self, name: str) -> _Request:
        fd = open_private(self._rundir.control / name, os.O_RDONLY)
        try:
            text = os.read(fd, _LIMIT_BYTES)
        finally:
            os.close(fd)
        request = msgspec.json.decode(text, type=_Request)
        if request.grace_s is not None and not 0 <= request.grace_s < float("inf"):
            raise ValueError(f"a grace of {request.grace_s} s")
        return request

    def _ignore(self, name: str, problem: str) -> None:
        self.ignored.append(f"request {name!r} ignored: {problem}")
        del self.ignored[:-100]
        self._taken.add(name)
        self._discard(name)

    def _discard(self, name: str) -> None:
        try:
            remove(self._rundir.control / name)
        except OSError:
            pass  # a folder, or held open: it is never read again

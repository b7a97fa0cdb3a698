"""Requests to a live supervisor, the same on every system: one file per request.

The file name contains the sitting that the request is for, so that a later sitting never carries
it out. The answer is a journal record, which the verb waits for.
"""

import errno
import os
import re
import time
from contextlib import ExitStack, contextmanager
from typing import (
    BinaryIO,
    Callable,
    Iterator,
    List,
    Optional,
    Sequence,
    Set,
    Tuple,
)

import msgspec
from msgspec import Struct

from procsup.core.events import Asked
from procsup.core.text import pack, unpack
from procsup.errors import RecordError, RunUnfinished, UsageError
from procsup.host.files import describe_error, is_temporary, make_temporary_name, open_private
from procsup.host.opened import Folder, make_replaced_error
from procsup.host.owners import is_ours, is_ours_or_roots, name_user
from procsup.store.owner import Owner, decode_owner, open_owner
from procsup.store.rundir import CONTROL, RunDir

LOOK_EVERY_S = 0.5
_LIMIT_BYTES = 1 << 20
_ENDING = ".json"
_NAME = r"\d+-[0-9a-f]+-\d+\.json"


class _Request(Struct, frozen=True):
    verb: str
    grace_s: Optional[float] = None
    units: Tuple[str, ...] = ()
    why: str = ""


def ask(
    rundir: RunDir,
    verb: str,
    grace_s: Optional[float] = None,
    units: Sequence[str] = (),
    *,
    of: Optional[Owner] = None,
    why: str = "",
) -> str:
    """Write a request to the present sitting; return its id, which the answer will contain.

    `of` is the supervisor that it is for, `why` the recorded reason of a stop. RunUnfinished if
    none or another one is live, UsageError if the request is too long, RecordError if it cannot be
    written to the folder that has the supervisor's line.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_owner(rundir))
            owner = decode_owner(file)
        except OSError:
            owner = None
        if owner is None or owner.ended is not None or owner.sitting == 0:
            raise RunUnfinished(f"no supervisor works on {rundir.path}: there is nothing to {verb}")
        if of is not None and not owner.is_same(of):
            raise RunUnfinished(f"{of.describe()} no longer works on {rundir.path}")
        asked = _Request(verb, grace_s, tuple(pack(list(units))), why)
        return _ask(rundir, owner, file, asked)


def _ask(rundir: RunDir, owner: Owner, file: BinaryIO, asked: _Request) -> str:
    request = f"{owner.sitting}-{time.time_ns():x}-{os.getpid()}"
    text = msgspec.json.encode(asked)
    if len(text) > _LIMIT_BYTES:
        count = len(asked.units)
        raise UsageError(f"{count} units are too many for one request: {asked.verb} fewer at once")
    try:
        _write(rundir, file, f"{request}{_ENDING}", text + b"\n")
    except OSError as error:
        problem = f"{rundir.control}: the request could not be written: {describe_error(error)}"
        raise RecordError(problem) from error
    return request


def _write(rundir: RunDir, owner: BinaryIO, name: str, text: bytes) -> None:
    """Write a request whole; a request by root is readable for the run's user.

    OSError if the folder is a link or belongs to another user, or if the run's folder is not the
    one whose owner was read: it could lead root to another place.
    """
    with ExitStack() as stack:
        run = stack.enter_context(Folder.open(os.path.realpath(rundir.path)))
        if not _holds(run, rundir, owner.fileno()):
            raise make_replaced_error(run.path)
        control = stack.enter_context(open_control(run))
        temporary = make_temporary_name()
        mode = 0o600 if is_ours(control.status) else 0o644  # only these two can enter the folder
        with os.fdopen(control.create(temporary, mode), "wb") as file:
            file.write(text)
        control.rename(temporary, name)


def take_back(rundir: RunDir, request: str) -> None:
    """Remove a request, unless the supervisor has read it."""
    try:
        with Folder.open(os.path.realpath(rundir.path)) as run, open_control(run) as control:
            control.unlink(f"{request}{_ENDING}")
    except OSError:
        pass  # it was read, or it cannot be removed: then the next sitting removes it


@contextmanager
def open_control(run: Folder) -> Iterator[Folder]:
    """Open the folder of requests in an open run directory.

    OSError if it is a link, or belongs to another user than the run.
    """
    with run.open_plain_child(CONTROL) as control:
        if control.status.st_uid != run.status.st_uid:
            raise OSError(errno.EINVAL, "it belongs to another user than the run", control.path)
        yield control


def _holds(run: Folder, rundir: RunDir, fd: int) -> bool:
    """Whether an open file is the one with the owner's line in this folder."""
    if run.shows(rundir.run_lock.name, fd):
        return True
    with run.open_plain_child(rundir.locks.name) as locks:
        return locks.shows(rundir.shared_owner.name, fd)


class ControlInbox:
    """The supervisor's side: `drain` may be called at any rate, it reads the folder twice a second.

    `run` is the run directory that the sitting has open. A request is removed when it is read, an
    invalid one too: its answer is a journal record.
    """

    def __init__(
        self, run: Folder, sitting: int, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._run = run
        self._prefix = f"{sitting}-"
        self._now = now
        self._next_look = now()
        self._stuck: Set[str] = set()  # names that could not be removed: not read again

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
            with open_control(self._run) as control:
                found = [
                    self._take(control, name)
                    for name in sorted(control.list_names())
                    if not is_temporary(name) and name not in self._stuck
                ]
        except OSError:
            return []  # it was removed, or replaced by another folder, which is not touched
        return [asked for asked in found if asked is not None]

    def _take(self, control: Folder, name: str) -> Optional[Asked]:
        """Read a request and remove it; None if it is not for this sitting, or not of its user."""
        try:
            asked = _read(control, name) if self._is_ours(name) else None
        except (OSError, RecordError):
            asked = None  # gone, not a file, or of another user
        try:
            control.unlink(name)
        except OSError:
            self._stuck.add(name)  # a folder, or held open
        return asked

    def _is_ours(self, name: str) -> bool:
        return name.startswith(self._prefix) and re.fullmatch(_NAME, name) is not None


def _read(control: Folder, name: str) -> Asked:
    """Read a request; OSError if that fails, RecordError if it is of another user."""
    fd = open_private(os.path.join(control.place, name), os.O_RDONLY)
    try:
        _refuse_others(os.fstat(fd), control)
        text = os.read(fd, _LIMIT_BYTES)
    finally:
        os.close(fd)
    request = name[: -len(_ENDING)]
    try:
        asked = msgspec.json.decode(text, type=_Request)
        units = tuple(unpack(list(asked.units)))
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        return Asked(request, "", problem=f"the request cannot be read: {error}")
    problem = ""
    if asked.grace_s is not None and not 0 <= asked.grace_s < float("inf"):
        problem = f"a grace of {asked.grace_s} s is no time from 0 on"
    return Asked(request, asked.verb, asked.grace_s, units, problem, asked.why)


def _refuse_others(status: os.stat_result, control: Folder) -> None:
    """Raise RecordError unless the request is of root, or of the run's own user."""
    ours = control.status.st_uid  # as the file system maps us
    if not is_ours_or_roots(status) and status.st_uid != ours:
        raise RecordError(f"it is of {name_user(status.st_uid)}")

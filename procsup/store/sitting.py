"""One supervisor's hold on a run directory, and how other processes see it.

``run.lock`` excludes other supervisors; nothing else ever locks it. Waiters block on the
lock files of one sitting, so that they get the result of that sitting and never block the next
one. The owner line in ``run.lock`` names the holder.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Optional, Sequence

import msgspec

from procsup.errors import RecordError, RunBusy
from procsup.host import identity
from procsup.host.files import describe_error, is_temporary, open_private, set_mode, sync_folder
from procsup.host.locks import FileLock, locks_reach, locks_work
from procsup.host.logfiles import LogPlaces
from procsup.host.owners import refuse_foreign
from procsup.store.manifest import read_head
from procsup.store.owner import Owner, read_owner
from procsup.store.rundir import FILE_MODES, RunDir

if TYPE_CHECKING:  # `wait` holds no lock, and must start quickly
    from procsup.host.opened import Folder

__all__ = [
    "Owner",
    "Sitting",
    "SittingEnd",
    "is_live",
    "is_starting",
    "locks_tell",
    "read_owner",
    "refuse_unprovable",
    "take_when_ended",
    "wait_sitting",
]

_SETTLES_S = 5.0  # enough even if a hundred supervisors start at once
_LOOK_EVERY_S = 1.0  # where locks do not work
_UNITS_LOOK_S = 0.02


class Sitting:
    """The hold: `open` takes it, `begin` publishes the sitting's number, `close` releases it.

    `previous` is the earlier owner (None: there was none, or it cannot be read); if its `ended` is
    None, that supervisor died. `folder` is the open run directory: this sitting writes its files
    relative to it.
    """

    def __init__(
        self, rundir: RunDir, folder: Folder, lock: FileLock, owner: Owner, *, mode: int
    ) -> None:
        from procsup.host.units_lock import UnitsLock

        self.rundir = rundir
        self.folder = folder
        self.owner = owner
        self.previous: Optional[Owner] = None
        self.units_lock = UnitsLock(rundir.units_lock)
        self._lock = lock
        self._mode = mode
        self._held: Dict[Optional[str], FileLock] = {}

    @classmethod
    def open(cls, rundir: RunDir, *, share: str = "none", at: float) -> Sitting:
        """Lock the run directory, which must exist; RunBusy names its present holder.

        `at` is the time in seconds since 1970.
        """
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(rundir.open())
                sitting = cls._open(rundir, folder, _describe_this_process(at), FILE_MODES[share])
            except OSError as error:
                problem = f"run directory {rundir.path} cannot be locked: {describe_error(error)}"
                raise RecordError(problem) from error
            stack.pop_all()  # `close` closes it
        return sitting

    @classmethod
    def _open(cls, rundir: RunDir, folder: Folder, owner: Owner, mode: int) -> Sitting:
        from procsup.host.opened import refuse_replaced

        lockable = locks_work(rundir.path, dir_fd=folder.fd)
        owner = msgspec.structs.replace(owner, locks=lockable)
        lock = FileLock(rundir.run_lock)
        if lockable and not take_when_ended(rundir, lambda: lock.try_exclusive(dir_fd=folder.fd)):
            raise _make_busy_error(rundir)
        if not lockable:
            lock.open(dir_fd=folder.fd)
        sitting = cls(rundir, folder, lock, owner, mode=mode)
        try:
            refuse_replaced(lock.path, lock.fd)
            refuse_foreign(lock.fd, lock.path, folder.status.st_uid)
            sitting.previous = read_owner(rundir, folder)
            refuse_unprovable(rundir, sitting.previous, lockable=lockable)
            sitting._write_owner()
        except BaseException:
            lock.close()
            raise
        return sitting

    @property
    def log_places(self) -> LogPlaces:
        """Where logs of this run are read, with the owner of the open run directory."""
        return LogPlaces(str(self.rundir.path), owner=self.folder.status.st_uid)

    def begin(self, sitting: int, run_id: str, stages: Sequence[str]) -> None:
        """Make and hold the locks of this sitting, then write the owner line with its number."""
        try:
            self._clear_old()
            with self.folder.child(self.rundir.locks.name) as locks:
                for stage in (None, *stages):
                    self._held[stage] = self._hold(locks, sitting, stage)
            self.owner = msgspec.structs.replace(
                self.owner,
                sitting=sitting,
                run_id=run_id,
                stages=tuple(stages),
                by_description=all(lock.by_description for lock in self._held.values()),
            )
            self._write_owner()
        except OSError as error:
            mounted = error.filename if error.errno == errno.EBUSY else None
            raise RecordError(
                f"run directory {mounted or self.rundir.path}: {describe_error(error)}"
            ) from error

    def take_units_lock(
        self, end_leftovers: Callable[[], List[str]], *, timeout_s: float = 10.0
    ) -> None:
        """Take the lock that units share, once all units of earlier sittings have ended.

        `end_leftovers` ends the proven leftovers and returns their names. RunBusy
        names those that did not end in time, and other holders of the lock, which are not ended.
        """
        if not self.owner.locks:
            self.units_lock.open(dir_fd=self.folder.fd)
            end_leftovers()
            return
        deadline = time.monotonic() + timeout_s
        while not self._try_units_lock():
            left = end_leftovers()
            if time.monotonic() >= deadline:
                raise RunBusy(describe_holder(self.rundir.units_lock, left))
            time.sleep(_UNITS_LOOK_S)

    def _try_units_lock(self) -> bool:
        try:
            return self.units_lock.try_take(dir_fd=self.folder.fd)
        except OSError as error:
            problem = f"{self.rundir.units_lock} cannot be locked: {describe_error(error)}"
            raise RecordError(problem) from error

    def check(self) -> None:
        """Raise RecordError if the lock file was removed or replaced: another run may be live."""
        if not self._lock.is_in_place():
            raise RecordError(f"{self.rundir.run_lock} was removed or replaced during the run")

    def release_stage(self, stage: str) -> None:
        """Wake the waiters for the stage: its manifest is published."""
        self._let_go(stage)

    def release_run(self) -> None:
        """Wake the waiters for the run: its manifest is published."""
        self._let_go(None)

    def close(self) -> None:
        """Release everything; may be called again."""
        if self._lock.fd < 0:
            return
        self.owner = msgspec.structs.replace(self.owner, ended=time.time())
        try:
            self._write_owner()
        except OSError:
            pass  # then the next start treats us as crashed, which is safe
        # First: waiters look at this lock when they wake. A live unit has its own descriptor.
        self.units_lock.close()
        for stage in list(self._held):
            self._let_go(stage)
        _release(self._lock)
        self.folder.close()

    def __enter__(self) -> Sitting:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _let_go(self, stage: Optional[str]) -> None:
        lock = self._held.pop(stage, None)
        if lock is not None:
            _release(lock)

    def _hold(self, locks: Folder, sitting: int, stage: Optional[str]) -> FileLock:
        path = self.rundir.get_sitting_lock(sitting, stage)
        lock = FileLock(path, mode=self._mode)
        if not self.owner.locks:
            with suppress(OSError):  # of a sitting that died before its first record
                locks.unlink(path.name)
            lock.open(dir_fd=locks.fd)
            return lock
        # Windows: a waiter of such a sitting may hold it for an instant.
        for _attempt in range(50):
            if lock.try_new(dir_fd=locks.fd):
                return lock
            time.sleep(_UNITS_LOOK_S)
        raise RunBusy(f"{path} is held by another process")

    def _clear_old(self) -> None:
        """Remove locks and requests of old sittings, and temporary files of killed processes.

        No request can be for this sitting: its number is not written down yet. OSError if something
        is mounted on a folder: what is there is not ours.
        """
        with self.folder.open_plain_child(self.rundir.locks.name) as locks:
            shared = self.rundir.shared_owner.name
            _try_remove(locks, (name for name in locks.list_names() if name != shared))
        with self.folder.open_plain_child(self.rundir.control.name) as control:
            _try_remove(control, control.list_names())
        with self.folder.child(self.rundir.stages.name) as stages:
            _try_remove(stages, filter(is_temporary, stages.list_names()))
        _try_remove(self.folder, filter(is_temporary, self.folder.list_names()))

    def _write_owner(self) -> None:
        line = msgspec.json.encode(self.owner) + b"\n"
        _write_line(self._lock.fd, line)
        if self._mode == FILE_MODES["none"]:
            return
        with self.folder.child(self.rundir.locks.name) as locks:
            fd = open_private(self.rundir.shared_owner, os.O_WRONLY | os.O_CREAT, dir_fd=locks.fd)
        try:
            refuse_foreign(fd, str(self.rundir.shared_owner), self.folder.status.st_uid)
            set_mode(fd, self._mode)
            _write_line(fd, line)
        finally:
            os.close(fd)


def _write_line(fd: int, line: bytes) -> None:
    # One write over the old text, then a cut: a reader sees the old line, the new one, or a
    # mixture, which it cannot decode and treats as no owner.
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, line)
    os.ftruncate(fd, len(line))


def _try_remove(folder: Folder, names: Iterable[str]) -> None:
    for name in names:
        try:
            folder.unlink(name)
        except OSError:  # noqa: PERF203
            pass  # a process has it open (Windows): a later start removes it


def _describe_this_process(at: float) -> Owner:
    host, boot_id = identity.get_machine_id()
    return Owner(
        host,
        os.getpid(),
        boot_id,
        at,
        start_ticks=identity.start_ticks(),
        pid_namespace=identity.read_pid_namespace(),
    )


def describe_holder(units_lock: Path, left: Sequence[str]) -> str:
    """Say who keeps the lock of the units; `left` are processes that were killed and still live."""
    if left:
        return f"units of an earlier supervisor still run and do not end: {', '.join(left)}"
    from procsup.host.lock_holders import format_look_command, list_holders

    named = [f"process {holder.pid} ({holder.command})" for holder in list_holders(units_lock)]
    who = ", ".join(named) or "a process that cannot be seen from here"
    return (
        f"a unit of an earlier supervisor may still run: {units_lock} is held by {who}, which is"
        " left alone, since it is not proven to be of this run. Look"
        f" ({format_look_command(units_lock)}), end it or wait for it, then run again"
    )


def _release(lock: FileLock) -> None:
    # A child between fork and exec has our files open for a moment: a close alone would leave the
    # lock with it.
    try:
        lock.release()
    except OSError:
        pass  # no locks on this file system
    lock.close()


def is_live(rundir: RunDir, owner: Optional[Owner] = None) -> bool:
    """Whether a supervisor that has begun holds the run directory (``owner``: that supervisor).

    The check never blocks a start. Where locks do not work, a supervisor counts as live until its
    owner line records its end, or its process is known to have ended.
    """
    owner = owner or read_owner(rundir)
    if owner is None or owner.ended is not None or owner.sitting == 0:
        return False
    if locks_tell(rundir, owner):
        lock = _open_lock(rundir, owner)
        if not lock.is_held() or _is_replaced(rundir, owner):
            return False
        return lock.by_description or not owner.is_gone  # any reader may hold the other kind
    return owner.may_live


def is_starting(owner: Optional[Owner]) -> bool:
    """Whether that supervisor has locked the directory, but has not begun its sitting yet."""
    if owner is None or owner.ended is not None or owner.sitting != 0:
        return False
    return owner.may_live


class SittingEnd:
    """Waits for the end of a sitting's work on a stage (None: on the run), or for its death.

    Where locks do not work (another host, a file system without locks), it looks once a second for
    the manifest and for a change of owner. If other users could hold the lock, it does both: so
    their lock delays a waiter by a second at most.
    """

    def __init__(self, rundir: RunDir, owner: Owner, stage: Optional[str] = None) -> None:
        self._rundir, self._owner, self._stage = rundir, owner, stage
        self._lock = _open_lock(rundir, owner, stage) if locks_tell(rundir, owner) else None

    def wait(self, timeout_s: Optional[float] = None) -> bool:
        """Block until that end; False at the timeout."""
        if self._lock is not None:
            return self._lock.wait_shared(timeout_s, unless=self._needs_no_lock)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not (self._needs_no_lock() or not is_live(self._rundir, self._owner)):
            left_s = _LOOK_EVERY_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(_LOOK_EVERY_S, left_s))
        return True

    def _needs_no_lock(self) -> bool:
        """Whether the files alone show that it is over."""
        now = read_owner(self._rundir)
        if now is not None and now.ended is not None:
            return True
        if _is_replaced(self._rundir, self._owner):
            return True
        return self._owner.is_gone or self._is_published()

    def _is_published(self) -> bool:
        path = self._rundir.get_manifest(self._stage)
        try:
            head = read_head(path)
        except RecordError:
            return False
        if head is None or head.run_id != self._owner.run_id:
            return False
        sync_folder(path.parent)  # its writer may not have synced it yet
        return True


def wait_sitting(
    rundir: RunDir, owner: Owner, stage: Optional[str] = None, timeout_s: Optional[float] = None
) -> bool:
    """Wait for the end of a sitting once; see `SittingEnd`."""
    return SittingEnd(rundir, owner, stage).wait(timeout_s)


def _open_lock(rundir: RunDir, owner: Owner, stage: Optional[str] = None) -> FileLock:
    # Only the first kind of lock is known to work between hosts; some mounts have the second kind
    # on one host alone.
    path = rundir.get_sitting_lock(owner.sitting, stage)
    return FileLock(path, by_description=owner.by_description and owner.here)


def _is_replaced(rundir: RunDir, owner: Owner) -> bool:
    """Whether another supervisor has the directory now.

    If a sitting died before its first record, the next one gets the same number; it writes its
    owner line before it makes a lock of that name.
    """
    now = read_owner(rundir)
    if now is None:
        return False
    return (now.host, now.pid, now.started) != (owner.host, owner.pid, owner.started)


def locks_tell(rundir: RunDir, owner: Owner) -> bool:
    """Whether a lock shows that this supervisor is alive; otherwise its files must be polled."""
    return owner.locks and (owner.here or locks_reach(rundir.path))


def take_when_ended(rundir: RunDir, try_take: Callable[[], bool]) -> bool:
    """Call `try_take` until it succeeds; False if a supervisor works there.

    A supervisor holds its lock for a moment after its manifest has woken the waiters, and writes
    its owner line a moment after it has taken the lock. False, too, if that takes too long.
    """
    deadline, pause_s = time.monotonic() + _SETTLES_S, 0.005
    while not try_take():
        owner = read_owner(rundir)
        works = owner is not None and (is_live(rundir, owner) or is_starting(owner))
        if works or time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.2)
    return True


def _make_busy_error(rundir: RunDir) -> RunBusy:
    owner = read_owner(rundir)
    who = "another supervisor" if owner is None else owner.describe()
    return RunBusy(
        f"run directory {rundir.path} is in use by {who}: wait for it, stop it, or name another"
    )


def refuse_unprovable(rundir: RunDir, previous: Optional[Owner], *, lockable: bool) -> None:
    """Raise RunBusy if the previous owner may be alive, and locks cannot show it."""
    if previous is None or previous.ended is not None:
        return
    if previous.here:
        # If one of the two supervisors has no locks, locks do not exclude the other.
        if not (lockable and previous.locks) and previous.pid != os.getpid() and previous.may_live:
            raise _make_busy_error(rundir)
    elif not lockable or not locks_reach(rundir.path):
        raise RunBusy(
            f"run directory {rundir.path} was last held by {previous.describe()}, and locks on"
            f" this file system cannot tell whether that process is alive: if it is not, remove"
            f" {rundir.run_lock}"
        )

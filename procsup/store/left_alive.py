"""Finds and ends the processes that a dead supervisor and its guard left alive."""

import time
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

from procsup.core.replay import History
from procsup.errors import RecordError, RunBusy
from procsup.host import identity
from procsup.host.leftovers import RecordedProcesses, Trace, end_leftovers
from procsup.host.locks import FileLock
from procsup.host.opened import Folder
from procsup.host.units_lock import UnitsLock
from procsup.store.copies import is_original
from procsup.store.history import read_history
from procsup.store.rundir import RunDir
from procsup.store.sitting import describe_holder, take_when_ended

_LOOK_S = 0.02


def list_recorded(
    rundir: RunDir, history: History, folder: Optional[Folder] = None
) -> RecordedProcesses:
    """Return the records that identify processes of the last sitting on this machine.

    Empty for a copied journal: its processes belong to another run directory. Empty, too, for a
    journal of an older procsup, which does not record its own file: it may be a copy. A pid counts
    only on the same boot and in the same pid namespace. `folder` is the open run directory.
    """
    begin = history.begin
    if begin is None or not is_original(rundir, begin, folder):
        return RecordedProcesses()
    same_boot = begin.boot_id == identity.read_boot_id() != ""
    same_numbers = same_boot and begin.pid_namespace == identity.read_pid_namespace() != ""
    return RecordedProcesses(
        run_id=begin.run_id,
        mark_base=begin.mark_base if same_boot else None,
        traces=list(_list_traces(history, same_numbers=same_numbers)) if same_boot else [],
    )


def _list_traces(history: History, *, same_numbers: bool) -> Iterator[Trace]:
    for name, unit in history.units.items():
        spawned = unit.open_spawned
        if spawned is not None:
            born = spawned.born if same_numbers else None
            yield Trace(name, spawned.pid, born, spawned.mark)


def has_live_units(rundir: RunDir, *, patience_s: float = 0.0) -> bool:
    """Whether a process of a unit is known to live; false if that cannot be found out.

    `patience_s`: for so long those that live may still end: the guard of a dead supervisor kills
    them.
    """
    deadline, lock = time.monotonic() + patience_s, UnitsLock(rundir.units_lock)
    try:
        while lock.is_held():
            if time.monotonic() >= deadline:
                return True
            time.sleep(_LOOK_S)
    except RecordError:  # another user's run, or a file system without locks
        pass
    return False


def end_left_alive(rundir: RunDir, *, limit_s: float = 10.0) -> List[Tuple[int, str]]:
    """Kill the processes that a dead sitting left alive; return (pid, unit id) of each.

    The unit is empty if it is unknown. Returns when no unit of the run lives. RunBusy if a
    supervisor holds the run, or if what lives does not end or is not proven to be of the run,
    RecordError if the records cannot be read.
    """
    with rundir.open() as folder:
        inside = RunDir(folder.place)  # by descriptor: another folder may have its name now
        lock = FileLock(inside.run_lock)
        if not take_when_ended(inside, lock.try_exclusive):
            raise RunBusy(f"{rundir.path} is in use: a run has just begun in it")
        try:
            recorded = list_recorded(rundir, read_history(inside), folder)
            units_lock = UnitsLock(inside.units_lock)
            return _end_all(units_lock, recorded, limit_s, rundir.units_lock)
        finally:
            lock.close()


def describe_ended(pid: int, unit: str) -> str:
    """Say that a process which was left alive has been ended; `unit` is empty if it is unknown."""
    return f"ended process {pid} of {unit or 'an unknown unit'}, left alive before"


def _end_all(
    units_lock: UnitsLock, recorded: RecordedProcesses, limit_s: float, named: Path
) -> List[Tuple[int, str]]:
    """End what is recorded until no unit lives; `named` is the path of the lock for messages."""
    deadline = time.monotonic() + limit_s
    ended = end_leftovers(recorded, limit_s=limit_s)
    while units_lock.is_held():  # RecordError if that cannot be found out
        if time.monotonic() >= deadline:
            raise RunBusy(describe_holder(named, []))
        time.sleep(_LOOK_S)
        ended += end_leftovers(recorded, limit_s=limit_s)
    return ended

"""Faults that are put into procsup, to see that the harness finds them; each is one thing.

They are put into the process that forks the runs (traced.py), never into the product.
"""

from typing import Any, Callable, Dict, List

from msgspec.structs import replace

from procsup import loop
from procsup.core.records import End, Launch
from procsup.core.replay import History
from procsup.host import processes, spawning
from procsup.host.guard_link import GuardLink
from procsup.host.locks import FileLock
from procsup.store.journal import JournalWriter
from tests.faults.seams import nothing, plant, starts_first


def _the_guard_kills_nothing() -> None:
    plant("guard: end all", nothing)


def _the_guard_adopts_nobody() -> None:
    """Nor does it look for the marks that tell where orphans do not come to it."""
    plant("guard: adopt orphans", lambda _: lambda: False)
    plant("guard: sweep", lambda sweep: lambda run_id, _base: sweep(run_id, None))


def _a_start_waits_for_nobody() -> None:
    plant("end leftovers", lambda _: lambda held, _past: held.units_lock.open())


def _units_start_before_their_record() -> None:
    plant(loop.carry_out, starts_first)


def _ends_are_written_with_what_follows() -> None:
    """An end for which others may start is written with the next end: it will come."""
    late: List[Any] = []

    def make(append: Callable[..., int]) -> Callable[..., int]:
        def append_later(journal: JournalWriter, records: Any) -> int:
            ends = [one for one in records if isinstance(one, End)]
            if not ends:
                return append(journal, records)
            starts = any(isinstance(one, Launch) for one in records)
            now = [*late, *(one for one in records if not (starts and one in ends))]
            late[:] = ends if starts else []
            return append(journal, now)

        return append_later

    plant(JournalWriter.append, make)


def _what_succeeded_is_forgotten() -> None:
    def make(add: Callable[..., None]) -> Callable[..., None]:
        def add_unless_succeeded(self: History, seq: int, record: Any) -> None:
            if not (isinstance(record, End) and record.verdict.value == "succeeded"):
                add(self, seq, record)

        return add_unless_succeeded

    plant(History.add, make)


def _the_guard_is_not_missed() -> None:
    plant(GuardLink.is_alive, lambda _: lambda _guard_link: True)
    plant(GuardLink.wait_until_ready, nothing)


def _units_inherit_what_waiters_block_on() -> None:
    held: List[FileLock] = []

    def note(try_new: Callable[..., bool]) -> Callable[..., bool]:
        return lambda lock, **where: held.append(lock) or try_new(lock, **where)

    def hand_down(start: Callable[[processes.Launch], int]) -> Callable[[processes.Launch], int]:
        def start_with_locks(launch: processes.Launch) -> int:
            fds = [lock.fd for lock in held if lock.fd >= 0]
            return start(replace(launch, inherited_fds=(*launch.inherited_fds, *fds)))

        return start_with_locks

    plant(FileLock.try_new, note)
    plant(spawning.start, hand_down)


FAULTS: Dict[str, Callable[[], None]] = {
    "the guard kills nothing": _the_guard_kills_nothing,
    "the guard adopts nobody": _the_guard_adopts_nobody,
    "a start waits for nobody": _a_start_waits_for_nobody,
    "units start before their record": _units_start_before_their_record,
    "ends are written with what follows": _ends_are_written_with_what_follows,
    "what succeeded is forgotten": _what_succeeded_is_forgotten,
    "the guard is not missed": _the_guard_is_not_missed,
    "units inherit what waiters block on": _units_inherit_what_waiters_block_on,
}
# The kind of death that shows it.
SHOWN_BY = {
    "the guard kills nothing": "supervisor",
    "the guard adopts nobody": "supervisor",
    "a start waits for nobody": "both while units run",
    "units start before their record": "both while units run",
    "ends are written with what follows": "supervisor",
    "what succeeded is forgotten": "supervisor",
    "the guard is not missed": "guard",
    "units inherit what waiters block on": "both while units run",
}
# For faults that few places show: a file in which a death shows it.
SHOWN_IN = {"units start before their record": "engines/local.py"}

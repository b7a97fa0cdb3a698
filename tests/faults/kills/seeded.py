"""Faults that are put into procsup, to see that the harness finds them; each patches one thing.

They are put into the process that forks the runs (traced.py), never into the product.
"""

import os
from typing import Any, Callable, Dict, List

from procsup import loop
from procsup.api import sitting
from procsup.core.records import End
from procsup.core.replay import History
from procsup.host import guard, guardian
from procsup.store.journal import JournalWriter
from procsup.store.sitting import Sitting


def _the_guard_kills_nothing() -> None:
    guardian.Guardian._end_all = lambda _self: None  # type: ignore[method-assign]


def _the_guard_adopts_nobody() -> None:
    """Nor does it look for the marks that tell where orphans do not come to it."""
    sweep = guardian._sweep
    guardian._adopt_orphans = lambda: False
    guardian._sweep = lambda run_id, _base: sweep(run_id, None)


def _a_start_waits_for_nobody() -> None:
    def end_leftovers(held: Sitting, _past: Any) -> None:
        held.units_lock.open()

    sitting._end_leftovers = end_leftovers


def _units_start_before_their_record() -> None:
    def carry_out(orders: Any, planner: Any, world: Any) -> None:
        writes = [order.record for order in orders if isinstance(order, loop.Write)]
        for order in orders:
            if not isinstance(order, loop.Write):
                loop._PERFORM[type(order)](order, planner, world)
        world.journal.append(writes)

    loop.carry_out = carry_out


def _ends_are_written_with_what_follows() -> None:
    append, late = JournalWriter.append, []  # type: ignore[var-annotated]

    def append_later(self: JournalWriter, records: Any) -> int:
        now: List[Any] = [*late, *(r for r in records if not isinstance(r, End))]
        late[:] = [r for r in records if isinstance(r, End)]
        return append(self, now)

    JournalWriter.append = append_later  # type: ignore[method-assign]


def _what_succeeded_is_forgotten() -> None:
    add = History.add

    def add_unless_succeeded(self: History, seq: int, record: Any) -> None:
        if not (isinstance(record, End) and record.verdict.value == "succeeded"):
            add(self, seq, record)

    History.add = add_unless_succeeded  # type: ignore[method-assign]


def _the_guard_is_not_missed() -> None:
    def alive(_self: guard.Lifeline) -> bool:
        return True

    guard.Lifeline.alive = alive  # type: ignore[method-assign]
    guard.Lifeline.wait_until_ready = lambda _self, _limit_s: None  # type: ignore[method-assign]


def _units_inherit_what_waiters_block_on() -> None:
    engine = sitting._engine

    def engine_that_hands_down(stack: Any, asked: Any, held: Any) -> Any:
        made = engine(stack, asked, held)
        for lock in held.sitting._held.values():
            os.set_inheritable(lock.fd, True)
        return made

    sitting._engine = engine_that_hands_down


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

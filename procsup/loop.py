"""The only loop: decide, record, act, show. It uses interfaces and never an implementation."""

from typing import Any, Callable, Dict, Optional, Sequence

from msgspec import Struct

from procsup.core.events import (
    Expand,
    Fact,
    Kill,
    Measure,
    Order,
    Publish,
    Settled,
    Spill,
    Start,
    Stop,
    Weigh,
    Withdraw,
    Write,
)
from procsup.core.plan.reactor import handle, next_deadline
from procsup.core.plan.state import Plan
from procsup.interfaces import (
    Clock,
    Engine,
    Expander,
    Gauge,
    Interrupts,
    Journal,
    Publisher,
    Watcher,
)


class World(Struct, frozen=True):
    """All implementations that the loop uses."""

    engine: Engine
    journal: Journal
    expander: Expander
    publisher: Publisher
    interrupts: Interrupts
    watcher: Watcher
    clock: Clock
    gauge: Gauge


def supervise(plan: Plan, world: World, facts: Sequence[Fact]) -> None:
    """Carry out the plan's orders until it is done; `facts` are known at the start.

    Raises RecordError as soon as a record or a manifest could not be written, synced or removed:
    then no further result may be recorded, and the caller closes the engine, which ends every
    tree.
    """
    clock, journal = world.clock, world.journal
    while True:
        orders = handle(plan, facts, clock.now(), clock.wall())
        carry_out(orders, plan, world)
        world.watcher.show(plan.summary)
        if plan.done:
            return
        happened = world.engine.wait(
            _find_earlier(next_deadline(plan), world.interrupts.next_look())
        )
        expanded = world.expander.drain()
        facts = [
            *happened,
            *journal.drain(),
            *world.publisher.drain(),
            *world.interrupts.drain(),
            *world.gauge.drain(),
            *expanded,  # an interrupt of the same moment may be why no more units come
        ]


def carry_out(orders: Sequence[Order], plan: Plan, world: World) -> None:
    """Append all records, then withdraw, start, stop and do the rest, in this sequence."""
    records, actions = [], []
    for order in orders:
        if type(order) is Write:
            records.append(order.record)
        else:
            actions.append(order)
    if records:
        world.journal.append(records)
    actions.sort(key=_rank_order)
    for order in actions:
        _PERFORM[type(order)](order, plan, world)


def _find_earlier(one: Optional[float], other: Optional[float]) -> Optional[float]:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _start(order: Start, _plan: Plan, world: World) -> None:
    world.engine.start(order)
    world.watcher.note_start(order)


def _stop(order: Stop, _plan: Plan, world: World) -> None:
    world.engine.stop(order)


def _kill(order: Kill, _plan: Plan, world: World) -> None:
    world.engine.kill(order.attempt)


def _expand(order: Expand, _plan: Plan, world: World) -> None:
    world.expander.expand(order)


def _weigh(order: Weigh, _plan: Plan, world: World) -> None:
    world.expander.weigh(order)


def _withdraw(order: Withdraw, _plan: Plan, world: World) -> None:
    world.publisher.withdraw(order)


def _publish(order: Publish, plan: Plan, world: World) -> None:
    stages = plan.stages if order.stage is None else [plan.by_name[order.stage]]
    counts = [(stage.name, stage.counts()) for stage in stages]
    world.publisher.publish(order, counts, plan.results(order.stage))


def _spill(order: Spill, _plan: Plan, world: World) -> None:
    world.publisher.spill(order)


def _measure(_order: Measure, _plan: Plan, world: World) -> None:
    world.gauge.measure()


def _note_end(order: Settled, _plan: Plan, world: World) -> None:
    world.watcher.note_end(order)


# Units wait for withdrawals and slots for starts; no start or stop waits for other orders.
_TURNS: Dict[type, int] = {Withdraw: 0, Start: 1, Stop: 2, Kill: 2}
_REST = 3


def _rank_order(order: Order) -> int:
    return _TURNS.get(type(order), _REST)


_PERFORM: Dict[type, Callable[[Any, Plan, World], None]] = {
    Start: _start,
    Stop: _stop,
    Kill: _kill,
    Expand: _expand,
    Weigh: _weigh,
    Withdraw: _withdraw,
    Publish: _publish,
    Spill: _spill,
    Settled: _note_end,
    Measure: _measure,
}

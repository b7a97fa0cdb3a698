"""Facts in, orders out: each fact goes to one function; after all facts the stages move on.

Nothing here acts or reads a clock; tests give it histories of facts.
"""

from typing import Any, Callable, Dict, Iterable, List, Optional

from procsup.core.events import (
    Asked,
    Ended,
    Expanded,
    Fact,
    Inspected,
    Interrupted,
    Measured,
    Order,
    Published,
    Sampled,
    Started,
    Synced,
    TakenBack,
    TimeLimitReached,
    Weighed,
)
from procsup.core.plan.attempts import (
    fill_slots,
    meet_deadlines,
    on_ended,
    on_inspected,
    on_sampled,
    on_started,
    record_spawned,
)
from procsup.core.plan.pace import find_next_look, on_measured
from procsup.core.plan.requests import on_asked, on_interrupted, on_time_limit
from procsup.core.plan.stages import (
    ask_for_units,
    close_if_over,
    on_expanded,
    on_published,
    on_synced,
    on_taken_back,
    on_weighed,
    settle_stages,
)
from procsup.core.plan.state import Plan
from procsup.core.records import Begin, End

_REACTIONS: Dict[type, Callable[[Plan, Any], None]] = {
    Started: on_started,
    Sampled: on_sampled,
    Ended: on_ended,
    Inspected: on_inspected,
    Synced: on_synced,
    Expanded: on_expanded,
    Weighed: on_weighed,
    Asked: on_asked,
    Interrupted: on_interrupted,
    TimeLimitReached: on_time_limit,
    TakenBack: on_taken_back,
    Published: on_published,
    Measured: on_measured,
}


def open_sitting(plan: Plan, record: Begin, lost: Iterable[End]) -> List[Order]:
    """Open the sitting; `lost` are the ends that dead sittings did not record."""
    plan.run_id = record.run_id
    plan.write(record)
    for end in lost:
        plan.write(end)
    return plan.take_orders()


def handle(plan: Plan, facts: Iterable[Fact], now: float, wall: float) -> List[Order]:
    """Take the facts and return the orders; `now` is monotonic, `wall` for records."""
    plan.now, plan.wall = now, wall
    for fact in facts:
        _REACTIONS[type(fact)](plan, fact)
    record_spawned(plan)
    meet_deadlines(plan)
    settle_stages(plan)
    if not plan.summary.ending:
        fill_slots(plan)
        ask_for_units(plan)
    close_if_over(plan)
    return plan.take_orders()


def next_deadline(plan: Plan) -> Optional[float]:
    """Return the monotonic time at which `handle` must be called even if nothing happens."""
    times = [plan.deadlines.next(), find_next_look(plan)]
    if plan.pacing.shortage is not None and any(one.ready for one in plan.stages):
        times.append(plan.pacing.shortage.due)
    return min((time for time in times if time is not None), default=None)

"""Ends live attempts: asks them to stop, and kills them."""

from typing import Optional

import msgspec

from procsup.core.events import Kill, Stop
from procsup.core.outcome import StopReason
from procsup.core.plan.state import Plan, Stage
from procsup.core.plan.units import Running, Stopping, Unit
from procsup.core.wording import BY_REQUEST


def stop_all(
    plan: Plan, reason: StopReason, only: Optional[Stage] = None, *, why: str = ""
) -> None:
    """Ask every running attempt (of a stage) to end; `why` as in `Stopping`."""
    for stage, unit in list(plan.live.values()):
        if isinstance(unit.state, Running) and only in (None, stage):
            stop(plan, stage, unit, reason, why=why)


def call_off(plan: Plan, stage: Stage, unit: Unit, grace_s: Optional[float]) -> None:
    """Ask a live attempt to end, unless that was done before; the unit is not tried again."""
    if isinstance(unit.state, Running):
        stop(plan, stage, unit, StopReason.USER, grace_s, why=BY_REQUEST)
    elif isinstance(unit.state, Stopping) and not unit.state.killed and grace_s is not None:
        plan.outbox.append(Stop(unit.state.attempt, unit.state.reason, grace_s))
    if not isinstance(unit.state, Stopping):
        raise AssertionError(f"{unit.spec.id} is called off while it is {unit.state}")
    unit.state = msgspec.structs.replace(unit.state, called_off=True)


def shorten_grace(plan: Plan, grace_s: Optional[float]) -> None:
    """Order this grace, if one was requested, for attempts that are stopping already."""
    for _, unit in plan.live.values():
        state = unit.state
        if isinstance(state, Stopping) and not state.killed and grace_s is not None:
            plan.outbox.append(Stop(state.attempt, state.reason, grace_s))


def kill_all(plan: Plan, why: str) -> None:
    """Kill all attempts; `why` is for those that were not asked to end before."""
    for _, unit in plan.live.values():
        state = unit.state
        if isinstance(state, Running):
            user = StopReason.USER
            state = Stopping(state.attempt, state.placement, user, state.since, why)
        if isinstance(state, Stopping) and not state.killed:
            plan.outbox.append(Kill(state.attempt))
            unit.state = msgspec.structs.replace(state, killed=True)


def stop(
    plan: Plan,
    stage: Stage,
    unit: Unit,
    reason: StopReason,
    own_grace_s: Optional[float] = None,
    *,
    why: str = "",
) -> None:
    """Ask a running attempt to end; `own_grace_s` is the grace requested for this unit."""
    state = unit.state
    if not isinstance(state, Running):
        raise AssertionError(f"{unit.spec.id} is asked to stop while it is {state}")
    dump = stage.spec.is_python and reason in (StopReason.DEADLINE, StopReason.STALL)
    requested_s = plan.grace_s if own_grace_s is None else own_grace_s
    by_user = reason is StopReason.USER
    grace_s = requested_s if by_user and requested_s is not None else stage.spec.grace_s
    plan.outbox.append(Stop(state.attempt, reason, grace_s, dump))
    unit.state = Stopping(state.attempt, state.placement, reason, state.since, why)

"""Sentences about what happened: the `cause` of an attempt's end."""

from typing import Optional

from procsup.core.outcome import Exit, NotStarted, StopReason, Vanished, describe
from procsup.core.spec import StageSpec


def cause_of(exit: Exit, reason: Optional[StopReason], stage: StageSpec) -> str:
    """Say why an attempt did not succeed: the reason it was stopped for, or its exit."""
    if isinstance(exit, (NotStarted, Vanished)):
        return exit.reason
    if reason is StopReason.DEADLINE:
        return f"ran longer than its timeout of {stage.timeout_s:g} s ({describe(exit)})"
    if reason is StopReason.DRIFT:
        return f'its CPU affinity changed and on-drift is "fail" ({describe(exit)})'
    if reason is StopReason.POLICY:
        return f'stopped, since on-failure = "stop" ({describe(exit)})'
    if reason is StopReason.USER:
        return f"stopped by the user ({describe(exit)})"
    if reason is not None:
        return f"stopped for {reason.value} ({describe(exit)})"
    return describe(exit)

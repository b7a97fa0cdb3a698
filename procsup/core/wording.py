"""Sentences about what happened: the `cause` of an attempt's end."""

from typing import Optional, Sequence, Tuple

from procsup.core.outcome import AttemptId, Exit, NotStarted, StopReason, Vanished, describe
from procsup.core.quantities import show_bytes

BY_REQUEST = "stopped by request"
ON_FAILURE = 'since on-failure = "stop"'


def describe_cause(exit: Exit, reason: Optional[StopReason], why: str = "") -> str:
    """Say why an attempt did not succeed: the reason it was stopped for, or its exit.

    `why`: who or what stopped it from outside the run, that enough others are done, or which
    limit it reached.
    """
    if isinstance(exit, (NotStarted, Vanished)):
        return exit.reason
    if reason is StopReason.DEADLINE:
        return f"{why} ({describe(exit)})"
    if reason is StopReason.DRIFT:
        return f'its CPU affinity changed and on-drift is "fail" ({describe(exit)})'
    if reason is StopReason.POLICY:
        return f"stopped, {why or ON_FAILURE} ({describe(exit)})"
    if reason is StopReason.USER:
        return f"{why} ({describe(exit)})"
    if reason is not None:
        return f"stopped for {reason.value} ({describe(exit)})"
    return describe(exit)


def describe_limit(limit_s: float, share: Optional[float]) -> str:
    """Say which limit of time a unit reached: its own, or a share of the median of others."""
    if share is None:
        return f"ran longer than its timeout of {limit_s:g} s"
    return f"ran longer than {limit_s:.3g} s, its timeout of {share:.0%} of the median"


def describe_memory(used_bytes: Optional[int], granted_bytes: Optional[int]) -> Tuple[str, ...]:
    """Return a remark if an attempt is known to have used more memory than it was granted."""
    if used_bytes is None or granted_bytes is None or used_bytes <= granted_bytes:
        return ()
    used, granted = show_bytes(used_bytes), show_bytes(granted_bytes)
    return (f"it took {used} of memory, more than the {granted} that its `memory` says",)


def describe_drift(attempt: AttemptId, cpus: Sequence[int], on_drift: str) -> str:
    """Say that an attempt runs on other CPUs than it was given."""
    then = {"restore": "; set back", "fail": "; stopped"}.get(on_drift, "")
    return f"{attempt}: its CPU affinity changed to {list(cpus)}{then}"


def describe_shortage(reason: str) -> str:
    """Say that starts wait: the system refuses them while other attempts run."""
    return f"{reason}: no more is started until a unit has ended; nothing is lost by that"

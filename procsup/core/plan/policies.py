"""When some units end others: `on-failure` of a stage or of the run, `enough` of a stage."""

from typing import List, Tuple, Union

from procsup.core.plan.state import Plan, Stage
from procsup.core.spec import Enough, OnFailure
from procsup.core.text import count_noun


def find_halted(plan: Plan, stage: Stage) -> Tuple[List[Stage], str]:
    """Return the stages that a failure in this one halts, and how: `drain` or `stop`."""
    own, shared = stage.spec.on_failure, plan.spec.on_failure
    policy = own or shared
    if policy.do == "finish":
        return [], policy.do
    group = [stage] if own else [one for one in plan.stages if one.spec.on_failure is None]
    if policy.at_fraction is not None and any(one.tally.grows for one in group):
        return [], policy.do  # the number of units is not known yet
    planned = sum(one.tally.planned or 0 for one in group)
    if not _fires(policy, sum(map(_count_failures, group)), planned):
        return [], policy.do
    halted = group if own else plan.stages
    return [one for one in halted if not one.halted and not one.tally.closed], policy.do


def explain_enough(stage: Stage) -> str:
    """Say why a stage needs no more units; empty if it does, or if all have succeeded."""
    policy, tally = stage.spec.enough, stage.tally
    if policy is None or stage.halted or (tally.succeeded == tally.planned and not tally.grows):
        return ""
    if policy.at_fraction is not None and tally.grows:
        return ""  # the number of units is not known yet
    number = tally.succeeded + (_count_failures(stage) if policy.of == "done" else 0)
    if not _reaches(policy, number, tally.planned or 0):
        return ""
    return f"enough: {count_noun(number, 'unit')} {policy.of}"


def _fires(policy: OnFailure, unsuccessful: int, planned: int) -> bool:
    """Whether this number of unsuccessful units, of those planned, triggers a policy."""
    return policy.do != "finish" and _reaches(policy, unsuccessful, planned)


def _reaches(policy: Union[OnFailure, Enough], number: int, planned: int) -> bool:
    if number == 0:
        return False
    if policy.at_fraction is not None:
        return number >= policy.at_fraction * max(planned, 1)
    return number >= (policy.at_count or 1)


def _count_failures(stage: Stage) -> int:
    verdicts = stage.tally.verdicts
    bad = sum(number for verdict, number in verdicts.items() if verdict.is_failure)
    return bad + (1 if stage.tally.problem and not stage.passed_over else 0)

"""The pace of a stage: a pause between starts, free memory, a load that is not too high.

The machine is read only while some start waits for the answer.
"""

from typing import Optional

from procsup.core.events import Measure, Measured
from procsup.core.plan.state import Plan, Stage
from procsup.core.records import ControlReply
from procsup.core.spec import Pace

_RECORDED_AFTER_S = 1.0  # a shorter wait is not worth a record


def on_measured(plan: Plan, fact: Measured) -> None:
    """The memory and the load of the machine were read."""
    plan.pacing.gauge.take(fact, plan.now, plan.summary.running)


def holds_back(plan: Plan, stage: Stage, pace: Pace) -> bool:
    """Whether the next start of a stage must wait; its `look_at` is when to ask again."""
    if plan.now < stage.not_before:
        stage.look_at = stage.not_before
        return True
    if not pace.needs_reading:
        return False
    gauge = plan.pacing.gauge
    if gauge.is_outdated(plan.now):
        _ask(plan)
        return True
    shortage = gauge.find_shortage(pace)
    if not shortage and not gauge.has_grown(pace, plan.summary.running):
        return False
    if shortage:
        _hold(plan, stage, shortage)
    if plan.now >= gauge.next_look:
        _ask(plan)
    else:
        stage.look_at = gauge.next_look
    return True


def _ask(plan: Plan) -> None:
    if not plan.pacing.gauge.is_asked:
        plan.pacing.gauge.is_asked = True
        plan.outbox.append(Measure())


def _hold(plan: Plan, stage: Stage, shortage: str) -> None:
    """Note that a stage waits; record it when it has waited for a second."""
    if stage.held_since is None:
        stage.held_since = plan.now
    if stage.tally.held:
        stage.tally.held = shortage
    elif plan.now - stage.held_since >= _RECORDED_AFTER_S:
        stage.tally.held = shortage
        plan.write(ControlReply("", "hold", True, shortage, (stage.name,)))
        if not stage.has_held:  # only the first wait becomes news
            stage.has_held = True
            stage.tally.news.append(f"{stage.name} starts no more for now: {shortage}")


def note_start(plan: Plan, stage: Stage, pace: Pace) -> None:
    """A unit of a stage was started."""
    stage.not_before = plan.now + pace.delay_s
    stage.held_since = None
    if stage.tally.held:
        stage.tally.held = ""
        plan.write(ControlReply("", "go-on", True, "", (stage.name,)))


def find_next_look(plan: Plan) -> Optional[float]:
    """Return the monotonic time at which a start that waits may be possible."""
    if plan.summary.ending:
        return None
    times = [one.look_at for one in plan.pacing.stages if one.ready and one.look_at is not None]
    return min(times, default=None)

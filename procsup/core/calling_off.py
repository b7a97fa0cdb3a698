"""`procsup stop RUN UNIT`: cancels single units while the rest of the run continues."""

from collections import deque
from typing import TYPE_CHECKING, Optional, Sequence, Set, Tuple

from procsup.core.picking import pick
from procsup.core.states import Blocked, Running, Stopping, Waiting
from procsup.core.text import plural

if TYPE_CHECKING:
    from procsup.core.planner import Planner

_CAUSE = "stopped by request"


def call_off(
    planner: "Planner", words: Sequence[str], grace_s: Optional[float]
) -> Tuple[bool, str, Tuple[str, ...]]:
    """Cancel units: running ones are asked to end, waiting ones get their verdict at once.

    Return whether it was done, a sentence, and the ids of the units that have not ended yet.
    """
    picked, complaint = pick(planner, words)
    if complaint:
        return False, complaint, ()
    live, waited = [], 0
    emptied: Set[str] = set()
    for stage, unit in picked:
        if isinstance(unit.state, (Running, Stopping)):
            planner.attempts.call_off(stage, unit, grace_s)
            live.append(unit.spec.id)
        elif isinstance(unit.state, (Blocked, Waiting)):
            planner.admission.cancel(stage, unit, _CAUSE)
            waited += 1
            emptied.add(stage.name)
    for name in emptied:
        stage = planner.by_name[name]
        stage.ready = deque(unit for unit in stage.ready if isinstance(unit.state, Waiting))
    planner.moved = True
    if not live and not waited:
        return True, "what is meant is over already", ()
    said = [f"stopping {plural(len(live), 'running unit')}"] if live else []
    said += [f"{plural(waited, 'waiting unit')} cancelled"] if waited else []
    return True, ", ".join(said), tuple(live)

"""Returns the results of units in a run's records, as facts for selectors."""

from typing import Optional, Sequence

from procsup.core.records import End
from procsup.core.replay import History, UnitHistory
from procsup.core.selectors import Facts, FactsOf, Nameable, make_facts


def make_facts_before(history: History) -> FactsOf:
    """Return a lookup of units' results before a sitting, in this run or an earlier one."""

    def read_facts(unit: Nameable) -> Facts:
        past = history.units.get(unit.id)
        if past is None or past.open_launch is None:
            return make_facts(past.ends if past is not None else ())
        return Facts(columns={"tries": len(past.ends) + 1})

    return read_facts


def make_facts_now(history: History, *, live: bool, at: float) -> FactsOf:
    """Return a lookup of units' states in this run; open attempts are running if it is live.

    `at` is the present time, in seconds since 1970.
    """

    def read_facts(unit: Nameable) -> Facts:
        past = history.units.get(unit.id)
        launch = past.open_launch if past is not None else None
        if past is not None and launch is not None and live:
            ends = past.ends if past.generation == history.generation else ()
            return make_facts(ends, running_s=max(at - launch.at, 0.0))
        return make_facts(list_ends_that_count(history, unit.id))

    return read_facts


def list_ends_that_count(history: History, unit_id: str) -> Sequence[End]:
    """Return the ends that count in the present run: its own, or those that it keeps."""
    unit: Optional[UnitHistory] = history.units.get(unit_id)
    if unit is None or unit.open_launch is not None:
        return []
    if unit.generation != history.generation and unit_id not in history.kept:
        return []
    return unit.ends

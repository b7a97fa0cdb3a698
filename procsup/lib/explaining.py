"""`procsup.explain`: the results of units, and what a run would do with them now."""

import os
from typing import List, Sequence

from procsup.host.files import AnyPath
from procsup.lib.plain import read_selectors
from procsup.queries import explaining
from procsup.queries.view import find_run
from procsup.report.explanation import format_explanation


class Explanation(explaining.Explanation):
    """An explanation that prints as a paragraph; its fields are those of `procsup explain`."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(self.format_lines())

    def format_lines(self, *, base: str = "") -> List[str]:
        """Return a paragraph, and below it the last output of a failed unit.

        Paths of logs below the folder `base` are shown relative to it.
        """
        return format_explanation(self, base=base)


def explain(run: AnyPath, *, only: Sequence[str] = ()) -> List[Explanation]:
    """Explain the units that the selectors select, or all; nothing is written, started or locked.

    `run` is as for `wait_for`, and may be live, dead or final. UsageError if there is no such run,
    or a selector selects no unit, RunUnfinished if that run is not the latest of its directory,
    RecordError if its records cannot be read.
    """
    found = find_run(os.fspath(run), os.curdir)
    return [Explanation(*one) for one in explaining.Explainer(found, read_selectors("only", only))]

"""Every exception that procsup raises, and the exit code that each one becomes.

::

    ProcsupError                 70  the root; also raised as such for a fault of procsup itself
    ├── UsageError                2  the command line or an argument is wrong
    │   └── RunFileError          2  the run file is wrong (``problems`` lists all of it)
    ├── RunFailed                 1  the run is final and some unit did not succeed (``manifest``)
    ├── RunUnfinished             3  not finished, and no supervisor works on it
    ├── OutputsChanged            4  finished, but outputs or plan no longer match
    ├── RecordError              74  the journal or a manifest could not be written or read
    ├── RunBusy                  75  the run directory is in use by a live run
    └── WaitTimeout             124  a wait reached its limit

A unit's failure is data (a verdict in a manifest) and never one of these, except where the
library is asked to turn it into ``RunFailed``.
"""

from typing import Any, ClassVar, Sequence, Tuple


class ProcsupError(Exception):
    """The root of all errors; ``exit_code`` is what the command line ends with."""

    exit_code: ClassVar[int] = 70


class UsageError(ProcsupError):
    """The command line or an argument is wrong; the message says what to do instead."""

    exit_code = 2


class RunFileError(UsageError):
    """The run file is wrong; ``problems`` holds every problem, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)

    def __reduce__(self) -> Tuple[Any, ...]:  # a copy is made from the problems, not the message
        return type(self), (self.problems,)


class RunFailed(ProcsupError):
    """The run is final, and at least one unit did not succeed.

    The library raises its own form of it, which has the manifest (``lib/failed.py``).
    """

    exit_code = 1


class RunUnfinished(ProcsupError):
    """The run is not finished and no supervisor works on it."""

    exit_code = 3


class OutputsChanged(ProcsupError):
    """The run finished, but its outputs are no longer those of its manifest."""

    exit_code = 4


class RecordError(ProcsupError):
    """The journal or a manifest could not be written, or cannot be trusted."""

    exit_code = 74


class RunBusy(ProcsupError):
    """A live run holds this run directory."""

    exit_code = 75


class WaitTimeout(ProcsupError):
    """The wait ended before the run did; the run continues."""

    exit_code = 124

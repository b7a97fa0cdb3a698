"""The states of a unit, each with its own data, and the unit that moves through them.

::

    Blocked ──> Waiting ──> Running ──> Inspecting ──> Done
       │           ^  │        │  └──────────┬──────────^
       │           │  │        v             │          │
       │           └──┼──── Stopping ────────┼──────────┤
       └──────────────┴──────────────────────┴──────────┘
"""

from typing import List, Optional, Tuple, Union

from msgspec import Struct

from procsup.core.ends import NO_ENDS, Packed, add, unpack
from procsup.core.events import Ended, Standing
from procsup.core.outcome import AttemptId, StopReason, Verdict
from procsup.core.records import End
from procsup.core.replay import UnitHistory
from procsup.core.slots import Placement
from procsup.core.spec import UnitSpec


class Blocked(Struct, frozen=True, gc=False):
    """It waits for the stages before its own, or for `left` units that it follows.

    `standing` is its standing when its stage was opened, None before that.
    """

    left: int = 0
    standing: Optional[Standing] = None


class Waiting(Struct, frozen=True, gc=False):
    """Ready for a slot, not before the monotonic time `not_before`."""

    not_before: float = 0.0


class Running(Struct, frozen=True, gc=False):
    """An attempt is alive; `since` and `deadline` (None without a timeout) are monotonic."""

    attempt: AttemptId
    placement: Placement
    deadline: Optional[float]
    since: float


class Stopping(Struct, frozen=True, gc=False):
    """A stop was ordered; `killed`: by SIGKILL at once. `called_off`: it is not tried again.

    `why`: who or what stopped it, if that came from outside the run.
    """

    attempt: AttemptId
    placement: Placement
    reason: StopReason
    since: float
    why: str = ""
    killed: bool = False
    called_off: bool = False


class Inspecting(Struct, frozen=True):
    """The attempt had a good exit and its slot is free; its outputs are being inspected."""

    attempt: AttemptId
    ended: Ended
    placement: Placement
    since: float


class Done(Struct, frozen=True, gc=False):
    """It has its verdict."""

    verdict: Verdict


class Aside(Struct, frozen=True, gc=False):
    """Not selected by `--only` and without a verdict: this sitting leaves it alone."""


State = Union[Blocked, Waiting, Running, Stopping, Inspecting, Done, Aside]

BLOCKED = Blocked()
READY = Waiting()
ASIDE = Aside()
DONE = {verdict: Done(verdict) for verdict in Verdict}  # one for all units


class Unit(Struct, eq=False, gc=False):
    """A unit of this run: its spec, its state, its ends.

    `past` is its history in the journal when its stage was planned, None if it is new.
    """

    spec: UnitSpec
    state: State = BLOCKED
    packed: Packed = NO_ENDS
    last_number: int = 0
    tried: int = 0  # attempts that count against retries
    shortages: int = 0  # starts refused in a row by a shortage that may pass
    kept: bool = False
    stale: bool = False
    past: Optional[UnitHistory] = None
    made_seq: int = 0  # number of the record that last changed its outputs
    dependents: Optional[List["Unit"]] = None  # blocked units that follow it

    @property
    def ends(self) -> Tuple[End, ...]:
        """Its ends, unpacked at each call: read it once, not in a loop."""
        return unpack(self.packed, self.spec.id)

    def add_end(self, end: End) -> None:
        """Add an end; a second end for an attempt replaces the first."""
        self.packed = add(self.packed, end)

    @property
    def failed(self) -> bool:
        """It has its verdict, and that is not success."""
        return isinstance(self.state, Done) and self.state.verdict is not Verdict.SUCCEEDED

    @property
    def is_live(self) -> bool:
        """It holds a slot."""
        return isinstance(self.state, (Running, Stopping))

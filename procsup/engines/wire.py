"""What a supervisor and an engine in another process say to each other: one JSON object a line.

First the supervisor says which run it is about (`Setting`), then it gives orders, until its end
of the pipe is closed: then every tree is ended. The other side tells facts, and `Over` as its
last word. Nothing of the environment that units inherit is ever in a line: it is the environment
that the other process itself was started with.
"""

from typing import Optional, Tuple, Union

from msgspec import Struct

from procsup.core.events import Ended, Fact, Inspected, Kill, Sampled, Start, Started, Stop
from procsup.core.lines import Lines


class Setting(Struct, frozen=True, tag=True):
    """The run that orders are about; paths are absolute.

    `units_lock_path` is None where units inherit no lock; `mark_base` is what marks begin with.
    """

    run_id: str
    run_dir: str
    mark_base: Optional[int] = None
    units_lock_path: Optional[str] = None
    sampling: bool = True


class Failed(Struct, frozen=True, tag=True):
    """The run directory is not as it must be: no unit can be started, and all are ended."""

    problem: str


class Over(Struct, frozen=True, tag=True):
    """All is over: the pids of what could not be ended."""

    survivors: Tuple[int, ...] = ()


EngineOrder = Union[Start, Stop, Kill]
EngineFact = Union[Started, Sampled, Ended, Inspected]
_SAID = Union[EngineFact, Failed, Over]
Said = Union[Fact, Failed, Over]  # as engines give and take it: of facts, those above

SETTINGS = Lines[Setting](Setting)
ORDERS = Lines[EngineOrder](EngineOrder)
SAID = Lines[Said](_SAID)

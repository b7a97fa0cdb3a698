"""The messages between a supervisor and an engine in another process: one JSON object a line.

First the supervisor sends `Setting`, then orders, until it closes its end of the pipe: then every
tree is ended. The engine sends facts. The environment that units
inherit is never in a line: the engine's process is started with it.
"""

from typing import Optional, Union

from msgspec import Struct

from procsup.core.events import Ended, Fact, Inspected, Kill, Sampled, Start, Started, Stop
from procsup.core.lines import Lines


class Setting(Struct, frozen=True, tag=True):
    """The run that the orders belong to; paths are absolute.

    `units_lock_path` is None if units inherit no lock; all marks begin with `mark_base`.
    """

    run_id: str
    run_dir: str
    mark_base: Optional[int] = None
    units_lock_path: Optional[str] = None
    sampling: bool = True


class Failed(Struct, frozen=True, tag=True):
    """The run directory is damaged: no unit can be started, and all are ended."""

    problem: str


EngineOrder = Union[Start, Stop, Kill]
EngineFact = Union[Started, Sampled, Ended, Inspected]
_SAID = Union[EngineFact, Failed]
Said = Union[Fact, Failed]  # for type checkers; only facts of `EngineFact` occur

SETTINGS = Lines[Setting](Setting)
ORDERS = Lines[EngineOrder](EngineOrder)
SAID = Lines[Said](_SAID)

"""procsup runs many independent processes and knows for certain when they are done.

::

    import procsup

    manifest = procsup.run("survey.toml", vars={"lib": "src"})
    for path in manifest.outputs("measure"):
        ...
"""

__version__ = "0.2.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from procsup import aio as aio
    from procsup.core.manifest import (
        AffinityRecord,
        AttemptRecord,
        Head,
        OutputRecord,
        StageCounts,
        UnitRecord,
    )
    from procsup.core.spec import RunSpec
    from procsup.errors import (
        OutputsChanged,
        ProcsupError,
        RecordError,
        RunBusy,
        RunFileError,
        RunUnfinished,
        UsageError,
        WaitTimeout,
    )
    from procsup.lib.explaining import Explanation, explain
    from procsup.lib.failed import RunFailed
    from procsup.lib.library import load, read_manifest, run, wait_for
    from procsup.lib.logs import UnitLog, logs
    from procsup.lib.manifest import Manifest, ManifestUnit
    from procsup.lib.planning import Plan, PlanUnit, plan
    from procsup.lib.running import Run, start
    from procsup.lib.status import Status
    from procsup.lib.units import Unit, map, run_units, start_units
    from procsup.lib.verbs import drain, retry, status, stop, verify
    from procsup.queries.events import (
        Event,
        RunEnded,
        StageEnded,
        StagePlanned,
        UnitEnded,
        UnitKept,
        UnitStarted,
    )
    from procsup.queries.verification import Difference, Verification

# The module of each public name. It is imported when the name is first used, since the guard
# forks, and `--version` answers, without the other modules.
_HOMES = {
    "AffinityRecord": "core.manifest",
    "AttemptRecord": "core.manifest",
    "Difference": "queries.verification",
    "Event": "queries.events",
    "Explanation": "lib.explaining",
    "Head": "core.manifest",
    "Manifest": "lib.manifest",
    "ManifestUnit": "lib.manifest",
    "OutputRecord": "core.manifest",
    "OutputsChanged": "errors",
    "Plan": "lib.planning",
    "PlanUnit": "lib.planning",
    "ProcsupError": "errors",
    "RecordError": "errors",
    "Run": "lib.running",
    "RunBusy": "errors",
    "RunEnded": "queries.events",
    "RunFailed": "lib.failed",
    "RunFileError": "errors",
    "RunSpec": "core.spec",
    "RunUnfinished": "errors",
    "StageCounts": "core.manifest",
    "StageEnded": "queries.events",
    "StagePlanned": "queries.events",
    "Status": "lib.status",
    "Unit": "lib.units",
    "UnitEnded": "queries.events",
    "UnitKept": "queries.events",
    "UnitLog": "lib.logs",
    "UnitRecord": "core.manifest",
    "UnitStarted": "queries.events",
    "UsageError": "errors",
    "Verification": "queries.verification",
    "WaitTimeout": "errors",
    "drain": "lib.verbs",
    "explain": "lib.explaining",
    "load": "lib.library",
    "logs": "lib.logs",
    "map": "lib.units",
    "plan": "lib.planning",
    "read_manifest": "lib.library",
    "retry": "lib.verbs",
    "run": "lib.library",
    "run_units": "lib.units",
    "start": "lib.running",
    "start_units": "lib.units",
    "status": "lib.verbs",
    "stop": "lib.verbs",
    "verify": "lib.verbs",
    "wait_for": "lib.library",
}

__all__ = [
    "AffinityRecord",
    "AttemptRecord",
    "Difference",
    "Event",
    "Explanation",
    "Head",
    "Manifest",
    "ManifestUnit",
    "OutputRecord",
    "OutputsChanged",
    "Plan",
    "PlanUnit",
    "ProcsupError",
    "RecordError",
    "Run",
    "RunBusy",
    "RunEnded",
    "RunFailed",
    "RunFileError",
    "RunSpec",
    "RunUnfinished",
    "StageCounts",
    "StageEnded",
    "StagePlanned",
    "Status",
    "Unit",
    "UnitEnded",
    "UnitKept",
    "UnitLog",
    "UnitRecord",
    "UnitStarted",
    "UsageError",
    "Verification",
    "WaitTimeout",
    "drain",
    "explain",
    "load",
    "logs",
    "map",
    "plan",
    "read_manifest",
    "retry",
    "run",
    "run_units",
    "start",
    "start_units",
    "status",
    "stop",
    "verify",
    "wait_for",
]


if not TYPE_CHECKING:  # a type checker would take any name for a public one

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used (PEP 562)."""
        home = _HOMES.get(name)
        if home is None and name != "aio":
            raise AttributeError(f"module 'procsup' has no attribute {name!r}")
        from importlib import import_module

        if home is None:
            return import_module("procsup.aio")  # which makes it an attribute of its own
        value: object = getattr(import_module(f"procsup.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> "List[str]":
    """List the public names, loaded or not."""
    return sorted([*__all__, "__version__"])

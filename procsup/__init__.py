"""procsup runs many independent processes and knows for certain when they are done.

::

    import procsup

    manifest = procsup.run("survey.toml", vars={"lib": "src"})
    for path in manifest.outputs("measure"):
        ...
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from procsup.api.library import load, read_manifest, run, wait_for
    from procsup.api.manifest import Manifest
    from procsup.api.units import Unit, map, run_units
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
        RunFailed,
        RunFileError,
        RunUnfinished,
        UsageError,
        WaitTimeout,
    )

# Where each public name is; nothing is imported before it is asked for, since the guard must
# fork, and `--version` answer, without loading the rest.
_HOMES = {
    "AffinityRecord": "core.manifest",
    "AttemptRecord": "core.manifest",
    "Head": "core.manifest",
    "Manifest": "api.manifest",
    "OutputRecord": "core.manifest",
    "OutputsChanged": "errors",
    "ProcsupError": "errors",
    "RecordError": "errors",
    "RunBusy": "errors",
    "RunFailed": "errors",
    "RunFileError": "errors",
    "RunSpec": "core.spec",
    "RunUnfinished": "errors",
    "StageCounts": "core.manifest",
    "Unit": "api.units",
    "UnitRecord": "core.manifest",
    "UsageError": "errors",
    "WaitTimeout": "errors",
    "load": "api.library",
    "map": "api.units",
    "read_manifest": "api.library",
    "run": "api.library",
    "run_units": "api.units",
    "wait_for": "api.library",
}

__all__ = [
    "AffinityRecord",
    "AttemptRecord",
    "Head",
    "Manifest",
    "OutputRecord",
    "OutputsChanged",
    "ProcsupError",
    "RecordError",
    "RunBusy",
    "RunFailed",
    "RunFileError",
    "RunSpec",
    "RunUnfinished",
    "StageCounts",
    "Unit",
    "UnitRecord",
    "UsageError",
    "WaitTimeout",
    "load",
    "map",
    "read_manifest",
    "run",
    "run_units",
    "wait_for",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is first asked for (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'procsup' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"procsup.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> "List[str]":
    """List the public names, loaded or not."""
    return sorted([*__all__, "__version__"])

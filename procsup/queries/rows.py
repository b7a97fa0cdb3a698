"""The flat columns of a unit; other programs rely on their names."""

from typing import Dict, Mapping, Optional, Sequence

from procsup.core.manifest import UnitRecord, exit_numbers, format_rfc3339
from procsup.core.records import End
from procsup.core.values import Value

FLAT = (
    "id",
    "stage",
    "index",
    "verdict",
    "exit_code",
    "signal",
    "cause",
    "kept",
    "stale",
    "tries",
    "started",
    "ended",
    "wall_s",
    "linger_s",
    "cpu_s",
    "peak_memory_bytes",
    "host",
    "stdout_path",
    "stderr_path",
)


def make_record_row(record: UnitRecord) -> Dict[str, Value]:
    """Return a unit of a manifest as one flat row; its parameters as ``parameters.NAME``."""
    row = {name: getattr(record, name) for name in FLAT}
    return {**row, **make_parameter_columns(record.parameters)}


def make_parameter_columns(parameters: Mapping[str, Value]) -> Dict[str, Value]:
    """Return the parameters as columns of a flat row."""
    return {f"parameters.{name}": value for name, value in parameters.items()}


def make_ends_row(
    unit: str,
    stage: Optional[str],
    index: Optional[int],
    ends: Sequence[End],
    *,
    kept: bool = False,
    stale: bool = False,
) -> Dict[str, Value]:
    """Return a unit of a journal as one flat row; unknown values are None."""
    row: Dict[str, Value] = dict.fromkeys(FLAT)
    row.update(id=unit, stage=stage, index=index, kept=kept, stale=stale)
    row["tries"] = sum(1 for end in ends if end.attempt > 0)
    last = ends[-1] if ends else None
    if last is None:
        return row
    row["exit_code"], row["signal"] = exit_numbers(last)
    row.update(
        verdict=last.verdict.value if last.final else None,
        cause=last.cause,
        started=format_rfc3339(last.started),
        ended=format_rfc3339(last.at),
        wall_s=last.wall_s,
        linger_s=last.linger_s,
        cpu_s=last.usage.cpu_s,
        peak_memory_bytes=last.usage.peak_memory_bytes,
        host=last.host,
        stdout_path=last.stdout_path,
        stderr_path=last.stderr_path,
    )
    return row

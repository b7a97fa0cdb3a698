"""What an engine is told of the run that it works for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping, Optional, Tuple

from procsup.core.outcome import AttemptId


@dataclass(frozen=True)
class RunContext:
    """What an engine is given of the run that it works for; all paths are absolute.

    `environment` is what units inherit; `log_paths` names an attempt's logs (stdout, stderr);
    `open_inherited` opens what a unit inherits, closed here after its start (POSIX), by
    `units_lock_path` another process can do the same; `mark_base` is what marks begin with (Linux).
    """

    run_id: str
    environment: Mapping[str, str]
    log_paths: Callable[[AttemptId, str], Tuple[str, str]]
    run_dir: Path
    open_inherited: Callable[[], Tuple[int, ...]] = tuple
    mark_base: Optional[int] = None
    units_lock_path: Optional[str] = None

"""The part of a run that its engine knows."""

from pathlib import Path
from typing import Callable, Mapping, Optional, Tuple

from msgspec import Struct

from procsup.core.outcome import AttemptId


class RunContext(Struct, frozen=True):
    """The part of a run that its engine knows; all paths are absolute.

    Units inherit `environment`; `log_paths` names an attempt's logs (stdout, stderr).
    `open_inherited` opens the descriptors that a unit inherits; we close ours after its start
    (POSIX). With `units_lock_path` another process can open them. All marks are above `mark_base`
    (Linux).
    """

    run_id: str
    environment: Mapping[str, str]
    log_paths: Callable[[AttemptId, str], Tuple[str, str]]
    run_dir: Path
    open_inherited: Callable[[], Tuple[int, ...]] = tuple
    mark_base: Optional[int] = None
    units_lock_path: Optional[str] = None

"""Everybody who belongs to the units of shapes.py: found by pid files and by the cookie."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, Optional, Set

from procsup.host import procfs
from tests.faults import laws

HAS_PROC = os.path.exists("/proc/self/stat")
PAUSE_S = 0.005


class Crowd:
    """The processes of one run; `run_id` is set as soon as the journal tells it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.run_id: Optional[str] = None

    def is_ready(self, shape: str) -> bool:
        return (self._folder / f"{shape}.ready").exists()

    def living(self) -> Dict[str, Set[int]]:
        """Return the pids of all that live, by shape."""
        found: Dict[str, Set[int]] = {}
        for path in (self._folder / "pids").iterdir():
            shape, _dot, pid = path.name.partition(".")
            if pid.isdigit() and lives(int(pid), path):
                found.setdefault(shape, set()).add(int(pid))
        if HAS_PROC and self.run_id is not None:
            self._find_by_cookie(found)
        return found

    def _find_by_cookie(self, found: Dict[str, Set[int]]) -> None:
        run = b"PROCSUP_RUN=" + self.run_id.encode() if self.run_id else b""
        for pid in set(procfs.chase()):
            data = procfs.read_raw_environment(pid)
            if run in data.split(b"\0"):
                unit = procfs.parse_environment(data).get("PROCSUP_UNIT", "")
                found.setdefault(unit.rpartition("=")[2], set()).add(pid)

    def wait_until_gone(self, limit_s: float) -> Dict[str, Set[int]]:
        """Wait so long for the end of all; return who lives then."""
        deadline = time.monotonic() + limit_s
        while True:
            left = self.living()
            if not left or time.monotonic() > deadline:
                return left
            laws.pause(PAUSE_S)

    def parents(self, shape: str) -> List[int]:
        """Return the parents of those of a shape that live (Linux)."""
        looks = map(procfs.look, self.living().get(shape, ()))
        return [process.parent for process in looks if process is not None]

    def end(self) -> None:
        """Leave nothing of a failed case behind."""
        for _ in range(20):
            pids = [pid for pids in self.living().values() for pid in pids]
            for pid in pids:
                with suppress(ProcessLookupError):  # it was quicker
                    os.kill(pid, 9)
            if not pids:
                return
            laws.pause(PAUSE_S)


def lives(pid: int, noted: Path) -> bool:
    """Tell whether the very process that noted itself lives, and is no zombie."""
    if HAS_PROC:
        process = procfs.look(pid)
        start = noted.read_text()
        return process is not None and not process.dead and str(process.start_ticks) == start
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True

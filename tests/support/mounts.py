"""Real bind mounts, where they may be made."""

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator

import pytest


@contextmanager
def bound(source: Path, place: Path) -> Iterator[None]:
    """Show `source` (a folder or a file) at `place` too; skips the test if that is refused."""
    try:
        before = set(_points())
        done = subprocess.run(
            ["mount", "--bind", str(source), str(place)], capture_output=True, text=True
        )
    except OSError as error:
        pytest.skip(f"nothing can be mounted: {error}")
    if done.returncode != 0:
        pytest.skip(f"nothing may be mounted: {done.stderr.strip()}")
    (number,) = set(_points()) - before
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", _points()[number]], check=True)


def _points() -> Dict[str, str]:
    """The mount points by the numbers of their mounts: a folder above may be renamed meanwhile."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        lines = [line.split() for line in file]
    return {words[0]: words[4] for words in lines}

"""Files for tests, and what a test of files needs of the system."""

import sys
from pathlib import Path

import pytest

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


def written(path: Path, text: str = "data") -> str:
    """Write a file, and the folders that it lies in; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)

"""Which tests are slow, since they bring whole runs to completion, and which need POSIX programs.

``python scripts/test.py --quick`` is ``pytest -m "not slow"``: without the slow ones. Proofs put
faults into procsup on purpose, and need not do so on every Python.
"""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SLOW = (
    "lib/test_running.py",
    "lib/test_units.py",
    "cli/test_map.py",
    "cli/test_run.py",
    "e2e",
    "faults",
    "runfile/test_overlaps.py",
    "scripts/test_configs.py",
    "scripts/test_pipelines.py",
    "store/test_journal_damage.py",
    "test_aio.py",
    "test_portable.py",
    "test_readme.py",
    "test_typing.py",
)
# The others of faults are proofs.
EVERYWHERE = ("faults/test_harnesses.py", "faults/test_readme.py", "faults/test_seams.py")
POSIX = ("lib/test_running.py", "lib/test_units.py", "cli/test_map.py", "test_aio.py")


def pytest_collection_modifyitems(items):
    missing = [name for name in (*SLOW, *POSIX) if not (HERE / name).exists()]
    assert not missing, f"named here, and not there: {missing}"
    elsewhere = pytest.mark.skipif(sys.platform == "win32", reason="its units are POSIX programs")
    for item in items:
        path = Path(str(item.fspath)).relative_to(HERE).as_posix()
        if any(path == name or path.startswith(f"{name}/") for name in SLOW):
            item.add_marker(pytest.mark.slow)
        if path.startswith("faults/") and path not in EVERYWHERE:
            item.add_marker(pytest.mark.proof)
        if path in POSIX:
            item.add_marker(elsewhere)

"""Which tests are slow: those that bring whole runs to completion. The quick suite leaves them out.

``python scripts/test.py --quick`` is ``pytest -m "not slow"``.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SLOW = (
    "api/test_running.py",
    "api/test_units.py",
    "cli/test_map.py",
    "cli/test_run.py",
    "e2e",
    "runfile/test_overlaps.py",
    "scripts/test_configs.py",
    "scripts/test_pipelines.py",
    "store/test_journal_damage.py",
    "test_aio.py",
    "test_readme.py",
    "test_typing.py",
)


def pytest_collection_modifyitems(items):
    missing = [name for name in SLOW if not (HERE / name).exists()]
    assert not missing, f"named as slow, and not there: {missing}"
    for item in items:
        path = Path(str(item.fspath)).relative_to(HERE).as_posix()
        if any(path == name or path.startswith(f"{name}/") for name in SLOW):
            item.add_marker(pytest.mark.slow)

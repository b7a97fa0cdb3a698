"""Which tests are slow, since they bring whole runs to completion, and which need POSIX programs.

``python scripts/test.py --quick`` is ``pytest -m "not slow"``: without the slow ones. Proofs put
faults into procsup on purpose, and need not do so on every Python; nor need those of ONCE.
"""

import sys
from pathlib import Path

import pytest

from tests.support.gate import Gate

HERE = Path(__file__).resolve().parent
SLOW = (
    "lib/test_running.py",
    "lib/test_units.py",
    "lib/test_verbs.py",
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
    "test_typing.py",
)
# The others of faults are proofs.
EVERYWHERE = ("faults/test_harnesses.py", "faults/test_readme.py", "faults/test_seams.py")
# They take half of the time, and what they show (decisions, histories of files, other users' files,
# our own sources) does not depend on the Python: how processes are started, watched and ended does.
ONCE = (
    "core/test_planner_histories.py",
    "core/test_planner_scale.py",
    "e2e/test_file_histories.py",
    "e2e/test_files.py",
    "e2e/test_keeping.py",
    "e2e/test_moving.py",
    "e2e/test_other_users.py",
    "e2e/test_planted.py",
    "e2e/test_selected.py",
    "scripts/test_house_figures.py",
    "store/test_removal.py",
    "test_house.py",
    "test_layering.py",
    "test_portable.py",
)
POSIX = (
    "lib/test_running.py",
    "lib/test_units.py",
    "lib/test_verbs.py",
    "cli/test_map.py",
    "test_aio.py",
)


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """Where the gated units of a run in the test's own folder, which is the current one, report."""
    monkeypatch.chdir(tmp_path)
    with Gate() as gate:
        yield gate


def pytest_collection_modifyitems(items):
    missing = [name for name in (*SLOW, *ONCE, *POSIX) if not (HERE / name).exists()]
    assert not missing, f"named here, and not there: {missing}"
    elsewhere = pytest.mark.skipif(sys.platform == "win32", reason="its units are POSIX programs")
    for item in items:
        path = Path(str(item.fspath)).relative_to(HERE).as_posix()
        if any(path == name or path.startswith(f"{name}/") for name in SLOW):
            item.add_marker(pytest.mark.slow)
        if path.startswith("faults/") and path not in EVERYWHERE:
            item.add_marker(pytest.mark.proof)
        if path in ONCE:
            item.add_marker(pytest.mark.once)
        if path in POSIX:
            item.add_marker(elsewhere)

"""The soak finds what it looks for: a supervisor that leaks a little with each unit is caught."""

import shutil
import sys

import pytest

from tests.faults.trial import Trial

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("flock") is None,
    reason="looks into /proc, and its units need flock(1)",
)
UNITS = 100
# Imported by the supervisor's Python before procsup itself.
BROKEN = """
import os, threading
from procsup.host import exits

forget, kept = exits.PidfdExits.forget, []

def leak(self, pid):
    {leak}
    forget(self, pid)

exits.PidfdExits.forget = leak
"""
LEAKS = {
    "descriptors": "os.dup(0)",
    "memory": "kept.append(b'.' * (1 << 16))",
    "threads": "threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "zombies": "os.fork() or os._exit(0)",
}


@pytest.mark.parametrize("what", LEAKS)
def test_a_leak_is_caught(what, tmp_path):
    from tests.faults import soak

    (tmp_path / "sitecustomize.py").write_text(BROKEN.format(leak=LEAKS[what]))
    trial = Trial("soak", "smoke", tmp_path)
    soaked = soak.Soaked(tmp_path / "run", UNITS, trial.seed, [tmp_path])
    try:
        soak.resources(trial, soaked)
    finally:
        soaked.end_everything()

    assert len(trial.failures) > 0
    assert all("resources: " in failure for failure in trial.failures)

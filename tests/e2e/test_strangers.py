"""P4: what comes to the guard from somebody else is left alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.laws import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans come to us on Linux only")

RUN = """
[stage.s]
command = ["bash", "-c", "until test -s stranger; do sleep 0.05; done; sleep 0.2"]
"""
# What a container's entry point does: start a helper, then become procsup.
ENTRY = """
setsid bash -c 'sleep 0.3; setsid sleep 97 </dev/null >/dev/null 2>&1 & echo $! > stranger' &
exec "$0" -m procsup run run.toml
"""


@pytest.mark.parametrize("how", ["well", "killed"])
def test_what_a_helper_from_before_leaves_behind_lives_on(tmp_path: Path, how: str) -> None:
    (tmp_path / "run.toml").write_text(
        RUN if how == "well" else RUN.replace("sleep 0.2", "sleep 60")
    )
    child = subprocess.Popen(
        ["bash", "-c", ENTRY, sys.executable],
        cwd=str(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    stranger = tmp_path / "stranger"
    until(lambda: stranger.exists() and stranger.read_text().endswith("\n"), "no stranger", 20.0)
    pid = int(stranger.read_text())
    try:
        if how == "killed":
            lock = tmp_path / ".procsup" / "run" / "run.lock"
            until(lambda: lock.exists() and b'"sitting":1' in lock.read_bytes(), "no start", 20.0)
            os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
        child.wait(30)

        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)

"""A shortage that the run itself causes fails nobody: what is lacking comes back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="limits are set by a POSIX shell"),
]

UNITS, JOBS = 60, 60
LINE = 'ulimit -n 48 && exec "$0" -m procsup map -j %d bash -c "sleep 1; echo \\$0" ::: %s'


def test_more_jobs_than_descriptors_allow_all_succeed_and_all_is_printed(tmp_path: Path) -> None:
    line = LINE % (JOBS, " ".join(map(str, range(UNITS))))
    done = subprocess.run(
        ["bash", "-c", line, sys.executable],
        cwd=str(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert sorted(map(int, done.stdout.split())) == list(range(UNITS))
    assert "put off for a shortage of the system" in done.stderr
    (manifest,) = tmp_path.glob(".procsup/*/manifest.json")
    units = json.loads(manifest.read_text())["units"]
    assert [unit["tries"] for unit in units] == [1] * UNITS
    assert {unit["attempts"][0]["attempt"] for unit in units} == {1}

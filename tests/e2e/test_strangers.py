"""P4: what comes to the guard from somebody else is left alone, and what is ours is ended."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.laws import until
from tests.support.projects import Project

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


# The daemon bears what the procsup within has given it; that procsup is killed, with its guard.
WITHIN = """
echo $$ > main
"$0" -m procsup map -q bash -c '
    setsid sleep 98 </dev/null >/dev/null 2>&1 & echo $! > daemon; sleep 60' ::: 1 &
inner=$!
until test -s daemon; do sleep 0.05; done
kill -9 $inner $(cat /proc/$inner/task/$inner/children)
exit 3
"""
BESIDE = """
until test -s daemon && ! kill -0 $(cat main); do sleep 0.05; done 2>/dev/null
for i in $(seq 400); do kill -0 $(cat daemon) 2>/dev/null || exit 0; sleep 0.05; done
exit 1
"""


def test_what_a_killed_procsup_within_a_unit_leaves_ends_with_that_unit(tmp_path: Path) -> None:
    stages = {
        "within": ["bash", "-c", WITHIN, sys.executable],
        "beside": ["bash", "-c", BESIDE],
    }
    text = "".join(f"[stage.{n}]\ncommand = {json.dumps(c)}\n" for n, c in stages.items())
    project = Project(tmp_path, text)

    project.run("--jobs", "2", expect=1)

    assert project.verdicts == {"within": "failed", "beside": "succeeded"}

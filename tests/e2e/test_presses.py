"""What the second Ctrl-C means does not depend on who asked for what in between."""

import os
import signal
import sys
import time

import pytest

from tests.faults.laws import until
from tests.support.projects import Project, finish

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="presses by signals")

LIMIT_S = 20.0
PRESS_EVERY_S = 0.25  # closer together they are one press
RUN = """
[stage.s]
command = ["sh", "-c", "trap 'touch asked' TERM; echo > up; while :; do sleep 0.01; done"]
grace = "1000s"
"""


def is_asked(answer):
    """The answer to an interrupt has no request."""
    return bool(answer["request"])


@pytest.mark.parametrize("verb", ["drain", "stop"])
def test_the_second_press_kills_and_the_reason_stays(tmp_path, verb):
    project = Project(tmp_path, RUN)
    child = project.start("run", "run.toml")
    until((tmp_path / "up").exists, "it did not start", LIMIT_S)
    pressed_at = time.monotonic()
    child.send_signal(signal.SIGINT)
    until((tmp_path / "asked").exists, "it was not asked to end", LIMIT_S)
    if verb == "stop":  # which waits for the end
        asker = project.start("stop", "run")
        until(lambda: any(map(is_asked, project.records("answer"))), "no answer", LIMIT_S)
    else:
        assert project.call("drain", "run").returncode == 0
    # The request took that long already, mostly.
    until(lambda: time.monotonic() > pressed_at + PRESS_EVERY_S, "no clock", LIMIT_S)
    child.send_signal(signal.SIGINT)

    _out, err = finish(child)

    assert child.returncode == -signal.SIGINT
    assert "interrupted by SIGINT" in err
    assert project.records("closed")[-1]["reason"] == "interrupted by SIGINT"
    assert project.records("end")[-1]["exit"]["signum"] == signal.SIGKILL
    if verb == "stop":
        finish(asker)
    assert os.listdir(project.rundir / "control") == []

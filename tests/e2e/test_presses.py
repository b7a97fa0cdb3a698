"""What the second Ctrl-C means does not depend on who asked for what in between."""

import signal
import sys
import time

import pytest

from tests.support.projects import Project, finish

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="presses by signals")

LIMIT_S = 20.0
PRESS_EVERY_S = 0.25  # closer together they are one press
RUN = """
[stage.s]
command = ["sh", "-c", "trap 'touch asked' TERM; echo > up; while :; do sleep 0.01; done"]
grace = "1000s"
"""


def wait_for(path):
    deadline = time.monotonic() + LIMIT_S
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.002)


@pytest.mark.parametrize("verb", ["drain", "stop"])
def test_the_second_press_kills_and_the_reason_stays(tmp_path, verb):
    project = Project(tmp_path, RUN)
    child = project.start("run", "run.toml")
    wait_for(tmp_path / "up")
    pressed_at = time.monotonic()
    child.send_signal(signal.SIGINT)
    wait_for(tmp_path / "asked")
    if verb == "stop":  # which waits for the end
        asker = project.start("stop", "run")
        while not project.records("answer"):
            assert time.monotonic() < pressed_at + LIMIT_S
    else:
        assert project.call("drain", "run").returncode == 0
    while time.monotonic() < pressed_at + PRESS_EVERY_S:
        time.sleep(0.01)  # the request took that long already, mostly
    child.send_signal(signal.SIGINT)

    _out, err = finish(child)

    assert child.returncode == -signal.SIGINT
    assert "interrupted by SIGINT" in err
    assert project.records("closed")[-1]["reason"] == "interrupted by SIGINT"
    assert project.records("end")[-1]["exit"]["signum"] == signal.SIGKILL
    if verb == "stop":
        finish(asker)

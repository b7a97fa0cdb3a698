"""A manifest never stands beside an open plan, wherever the supervisor is killed (`map`)."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.projects import LIMIT_S, ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")

# Kills itself before or after the nth call of an operation.
PROGRAM = """
import os, signal, sys
from procsup.cli.main import main
from procsup.store.growing_plan import PlanFile
from tests.faults.seams import plant

what, when, nth = sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))
calls = []

def make(real):
    def work(*args, **more):
        is_it = more.get("last", True)  # of PlanFile.add
        calls.extend([None] * is_it)
        if is_it and when == "before" and len(calls) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*args, **more)
        if is_it and len(calls) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return work

plant({"begin": PlanFile.begin, "end": PlanFile.add}.get(what, what), make)
sys.exit(main())
"""
LINE = ["map", "--name", "m", "test", "-e"]


def call(folder, *words, **more):
    return subprocess.run(
        [sys.executable, *words],
        cwd=str(folder),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        **more,
    )


def fail_both(folder, *words):
    return call(folder, *words, *LINE, input="no\nneither\n")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["withdraw 1", "begin 1", "end 1", "write a manifest 1",
                                  "write a manifest 2"])  # fmt: skip
def test_a_kill_leaves_a_plan_with_which_a_final_run_can_be_tried_again(tmp_path, what, when):
    assert fail_both(tmp_path, "-m", "procsup").returncode == 1
    name, _, nth = what.rpartition(" ")

    died = fail_both(tmp_path, "-c", PROGRAM, name, when, nth)

    assert died.returncode == -9, died.stderr
    rundir = tmp_path / ".procsup" / "m"
    is_final = (rundir / "manifest.json").exists()
    ends = [json.loads(line) for line in (rundir / "plan.jsonl").read_text().splitlines()]
    is_whole = ends[-1] == {"end": 2}
    assert is_whole or not (is_final or (rundir / "stages" / "map.json").exists())
    assert is_final == ((what, when) in FINAL)
    again = call(tmp_path, "-m", "procsup", "retry", "m")
    assert again.returncode == (1 if is_whole else 2), again.stderr
    assert fail_both(tmp_path, "-m", "procsup").returncode == 1


FINAL = {("withdraw 1", "before"), ("write a manifest 2", "after")}

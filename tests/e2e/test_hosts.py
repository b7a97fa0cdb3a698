"""The library inside programs of all kinds: their signals and children stay their own."""

import os
import signal
import subprocess
import sys

import pytest

from tests.support.projects import PROGRAMS, PYTHON, ROOT

LIMIT_S = 120.0
NEEDS = {"twisted": "twisted", "ipython": "IPython"}


def run_host(folder, *words):
    (folder / "run.toml").write_text(f'[stage.s]\ncommand = ["{PYTHON}", "-S", "-c", ""]\n')
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}
    return subprocess.run(
        [sys.executable, str(PROGRAMS / "host_program.py"), *words],
        cwd=str(folder),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


@pytest.mark.parametrize("way", ["plain", "thread", "asyncio", "twisted", "ipython"])
def test_a_program_s_signals_and_children_are_untouched(tmp_path, way):
    if way in NEEDS:
        pytest.importorskip(NEEDS[way], reason=f"{NEEDS[way]} is not installed")
    if way == "twisted" and sys.platform == "win32":
        pytest.skip("spawnProcess needs pywin32 there")

    done = run_host(tmp_path, way)

    assert (done.stdout.splitlines()[-1:], done.returncode) == (["untouched"], 0), done.stderr


@pytest.mark.survives("F01")
@pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="there is no SIGCHLD")
@pytest.mark.parametrize("disposition", ["handler", "ignored"])
def test_whatever_the_program_does_with_sigchld_runs_are_told_right(tmp_path, disposition):
    done = run_host(tmp_path, "plain", disposition)

    assert (done.stdout.splitlines()[-1:], done.returncode) == (["untouched"], 0), done.stderr

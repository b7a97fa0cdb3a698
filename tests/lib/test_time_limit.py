"""A limit for a whole run: when it is over, the run is stopped, and says why."""

import asyncio
from pathlib import Path

import pytest

import procsup
from procsup import aio
from tests.support.projects import LIMIT_S, PROGRAMS, PYTHON

LIMIT = {"time_limit": "100ms"}
WAYS = {
    "run": lambda argv: procsup.run("run.toml", progress="none", **LIMIT),
    "run_units": lambda argv: procsup.run_units([argv], progress="none", **LIMIT),
    "map": lambda argv: procsup.map(argv, ["a"], args=[], progress="none", **LIMIT),
    "start": lambda argv: procsup.start("run.toml", **LIMIT).wait(LIMIT_S),
    "detached": lambda argv: procsup.start("run.toml", detach=True, **LIMIT).wait(LIMIT_S),
    "start_units": lambda argv: procsup.start_units([argv], **LIMIT).wait(LIMIT_S),
    "aio.run": lambda argv: asyncio.run(aio.run("run.toml", progress="none", **LIMIT)),
    "aio.run_units": lambda argv: asyncio.run(aio.run_units([argv], progress="none", **LIMIT)),
    "aio.map": lambda argv: asyncio.run(aio.map(argv, ["a"], args=[], progress="none", **LIMIT)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_takes_longer_is_stopped_and_not_finished(gate, way):
    argv = [PYTHON, "-S", str(PROGRAMS / "gated.py"), str(gate.port), "a"]
    Path("run.toml").write_text(f"[stage.s]\ncommand = {argv!r}\n")

    with pytest.raises(procsup.RunUnfinished, match=r"its time limit of 0\.1 s is over"):
        WAYS[way](argv)

    status = procsup.status()
    assert status.state == "unfinished"
    assert not status.running
    visitor = gate.may_meet("a", 0.0)  # it may have come before it was stopped
    assert visitor is None or visitor.ends_within(LIMIT_S)


def test_the_same_call_without_the_limit_goes_on(gate):
    argv = [PYTHON, "-S", str(PROGRAMS / "gated.py"), str(gate.port), "a"]
    Path("run.toml").write_text(f"[stage.s]\ncommand = {argv!r}\n")
    with pytest.raises(procsup.RunUnfinished):
        procsup.run("run.toml", progress="none", time_limit=0)  # nothing is even started

    with procsup.start("run.toml", time_limit=LIMIT_S) as run:
        gate.meet("a").exit(0)
        assert run.wait(LIMIT_S).ok


@pytest.mark.parametrize("limit", ["soon", -1])
def test_what_is_no_duration_starts_nothing(gate, limit):
    with pytest.raises(procsup.UsageError, match="time_limit: expected seconds"):
        procsup.run_units([["true"]], time_limit=limit)

    assert not Path(".procsup").exists()

"""The harness of environments catches what it is for: faults seeded into procsup, one at a time."""

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("its places are POSIX", allow_module_level=True)

from tests.faults import laws
from tests.faults.environments import crowds, names
from tests.faults.environments.scene import Scene
from tests.faults.system_calls.starting import Case, Seam
from tests.faults.trial import Trial

BROKEN = "tests.faults.system_calls.broken:"


def failures_of(folder, act, *breakages):
    """Do something to a procsup that has these faults; return what the harness finds."""
    trial = Trial("environments", "smoke", folder)
    with Seam(*(BROKEN + name for name in breakages)) as seam:
        case = Case(folder / "clean", "seeded-clean")
        assert seam.run(case)[0] == 0
        scene = Scene(trial, seam, laws.story(case.rundir), case)
        with trial.case("seeded"):
            act(scene)
    return trial.failures


def race(scene):
    crowds._race(scene, 2)


def test_a_seeded_fault_is_caught(tmp_path, monkeypatch):
    assert failures_of(tmp_path / "right", race) == []
    monkeypatch.setattr("tests.faults.system_calls.starting.CROWD_LIMIT_S", 2.0)

    assert len(failures_of(tmp_path / "wrong", race, "locks_keep_nobody_out")) == 1


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b31m", "a\u202eb", "bell\x07", "\x9d52;c;x\x9c"])
def test_what_acts_on_a_terminal_is_known(text):
    assert names.ACTS.search(f"hostile/{text} succeeded")
    assert not names.ACTS.search("hostile/plain \u00e9 succeeded\n")

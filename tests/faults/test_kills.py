"""The sweep of deaths finds what it looks for: each fault that is put into procsup is caught."""

import os
import shutil
import sys

import pytest

from tests.faults.trial import Trial

if sys.platform.startswith("linux") and shutil.which("flock"):
    from tests.faults import kills
    from tests.faults.kills import seeded
    from tests.faults.kills.cases import cases_of
    from tests.faults.kills.points import PHASES
    from tests.faults.kills.recording import record_all
    from tests.faults.kills.worker import Worker

    SHOWN_BY = seeded.SHOWN_BY
else:
    pytestmark = pytest.mark.skip(reason="looks into /proc, and its units need flock(1)")
    SHOWN_BY = {}

TRIES = 40


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return record_all(tmp_path_factory.mktemp("recorded") / "run")


def near(recorded, file):
    """Of the points while units run, keep those of one file; all if `file` is empty."""
    points = [one for one in recorded.until_held if one.file.replace(os.sep, "/").endswith(file)]
    return recorded._replace(until_held=points)


def test_an_undisturbed_run_goes_through_all_phases(recorded):
    seen = [point.phase for point in recorded.supervisor]

    assert list(dict.fromkeys(seen)) == [phase for phase, _, _ in PHASES]


@pytest.mark.parametrize("fault", SHOWN_BY)
def test_a_fault_that_is_put_into_procsup_is_caught(fault, recorded, tmp_path):
    trial = Trial("kills", "quick", tmp_path)
    shown = SHOWN_BY[fault], "runs units"
    where = near(recorded, seeded.SHOWN_IN.get(fault, ""))
    cases = [case for case in cases_of(trial, where) if (case.kind, case.phase) == shown][:TRIES]
    sound, broken = Worker(tmp_path / "run"), Worker(tmp_path / "run", breaks=fault)
    try:
        clean = kills.run_undisturbed(sound)
        kills.run_undisturbed(broken)  # no death, no problem: else it would be another fault
        problems = (kills.attempt(broken, case, clean).problem for case in cases)
        assert any(isinstance(problem, AssertionError) for problem in problems)
    finally:
        sound.close()
        broken.close()

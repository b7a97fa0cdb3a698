"""Each harness works: a handful of its cases, on every Python. The rest: ``scripts/faults.py``."""

import sys

import pytest

from tests.faults.__main__ import NAMES, attack
from tests.faults.trial import Trial

POSIX_ONLY = "its faults are POSIX signals, descriptors and system calls"
EVERYWHERE = ("journal_fuzz",)


@pytest.mark.parametrize("name", [name for name in NAMES if name in EVERYWHERE])
def test_a_handful_of_cases_of_the_files_finds_no_fault(name, tmp_path):
    result = attack(name, "smoke", parent=tmp_path)

    assert result["failures"] == []
    assert result["cases"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason=POSIX_ONLY)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in EVERYWHERE])
def test_a_handful_of_cases_of_real_runs_finds_no_fault(name, tmp_path):
    result = attack(name, "smoke", parent=tmp_path)

    assert result["failures"] == []
    assert result["cases"] > 0 or result["left_out"]


def test_what_is_raised_in_a_case_is_its_failure_and_the_next_goes_on(tmp_path, capsys):
    trial = Trial("demo", "smoke", tmp_path)

    with trial.case("one"):
        raise ValueError("no")
    with trial.case("two"):
        pass
    trial.failed("three", "lost")

    assert trial.cases == 3
    assert [text.split(" (")[0] for text in trial.failures] == [
        "one: ValueError: no",
        "three: lost",
    ]
    assert "FAILED one" in capsys.readouterr().err

"""The table of faults names what there is: 70 faults, files of procsup, tests, harnesses."""

import re
from pathlib import Path

import pytest

from tests.faults.__main__ import ORDER

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "tests" / "faults" / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (F\d\d) \| (.+) \|$", TEXT, re.MULTILINE)


def test_every_fault_has_one_row():
    assert [number for number, _ in ROWS] == [f"F{number:02d}" for number in range(1, 71)]


def test_every_row_says_what_is_done_and_where_that_is_tested_or_why_not():
    assert [number for number, row in ROWS if len(row.split(" | ")) != 4] == []
    assert [number for number, row in ROWS if not row.split(" | ")[3].strip()] == []


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_what_a_row_names_is_there(number, row):
    _fault, _does, where, tested = row.split(" | ")
    for place in re.findall(r"`([^`]+)`", where):
        assert (ROOT / "procsup" / place).is_file(), place
    for path, test in re.findall(r"`([^`]+)::([^`]+)`", tested):
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), test
    if tested.startswith("harness "):
        named = re.findall(r"`([^`]+)`", tested.partition(";")[0])
        assert named
        assert set(named) <= set(ORDER)

"""The table of faults names what there is: functions of procsup, tests, harnesses."""

import re
from pathlib import Path

import pytest

from tests.faults.__main__ import NAMES, ORDER

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "faults"
TEXT = (HERE / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (F\d\d) \| (.+) \|$", TEXT, re.MULTILINE)
SPARE = {"journal_fuzz": ["hostile.py"]}  # what a harness has beside its own module or package


def cells(row):
    return row.split(" | ")


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_every_fault_has_one_row():
    assert [number for number, _ in ROWS] == [
        f"F{number:02d}" for number in range(1, len(ROWS) + 1)
    ]
    assert len(ROWS) >= 82


def test_every_harness_is_described():
    assert NAMES == ORDER
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == list(ORDER)


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_every_row_says_what_is_done_where_and_how_that_is_tested_or_why_not(number, row):
    fault, does, where, tested = cells(row)

    assert fault
    assert does
    assert quoted(where) or "ot handled" in does
    assert quoted(tested) or tested == "not tested"
    for other in re.findall(r"F(\d\d)", row):
        assert 1 <= int(other) <= len(ROWS)


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_the_functions_that_a_row_names_are_there(number, row):
    for place in quoted(cells(row)[2]):
        path, _, name = place.partition(": ")
        text = (ROOT / "procsup" / path).read_text(encoding="utf-8")
        assert not name or re.search(rf"^ *(def|class) {name}\b", text, re.MULTILINE), place


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_the_tests_and_cases_that_a_row_names_are_there(number, row):
    for place in quoted(cells(row)[3]):
        path, _, name = place.partition("::")
        if name:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), place
        else:
            harness, _, case = place.partition(": ")
            assert case, place
            text = source(harness)
            # The names of cases are put together: their words at least are to be found.
            assert [word for word in re.findall(r"[\w'-]+", case) if word not in text] == [], place


def source(harness):
    """The text of a harness, all its files."""
    assert harness in NAMES
    files = [*HERE.glob(f"{harness}.py"), *HERE.glob(f"{harness}/*.py")]
    files += [HERE / name for name in SPARE.get(harness, ())]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)

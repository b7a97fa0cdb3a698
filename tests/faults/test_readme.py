"""The table of faults names what there is: files, cases of harnesses, and tests by their marks."""

import ast
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


def find_quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_every_fault_has_one_row():
    assert [number for number, _ in ROWS] == [
        f"F{number:02d}" for number in range(1, len(ROWS) + 1)
    ]
    assert len(ROWS) >= 82


def test_every_harness_is_described():
    assert NAMES == ORDER
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == list(ORDER)


def find_marked():
    """Yield the numbers in all marks, each with the test that has it."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for mark in getattr(node, "decorator_list", ()):
                if getattr(getattr(mark, "func", None), "attr", "") == "survives":
                    yield from ((arg.value, f"{path.name}::{node.name}") for arg in mark.args)


MARKED = list(find_marked())


def test_every_mark_is_of_a_row():
    numbers = {number for number, _ in ROWS}

    assert [test for number, test in MARKED if number not in numbers] == []
    assert len(MARKED) == len(set(MARKED))


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_every_row_says_what_is_done_where_and_has_a_test_or_a_case_unless_it_says_so(number, row):
    fault, does, where, cases = cells(row)

    assert fault
    assert does
    assert find_quoted(where) or "ot handled" in does
    has_test = number in {marked for marked, _ in MARKED}
    assert (has_test or bool(find_quoted(cases))) == (cases != "not tested")
    for other in re.findall(r"F(\d\d)", row):
        assert 1 <= int(other) <= len(ROWS)


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_the_files_that_a_row_names_are_there(number, row):
    assert [
        name for name in find_quoted(cells(row)[2]) if not (ROOT / "procsup" / name).is_file()
    ] == []


@pytest.mark.parametrize(("number", "row"), ROWS)
def test_the_cases_that_a_row_names_are_there(number, row):
    for place in find_quoted(cells(row)[3]):
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

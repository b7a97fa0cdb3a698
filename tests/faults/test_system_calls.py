"""The harness of system calls catches what it is for: faults seeded into procsup, one at a time."""

import sys

import pytest

from tests.faults import laws
from tests.faults.seams import PACKAGE, find
from tests.faults.system_calls.starting import Case, Cell, Seam, complete, obey_the_laws
from tests.faults.system_calls.table import RULES, right_codes

WHOLE = "host/files.py:write_atomically"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its calls are POSIX")


def problem_of(folder, cell, breakage):
    """Return what the harness says of a cell where procsup has this fault; '' if nothing."""
    with Seam() as seam:
        clean = Case(folder / "clean", "seeded-clean")
        assert seam.run(clean)[0] == 0
        story = laws.story(clean.rundir)
    with Seam(*([breakage] if breakage else [])) as seam:
        case = Case(folder / "case", "seeded")
        try:
            code, hits = seam.run(case, cell)
            assert code in right_codes(cell, hits), f"exit {code}"
            obey_the_laws(case, story, code)
            complete(seam, case, story)
        except (AssertionError, ValueError) as problem:  # a manifest may be half a manifest
            return str(problem)
    return ""


@pytest.mark.parametrize("by", [rule.by for rule in RULES])
def test_a_rule_is_about_a_seam_or_a_place_that_is_there(by):
    path, _, function = by.partition(":")
    place = PACKAGE / path

    if "/" not in path:
        assert find(by)
    elif function:
        assert f"def {function}(" in place.read_text(encoding="utf-8")
    else:
        assert place.exists()


@pytest.mark.parametrize(
    ("cell", "breakage", "said"),
    [
        (
            Cell("fdatasync", "EIO", by="sync beside the loop"),
            "syncs_that_failed_are_forgotten",
            "exit",
        ),
        (Cell("write", "short", 1, None, WHOLE), "short_writes_are_believed", ""),
        (Cell("rename", "EIO", by="store/manifest.py"), "manifests_may_fail", "exit"),
        (Cell("wait", "EIO", 1, None), "errors_are_shown_raw", "Traceback"),
    ],
)
def test_a_seeded_fault_is_caught(tmp_path, cell, breakage, said):
    assert problem_of(tmp_path, cell, None) == ""

    problem = problem_of(tmp_path / "seeded", cell, f"tests.faults.system_calls.broken:{breakage}")

    assert problem
    assert said in problem

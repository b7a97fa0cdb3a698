"""What GNU Parallel's manual tests other tools for, with xargs, GNU Parallel and `procsup map`.

Of the others it is only recorded what they do: other versions may do better.
"""

import os

import pytest
import rivals

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="sh, and tools of POSIX"),
]


@pytest.mark.parametrize("case", rivals.CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("tool", rivals.TOOLS, ids=lambda tool: tool.name)
def test_procsup_does_what_is_asked(tmp_path, record_property, case, tool):
    if not tool.is_here:
        pytest.skip(f"{tool.name} is not installed")
    if case.play is rivals.full and not rivals.can_mount():
        pytest.skip("no small disk can be made here")

    wrong = case.play(tool, tmp_path)

    record_property("wrong", wrong)
    assert not wrong or tool.name != rivals.PROCSUP, wrong

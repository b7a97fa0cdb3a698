"""The same lines under xargs and `procsup map`: their outputs, line by line."""

import shutil

import pytest

from tests.cli.test_gnu_parallel import FILES, read_lines

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("xargs") is None, reason="xargs is not installed"),
]

# Behind => stands how procsup has it, if it has it in another way.
LINES = r"""
-n1 echo < abc-file
-n2 echo x < abc-file
-P2 -n1 echo < abc-file
-0 -n1 echo < abc0-file
-d _ -n1 echo < abc_-file
-d '\t' -n1 echo < tabs
-r -n1 echo < abc-file
-I% echo a%b% < abc-file
-I{} echo x{} < abc-file
-a abc-file -n1 echo
echo < abc-file => --xargs echo < abc-file
echo x < numbers => --xargs echo x < numbers
"""


@pytest.mark.parametrize("line", LINES.split("\n")[1:-1])
def test_a_line_does_what_xargs_does(tmp_path, line):
    for name, content in {**FILES, "tabs": b"a b\tc"}.items():
        (tmp_path / name).write_bytes(content)
    theirs, _, ours = line.partition(" => ")

    expected = read_lines("xargs", tmp_path, theirs)

    assert expected
    assert read_lines('"$PYTHON" -m procsup map -q', tmp_path, ours or theirs) == expected

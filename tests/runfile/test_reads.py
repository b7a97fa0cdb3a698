"""Inputs that other units make: their readers wait for these, or the run file is refused."""

import re

import pytest

from procsup.errors import RunFileError
from tests.runfile.builders import CAPACITY, check_problems, early, load_text, problems

TWO = """
[stage.make]
{extra}
module = "m"
outputs = [{output}]
[stage.read]
module = "m"
{after}
{key} = [{input}]
"""
WAIT = 'wait for it with after = ["make"]'


MADE = f"is made by the stage `make`: {WAIT}"


def holds(output, *, folder="d", left_out=""):
    made = f"{folder} holds {output}, which {MADE}"
    return f'{made}, or leave that out: "!{left_out or output}"'


PAIRS = [
    ('"d/x"', '"d/"', holds("d/x")),
    ('"d/x"', '"d"', holds("d/x")),
    ('"d/e/x"', '"d/"', holds("d/e/x")),
    ('"d/e/"', '"d/"', holds("d/e/", left_out="d/e")),
    ('"d/*.x"', '"d/"', holds("d/*.x")),
    ('"*/y.x"', '"d/"', holds("*/y.x")),
    ('"d/"', '"d/x"', f'd/x {MADE}, or leave it out of d/: "!d/x"'),
    ('"d/*.x"', '"d/y.x"', f'd/y.x {MADE}, or leave it out of d/*.x: "!d/y.x"'),
    ('"d/"', '"d/"', f"d {MADE}"),
    ('"d/"', '"d/e/"', f'd/e {MADE}, or leave it out of d/: "!d/e"'),
    ('"d/x"', '"d/x"', f"d/x {MADE}"),
    ('"a", "d/y"', '"d/", "!d/x"', holds("d/y")),
]
FINE = [
    ('"d/x"', '"d/", "!d/x"'),
    ('"d/e/"', '"d/", "!d/e"'),
    ('"d/*.x"', '"d/", "!d/*.x"'),
    ('"d/a*.x"', '"d/", "!**/*.x"'),
    ('"d/", "!d/x"', '"d/x"'),
    ('"d/x"', '"d2/"'),
    ('"d2/x"', '"d"'),
    ('"d/*.x"', '"d/y.z"'),
]


@pytest.mark.parametrize("key", ["inputs", "depends"])
@pytest.mark.parametrize(("output", "read", "said"), PAIRS)
def test_what_is_made_by_a_stage_that_the_reader_does_not_wait_for_is_refused(
    output, read, said, key, tmp_path
):
    text = TWO.format(output=output, input=read, key=key, after="", extra="")
    check_problems(tmp_path, text, [f"9: stage.read.{key}: {said}"])


@pytest.mark.parametrize(("output", "read", "said"), PAIRS)
def test_a_stage_that_waits_for_it_may_read_it(output, read, said, tmp_path):
    text = TWO.format(output=output, input=read, key="inputs", after='after=["make"]', extra="")
    early(tmp_path, text)


@pytest.mark.parametrize(("output", "read"), FINE)
def test_what_is_not_read_or_left_out_may_be_made_by_others(output, read, tmp_path):
    early(tmp_path, TWO.format(output=output, input=read, key="inputs", after="", extra=""))


def test_a_folder_in_which_a_later_stage_writes_must_leave_that_out(tmp_path):
    text = TWO.format(
        output='"d/x"', input='"d/"', key="inputs", after="", extra='after = ["read"]'
    )
    said = "d holds d/x, which is made by the stage `make`: the stage `make` waits for this one"
    said += ', or leave that out: "!d/x"'
    check_problems(tmp_path, text, [f"9: stage.read.inputs: {said}"])
    early(tmp_path, text.replace('["d/"]', '["d/", "!d/x"]'))


SIBLINGS = """
[stage.s]
module = "m"
matrix.n = ["a", "b", "c"]
inputs = [{input}]
outputs = [{output}]
"""


@pytest.mark.parametrize(
    ("output", "read", "made"),
    [
        ('"d/{n}"', '"d/"', "d holds d/a"),
        ('"d/{n}/"', '"d/"', "d holds d/a/"),
        ('"d/{n}*"', '"d/"', "d holds d/a*"),
        ('"d/{n}"', '"d/a"', "d/a is made by"),
        ('"d/{n}/"', '"d/a/x"', "d/a/x is made by"),
        ('"d/{n}.o", "x{n}/"', '"xa/"', "xa is made by"),
    ],
)
def test_what_a_sibling_makes_is_refused(output, read, made, tmp_path):
    (said,) = problems(tmp_path, SIBLINGS.format(output=output, input=read))[:1]
    assert f": stage.s.inputs: {made}" in said
    assert "the unit `s/n=a`" in said
    assert "of the same stage, and the unit `s/n=b` reads it: make it in a stage of its own" in said


@pytest.mark.parametrize(
    ("output", "read"),
    [
        ('"d/{n}/out"', '"d/{n}/"'),  # its own outputs in a folder that it reads do not count
        ('"d/{n}"', '"d/", "!d/?"'),
        ('"d/{n}/"', '"d/{n}/x"'),
        ('"d/{n}x"', '"d/{n}"'),
    ],
)
def test_what_a_unit_itself_makes_is_not(output, read, tmp_path):
    early(tmp_path, SIBLINGS.format(output=output, input=read))


FOLLOWED = """
[stage.make]
module = "m"
matrix.n = ["a", "b"]
outputs = ["d/{n}/x"]
[stage.read]
module = "m"
for-each = "make"
inputs = ["%s"]
outputs = ["o/{n}"]
"""


def test_a_folder_may_hold_what_the_units_make_that_a_unit_follows_and_no_others(tmp_path):
    early(tmp_path, FOLLOWED % "d/{n}/")
    (said,) = problems(tmp_path, FOLLOWED % "d/")[:1]
    assert re.search(r"d holds d/[ab]/x, which is made by the unit `make/n=[ab]`, which", said)
    assert 'does not follow: wait for all with after = ["make"], or leave that out: "!d/' in said


LATE = """
[stage.first]
module = "m"
outputs = ["names.txt"]
[stage.late]
module = "m"
after = ["first"]
matrix.n.lines = "names.txt"
outputs = ["d/{n}"]
[stage.read]
module = "m"
inputs = ["d/"]
"""


def test_what_a_stage_makes_that_is_known_late_is_refused_as_soon_as_it_is_known(tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\n")
    file = load_text(tmp_path, LATE)
    file.expand_early(CAPACITY)
    with pytest.raises(RunFileError, match=r"12: stage\.read\.inputs: d holds d/a, which"):
        file.expand("late", CAPACITY, {"first": []})

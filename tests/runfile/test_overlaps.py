import os
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.core.globs import is_literal, meet, parse
from procsup.core.spec import OutputSpec
from procsup.paths.walk import find_home
from procsup.runfile.checks.overlaps import Claims
from tests.paths.test_walk import link
from tests.runfile.builders import check_problems, early, problems, units

TWO = """
[stage.a]
module = "m"
outputs = [{one}]
[stage.b]
module = "m"
{after}
outputs = [{two}]
"""


@pytest.mark.parametrize("after", ["", 'after = ["a"]'])
@pytest.mark.parametrize(
    ("one", "two", "inside", "whole"),
    [
        ('"o/"', '"o/x.csv"', "o/x.csv", "o/"),
        ('"o/"', '"o/p/"', "o/p/", "o/"),
        ('"o/"', '"o/*.csv"', "o/*.csv", "o/"),
        ('"o/p/x.csv"', '"o/"', "o/p/x.csv", "o/"),
        ('"o/*.csv"', '"o/x.csv"', "o/x.csv", "o/*.csv"),
        ('"o/x.csv"', '"o/x*"', "o/x.csv", "o/x*"),
        ('"o/**/x?.csv"', '"o/p/q/x1.csv"', "o/p/q/x1.csv", "o/**/x?.csv"),
        ('"o"', '"o/p/x.csv"', "o/p/x.csv", "o"),
        ('"o/p/"', '"o"', "o/p/", "o"),
        ('"o"', '"o/"', "o/", "o"),
        ('"o/**/*.csv"', '"o"', "o/**/*.csv", "o"),
    ],
)
def test_an_output_inside_of_another_unit_s_is_refused(one, two, inside, whole, after, tmp_path):
    units = ("b", "a") if inside in two else ("a", "b")
    text = TWO.format(one=one, two=two, after=after)
    lies = f"{inside} of the unit `{units[0]}` lies in {whole}, which the unit `{units[1]}` makes"
    check_problems(tmp_path, text, [f"{8}: stage.b.outputs: {lies}"])


@pytest.mark.parametrize(
    ("one", "two", "common"),
    [
        ("o/{a,b}.txt", "o/{c,b}.txt", "o/b.txt"),
        ("o/{c,b}.txt", "o/{b,a}.txt", "o/b.txt"),
        ("o/{a,b}*", "o/*", "o/a"),
        ("o/*", "o/{b,a}*", "o/b"),
        ("{o,p}/{x,y}*", "{p,o}/{y,z}*", "p/y"),
        ("o/{a*.y,*.x}", "o/a*.x", "o/a.x"),
        ("o/{*.x,a*.y}", "o/a*.x", "o/a.x"),
        ("o/a*.x", "o/{a*.y,*.x}", "o/a.x"),
        ("o/z*.x", "o/{z*.y,*.x}", "o/z.x"),
        ("o/{z*.y,*.x}", "o/z*.x", "o/z.x"),
        ("{o,p}/{x,y}*", "{q,p}/*", "p/x"),
    ],
)
def test_patterns_with_alternatives_that_meet_are_told_of_once(one, two, common, tmp_path):
    text = TWO.format(one=f'"{one}"', two=f'"{two}"', after="")

    (found,) = problems(tmp_path, text)

    assert found.endswith(f"may both be {common}: both would vouch for it, so narrow one")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('"o/"', '"o2/x.csv"'),
        ('"o/"', '"o.csv"'),
        ('"o/*.csv"', '"o/x.txt"'),
        ('"o/*.csv"', '"o/p/x.csv"'),
        ('"o/*"', '"o/.x"'),
        ('"o/", "o/x.csv"', '"p"'),
        ('"o", "o/x.csv"', '"p"'),
        ('"o/a*"', '"o/b*"'),
        ('"o/*.a"', '"o/*.b"'),
        ('"o/*/x"', '"o/*/y"'),
        ('"o/*/x/*"', '"p/a/"'),
        ('"o/.*"', '"o/*"'),
    ],
)
def test_what_lies_beside_is_welcome(one, two, tmp_path):
    assert units(tmp_path, TWO.format(one=one, two=two, after=""))


def test_units_of_one_stage_are_told_apart_by_it_too(tmp_path):
    found = problems(tmp_path, 'matrix.x = ["o", "o/p"]\noutputs = ["{x}/"]')
    assert found == [
        "4: stage.a.outputs: o/p/ of the unit `a/x=o/p` lies in o/,"
        " which the unit `a/x=o` makes: both would vouch for it"
    ]


def test_a_stdout_inside_of_another_unit_s_folder_is_refused(tmp_path):
    text = TWO.format(one='"o/"', two='"x"', after='stdout = "o/log"')
    (found,) = problems(tmp_path, text)
    assert "o/log of the unit `b` lies in o/" in found


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('"o/*", "!o/*.csv"', '"o/*.csv"'),
        ('"o/*.csv"', '"o/**", "!o/*.csv"'),
        ('"o/", "!o/tmp"', '"o/tmp/*"'),
        ('"o/p/**"', '"o/", "!o/p"'),
    ],
)
def test_what_a_pattern_or_folder_leaves_out_may_be_anothers(one, two, tmp_path):
    text = TWO.format(one=one, two=two, after="")

    early(tmp_path, text)
    (found,) = problems(tmp_path, re.sub(r'!o[^"]*', "!o/z.csv", text))
    assert "would vouch for it" in found


@pytest.mark.parametrize("after", ["", 'after = ["a"]'])
@pytest.mark.parametrize(
    ("one", "two", "common"),
    [
        ('"o/a*"', '"o/*b"', "o/ab"),
        ('"o/**/x.csv"', '"o/p/*"', "o/p/x.csv"),
        ('"o/*.gz"', '"o/{a,b}*"', "o/a.gz"),
        ('"o/{:[0-9]+}*"', '"o/7*"', "o/7"),
        ('"o/*/x"', '"o/p/"', "o/p/x"),
    ],
)
def test_patterns_that_may_meet_are_refused(one, two, common, after, tmp_path):
    (found,) = problems(tmp_path, TWO.format(one=one, two=two, after=after))

    assert f"may both be {common}: both would vouch for it" in found


CHOICES = st.lists(
    st.sampled_from(
        ["a", "b", "*", "?", "x/", "{a,b}", "{a*.y,*.x}", "a*.x", "{ab*,b*}", ".x", "{x/,a}"]
    ),
    min_size=1,
    max_size=4,
).map(lambda pieces: re.sub(r"\*+", "*", "o/" + "".join(pieces)).rstrip("/"))


@settings(max_examples=150, deadline=None)
@given(CHOICES, CHOICES)
def test_what_is_refused_is_what_may_be_one_file(one, two):
    first, second = (parse(f"/{text}") for text in (one, two))
    sides = [
        (Claims([(output, unit)] if output.kind == "glob" else []), {output.path: unit})
        for unit, output in (("a", declare(first)), ("b", declare(second)))
    ]

    (claims, outputs), (others, theirs) = sides
    hits = [*claims.hits(theirs, others), *others.hits(outputs, claims)]

    if outputs.keys() != theirs.keys():  # the same path is found in another way
        assert bool(hits) is (meet(first, second) is not None)


def declare(glob):
    """Return the output of a pattern, or of a plain path."""
    is_file = len(glob.branches) == 1 and all(map(is_literal, glob.branches[0].rest))
    return OutputSpec(glob.text, kind="file" if is_file else "glob")


def test_patterns_of_the_units_of_one_stage_that_may_meet_are_refused(tmp_path):
    found = problems(tmp_path, 'matrix.x = ["a", "b"]\noutputs = ["o/*_{x}_*"]')

    (line,) = found
    assert "o/*_a_* of the unit" in line
    assert "o/*_b_*" in line


def test_a_value_is_no_pattern(tmp_path):
    names = '["a*", "ab", "a[0-9]", "a5", "{{x,y}}", "x"]'
    found = units(tmp_path, f'matrix.s = {names}\noutputs = ["out/{{s}}/*.txt"]')

    assert len(found) == 6
    assert [os.path.basename(find_home(unit.outputs[0])) for unit in found] == [
        "a*", "ab", "a[0-9]", "a5", "{{x,y}}", "x",
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["d1", "sub/deep"])
@pytest.mark.parametrize(
    ("one", "two"), [("x", "x"), ("x", "*"), ("", "x"), ("p/*", "p/x"), ("*", "*")]
)
def test_two_names_of_one_file_through_a_linked_folder_are_refused(one, two, target, tmp_path):
    (tmp_path / target).mkdir(parents=True)
    link(tmp_path / target, tmp_path / "d2")
    text = TWO.format(one=f'"{target}/{one}"', two=f'"d2/{two}"', after="")

    (found,) = problems(tmp_path, text)

    assert f"{target}/" in found


@pytest.mark.parametrize("are_there", [True, False])
def test_a_link_among_very_many_folders_is_found(are_there, tmp_path):
    (tmp_path / "o/199").mkdir(parents=True)
    for n in range(199 if are_there else 0):
        (tmp_path / f"o/{n}").mkdir()
    link(tmp_path / "o/199", tmp_path / "o/200")

    (found,) = problems(tmp_path, 'matrix.n = { range = "0..200" }\noutputs = ["o/{n}/x"]')

    assert "o/199/x" in found


def test_a_folder_that_is_another_s_by_a_link_outside_is_known_as_well(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "run").mkdir()
    link(tmp_path / "real", tmp_path / "run" / "o1")
    link(tmp_path / "real", tmp_path / "run" / "o2")
    link(tmp_path / "run", tmp_path / "back")

    assert problems(tmp_path / "run", TWO.format(one='"o1/x"', two='"o2/x"', after=""))
    outside = f'"{(tmp_path / "back" / "y").as_posix()}"'
    assert problems(tmp_path / "run", TWO.format(one='"y"', two=outside, after=""))
    assert units(tmp_path / "run", TWO.format(one='"o1/x"', two='"o2/y"', after=""))


@pytest.mark.parametrize("output", ["out/{x}/", "out/{x}.d/*.txt", "out/*.{x}", "out/{x}_*"])
def test_very_many_folders_and_globs_are_compared_fast(output, tmp_path):
    text = f'matrix.x.range = "1..30000"\noutputs = ["{output}", "o2/{{x}}.txt"]'
    begun = time.monotonic()
    assert len(units(tmp_path, text)) == 30000
    assert time.monotonic() - begun < 60

import time

import pytest

from tests.runfile.builders import check_problems, problems, units

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
    ],
)
def test_an_output_inside_of_another_unit_s_is_refused(one, two, inside, whole, after, tmp_path):
    units = ("b", "a") if inside in two else ("a", "b")
    text = TWO.format(one=one, two=two, after=after)
    lies = f"{inside} of the unit `{units[0]}` lies in {whole}, which the unit `{units[1]}` makes"
    check_problems(tmp_path, text, [f"{8}: stage.b.outputs: {lies}"])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('"o/"', '"o2/x.csv"'),
        ('"o/"', '"o.csv"'),
        ('"o/*.csv"', '"o/x.txt"'),
        ('"o/*.csv"', '"o/p/x.csv"'),
        ('"o/*"', '"o/.x"'),
        ('"o/", "o/x.csv"', '"p"'),
        ('"o/a*"', '"o/*b"'),
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


@pytest.mark.parametrize("output", ["out/{x}/", "out/{x}.d/*.txt", "out/*.{x}"])
def test_very_many_folders_and_globs_are_compared_fast(output, tmp_path):
    text = f'matrix.x.range = "1..30000"\noutputs = ["{output}", "o2/{{x}}.txt"]'
    begun = time.monotonic()
    assert len(units(tmp_path, text)) == 30000
    assert time.monotonic() - begun < 60

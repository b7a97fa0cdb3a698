"""Mistakes that show only when the units are made: ids, outputs, globs, sizes."""

import re
import sys

import pytest

from procsup.core.slots import Capacity
from procsup.errors import RunFileError
from tests.runfile.builders import CAPACITY, early, grow, load_text, make_outputs, problems, units


def test_two_units_with_one_id_are_named_by_their_inputs(tmp_path):
    grow(tmp_path, "p/x.py", "q/x.py")
    found = problems(tmp_path, 'matrix.s.glob = "*/{mod:*}.py"')

    assert found == [
        '1: stage.a: two units have the id `a/mod=x`, from {s = "p/x.py", mod = "x"} and'
        ' {s = "q/x.py", mod = "x"}: give each its own with `id = "..."`, or leave one out'
    ]


def test_a_number_and_the_text_of_its_digits_are_told_apart(tmp_path):
    (found,) = problems(tmp_path, 'matrix.n = [1, "1"]')

    assert 'from {n = 1} and {n = "1"}' in found


def test_an_id_of_ones_own_must_tell_units_apart(tmp_path):
    (found,) = problems(tmp_path, 'matrix.x = [1, 2]\nid = "same"')

    assert found.startswith(
        "4: stage.a.id: two units have the id `a/same`, from {x = 1} and {x = 2}"
    )


def test_two_units_cannot_write_the_same_output(tmp_path):
    assert problems(tmp_path, 'matrix.x = [1, 2]\noutputs = ["o/./x"]') == [
        "4: stage.a.outputs: the units `a/x=1` and `a/x=2` write the same file, o/x:"
        " each needs its own"
    ]


def test_two_stages_cannot_write_the_same_output(tmp_path):
    (found,) = problems(
        tmp_path,
        """\
        [stage.a]
        module = "m"
        outputs = ["x"]
        [stage.b]
        module = "m"
        stdout = "x"
        """,
    )

    assert found.startswith("6: stage.b.stdout: the units `a` and `b` write the same file, x")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (".procsup/run/x", "is in the run directory, which is procsup's own"),
        ("run.toml", "is the run file itself"),
        ("done", "is the run's stamp, too"),
    ],
)
def test_some_files_are_no_outputs(output, reason, tmp_path):
    text = f'stamp = "done"\n[stage.a]\nmodule = "m"\noutputs = ["{output}"]'

    assert problems(tmp_path, text) == [f"4: stage.a.outputs: {output} {reason}"]


def test_standard_output_may_be_a_declared_output(tmp_path):
    (only,) = units(tmp_path, 'outputs = ["x"]\nstdout = "{outputs[0]}"')

    assert only.stdout == only.outputs[0].path


def test_one_unit_cannot_write_a_file_twice(tmp_path):
    assert problems(tmp_path, 'outputs = ["x", "x"]') == [
        "3: stage.a.outputs: the unit `a` writes x twice"
    ]


def test_a_glob_that_matches_nothing_says_why(tmp_path):
    grow(tmp_path, "d/x.txt")
    text = 'matrix.s.glob = "d/*.py"\nmatrix.t.glob = "e/*/"\ninputs = ["d/*.csv"]'

    assert problems(tmp_path, text) == [
        "3: stage.a.matrix.s: `d/*.py` matches no file (`empty-ok = true` allows that)",
        "4: stage.a.matrix.t: `e/*/` matches nothing: there is no folder `e`"
        " (`empty-ok = true` allows that)",
    ]
    assert problems(tmp_path, 'inputs = ["d/*.csv"]') == [
        "3: stage.a.inputs[0]: `d/*.csv` matches no file (`empty-ok = true` allows that)"
    ]


def test_a_stage_may_be_empty_if_it_says_so(tmp_path):
    assert units(tmp_path, 'matrix.s.glob = "d/*.py"\nempty-ok = true') == []


def test_a_file_of_lines_must_be_readable(tmp_path):
    grow(tmp_path, "d/")
    (tmp_path / "latin").write_bytes(b"\xe4\n")
    (tmp_path / "zero").write_bytes(b"a\nb\0c\n")
    (tmp_path / "blank").write_bytes(b"\n  \n")
    names = ("nope", "d", "latin", "zero", "blank")
    text = "".join(f'matrix.{name}_x.lines = "{name}"\n' for name in names)

    found = problems(tmp_path, text)

    assert found[0].startswith("3: stage.a.matrix.nope_x: `nope` cannot be read: ")
    assert found[1].startswith("4: stage.a.matrix.d_x: `d` cannot be read: ")
    assert found[2].startswith("5: stage.a.matrix.latin_x: `latin` is not UTF-8")
    assert found[3].startswith("6: stage.a.matrix.zero_x: `zero` line 2 holds a NUL")
    assert found[4].startswith("7: stage.a.matrix.blank_x: `blank` has no lines")


TWO = """\
[stage.look]
module = "m"
{look}
empty-ok = true
[stage.make]
module = "m"
outputs = [{output}]
"""


@pytest.mark.parametrize(
    ("look", "output", "seen"),
    [
        ('matrix.s.glob = "o/*.txt"', '"o/x.txt"', "o/x.txt"),
        ('matrix.s.glob = "o/{n:**}"', '"o/p/x.txt"', "o/p/x.txt"),
        ('matrix.s.glob = "o/*.txt"', '"o/"', "o/"),
        ('matrix.s.glob = "o/*/x.txt"', '"o/**/*.txt"', "o/**/*.txt"),
        ('matrix.s.glob = "**/x.txt"', '"o/*.txt"', "o/*.txt"),
    ],
)
def test_a_glob_over_what_another_stage_makes_needs_a_dependency(look, output, seen, tmp_path):
    (found,) = problems(tmp_path, TWO.format(look=look, output=output))

    assert found.startswith("3: stage.look.matrix.s: ")
    assert f"matches what the stage `make` makes ({seen}): wait for it with after = " in found


@pytest.mark.parametrize(
    ("look", "output"),
    [
        ('matrix.s.glob = ["**/*.csv", "!o"]', '"o/"'),
        ('matrix.s.glob = ["**/*.csv", "!o/a*"]', '"o/a{:[0-9]}.csv"'),
        ('inputs = ["*/*.csv", "!o/**"]', '"o/*.csv"'),
        ('inputs = ["o/tmp/*"]', '"o/", "!o/tmp"'),
        ('depends = ["o/*.csv"]', '"o/*", "!o/*.csv"'),
    ],
)
def test_a_glob_may_leave_out_what_another_stage_makes(look, output, tmp_path):
    (tmp_path / "x.csv").write_text("x")
    text = TWO.format(look=look, output=output)

    early(tmp_path, text)
    (found,) = problems(tmp_path, re.sub(r'!o[^"]*', "!o/z.csv", text))
    assert "matches what the stage `make` makes" in found


def test_a_glob_among_the_inputs_counts_too(tmp_path):
    (found,) = problems(tmp_path, TWO.format(look='inputs = ["o/*.txt"]', output='"o/x.txt"'))

    assert found.startswith(
        "3: stage.look.inputs[0]: `o/*.txt` matches what the stage `make` makes"
    )


@pytest.mark.parametrize("output", ['"o/x.csv"', '"o/"', '"o/*.csv"'])
@pytest.mark.parametrize(
    ("look", "at"),
    [
        ('units = { csv = "o/x.csv" }', "units"),
        ('units = { jsonl = "o/x.csv", columns = ["a"] }', "units"),
        ('matrix.x.lines = "o/x.csv"', "matrix.x"),
        ('zip.x.lines = "o/x.csv"', "zip.x"),
    ],
)
def test_a_list_that_another_stage_makes_needs_a_dependency(look, at, output, tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "o/x.csv").write_text('{"a": 1}\n' if "jsonl" in look else "a\n1\n")

    assert problems(tmp_path, TWO.format(look=look, output=output)) == [
        f"3: stage.look.{at}: o/x.csv is made by the stage `make`:"
        ' wait for it with after = ["make"]'
    ]


@pytest.mark.parametrize("wait", ['after = ["make"]', 'for-each = "make"'])
def test_a_list_that_an_earlier_stage_makes_is_welcome(wait, tmp_path):
    look = f'{wait}\nmatrix.x.lines = "o/x.txt"'
    loaded = load_text(tmp_path, TWO.format(look=look, output='"o/x.txt"'))

    assert list(loaded.expand_early(CAPACITY)) == ["make"]
    grow(tmp_path, "o/x.txt")
    (unit,) = loaded.expand("look", CAPACITY, {"make": []})
    assert unit.parameters == {"x": "o/x.txt"}


def test_a_list_beside_what_another_stage_makes_is_fine(tmp_path):
    grow(tmp_path, "o/x.txt")
    look = 'matrix.x.lines = "o/x.txt"'
    assert early(tmp_path, TWO.format(look=look, output='"o/x.txt.done", "p/"'))


def test_a_plain_input_that_another_stage_makes_needs_a_dependency(tmp_path):
    (found,) = problems(tmp_path, TWO.format(look='depends = ["o/x.txt"]', output='"o/x.txt"'))

    assert found == (
        "3: stage.look.depends: o/x.txt is made by the stage `make`:"
        ' wait for it with after = ["make"]'
    )


@pytest.mark.parametrize("output", ["o/", "o/*.txt", "*/{x,y}.txt", "o/**"])
@pytest.mark.parametrize("key", ["inputs", "depends"])
def test_a_plain_input_in_the_outputs_of_another_stage_needs_a_dependency(key, output, tmp_path):
    grow(tmp_path, "o/x.txt")  # of an earlier run
    text = TWO.format(look=f'{key} = ["o/x.txt"]', output=f'"{output}"')

    assert problems(tmp_path, text) == [
        f"3: stage.look.{key}: o/x.txt is made by the stage `make`: wait for it with"
        f' after = ["make"], or leave it out of {output}: "!o/x.txt"'
    ]
    assert early(tmp_path, text.replace(f'"{output}"', f'"{output}", "!o/x.txt"'))
    assert early(tmp_path, text.replace("o/x.txt", "p/x.txt").replace("*/{", "q/{"))


def test_a_plain_input_in_the_folder_of_another_unit_than_its_own_is_not_ready(tmp_path):
    grow(tmp_path, "o/a/x", "o/b/x")
    text = """
    [stage.make]
    matrix.s = ["a", "b"]
    module = "m"
    outputs = ["o/{s}/"]
    [stage.look]
    for-each = "make"
    module = "m"
    inputs = ["o/OF/x"]
    """

    assert [*map(len, early(tmp_path, text.replace("OF", "{s}")).values())] == [2, 2]
    assert problems(tmp_path, text.replace("OF", "a")) == [
        "9: stage.look.inputs: o/a/x is made by the unit `make/s=a`, which the unit `look/s=b`"
        ' does not follow: wait for all with after = ["make"], or leave it out of o/a/: "!o/a/x"'
    ]


@pytest.mark.parametrize("output", ['"o/x.csv"', '"p/"', '"o/*.csv"', '"o/p/x.txt"'])
def test_a_glob_beside_what_another_stage_makes_is_fine(output, tmp_path):
    assert early(tmp_path, TWO.format(look='matrix.s.glob = "o/*.txt"', output=output))


def test_a_stage_that_waits_may_look(tmp_path):
    text = TWO.format(look='after = ["make"]\nmatrix.s.glob = "o/*.txt"', output='"o/x.txt"')
    loaded = load_text(tmp_path, text)
    first = loaded.expand_early(CAPACITY)
    assert list(first) == ["make"]

    grow(tmp_path, "o/x.txt")

    (unit,) = loaded.expand("look", CAPACITY, {"make": make_outputs(first["make"])})
    assert unit.id == "look/s=o/x.txt"


def test_a_late_stage_that_makes_what_an_early_one_looked_for_is_found(tmp_path):
    grow(tmp_path, "o/a.txt", "q/b.txt")
    loaded = load_text(
        tmp_path,
        """
        [stage.look]
        module = "m"
        matrix.s.glob = "o/*.txt"
        [stage.first]
        module = "m"
        [stage.late]
        module = "m"
        after = ["first"]
        matrix.t.glob = "q/{name:*}.txt"
        outputs = ["o/{name}.txt"]
        """,
    )
    loaded.expand_early(CAPACITY)

    with pytest.raises(RunFileError, match=r"matches what the stage `late` makes \(o/b.txt\)"):
        loaded.expand("late", CAPACITY, {"first": []})


def test_a_stage_that_would_take_its_own_outputs_for_work_is_found(tmp_path):
    grow(tmp_path, "x.csv")
    (found,) = problems(tmp_path, 'matrix.s.glob = "*.csv"\noutputs = ["{s.stem}.clean.csv"]')

    assert "the next run would take its own outputs for new work" in found


def test_a_stage_may_change_its_files_in_place(tmp_path):
    grow(tmp_path, "x.csv")

    assert units(tmp_path, 'matrix.s.glob = "*.csv"\noutputs = ["{s}"]')


def test_a_problem_of_very_many_units_is_said_a_few_times(tmp_path):
    found = problems(tmp_path, 'matrix.x.range = "1..500"\noutputs = ["same"]')

    assert len(found) == 21
    assert found[-1] == "4: stage.a.outputs: and 479 more of this kind"


def test_values_that_do_not_fit_stop_after_a_few(tmp_path):
    text = 'matrix.x.range = "1..500"\nmatrix.y = ["p"]\ncpus = "{y}{x}"'

    assert len(problems(tmp_path, text)) == 20


def test_whole_cpus_are_asked_of_parameters_too(tmp_path):
    assert problems(tmp_path, 'matrix.n = [1, 1.5]\ncpus = "{n}"\npin = "cpus"') == [
        '4: stage.a.cpus: expected whole CPUs, because of `pin = "cpus"`, not 1.5'
    ]


@pytest.mark.parametrize("key", ["inputs", "outputs", "cwd", "id", "stdout"])
def test_nothing_may_come_out_empty(key, tmp_path):
    value = '["{x}"]' if key.endswith("puts") else '"{x}"'
    (found,) = problems(tmp_path, f'matrix.x = [""]\n{key} = {value}')

    assert found.startswith("4: stage.a." + key)
    assert "empty" in found


@pytest.mark.survives("F14")
def test_a_command_line_too_long_names_the_list_file(tmp_path):
    text = """\
        [stage.a]
        module = "m"
        matrix.x.range = "1..30000"
        outputs = ["some/rather/long/folder/name/so/that/it/adds/up/to/quite/a/lot/{x}.json"]
        [stage.b]
        module = "m"
        inputs.from = "a"
        args = ["{inputs}"]
        """
    loaded = load_text(tmp_path, text)
    stages = loaded.expand_early(CAPACITY)

    with pytest.raises(RunFileError) as caught:
        loaded.expand("b", CAPACITY, {"a": make_outputs(stages["a"])})

    (problem,) = caught.value.problems
    assert "run.toml:8: stage.b.args: the command line would take " in problem
    assert "give the program a list of its inputs, {inputs.file}, one a line" in problem


@pytest.mark.survives("F14")
def test_a_single_argument_may_be_too_long(tmp_path):
    long = "x" * 1_000_000
    (found,) = problems(tmp_path, f'args = ["{long}"]')

    assert found.startswith("3: stage.a.args: the command line would take 1,000,")
    assert "hand long values over in a file" in found


@pytest.mark.skipif(sys.platform == "win32", reason="names there cannot have line breaks")
def test_a_list_file_has_no_room_for_line_breaks(tmp_path):
    grow(tmp_path, "a\nb.txt")
    (found,) = problems(tmp_path, 'inputs = ["*.txt"]\nargs = ["{inputs.file}"]')

    assert found.startswith("3: stage.a.inputs: {inputs.file} has one path a line")


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    grow(tmp_path, "d/x.py")

    def closed(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("procsup.runfile.parameters.walk.os.scandir", closed)
    (found,) = problems(tmp_path, 'matrix.s.glob = "d/*.py"')

    assert found == f"3: stage.a.matrix.s: {tmp_path / 'd'}: cannot be read: Permission denied"


def test_all_stages_are_looked_at_before_anything_is_said(tmp_path):
    text = """
        [stage.a]
        module = "m"
        matrix.s.glob = "nope/*"
        [stage.b]
        module = "m"
        matrix.x = [1, 2]
        outputs = ["same"]
        """

    assert len(problems(tmp_path, text)) == 2


def test_the_capacity_is_no_business_of_the_run_file(tmp_path):
    loaded = load_text(tmp_path, "cpus = 64")

    assert loaded.expand_early(Capacity(cpus=1.0))["a"][0].cpus == 64


@pytest.mark.parametrize(
    "stamp", ["in.txt", "w.py", "run.toml", ".procsup/run/journal.jsonl", ".", "names.txt"]
)
def test_a_stamp_may_not_have_the_path_of_another_file(tmp_path, stamp):
    grow(tmp_path, "in.txt", "w.py", "names.txt")
    text = f"""
stamp = "{stamp}"
[stage.a]
script = "w.py"
inputs = ["in.txt"]
matrix.n.lines = "names.txt"
"""
    assert any("stamp" in problem for problem in problems(tmp_path, text))


def test_an_output_that_is_an_input_of_its_unit_is_refused(tmp_path):
    grow(tmp_path, "in.txt")
    found = problems(tmp_path, 'inputs = ["in.txt"]\noutputs = ["in.txt"]')

    assert "never be kept" in found[0]


def test_a_giant_width_is_a_slip(tmp_path):
    found = problems(tmp_path, 'matrix.n = [1]\nargs = ["{n:999999999999}"]')

    assert "at most 10,000" in found[0]


def test_what_the_first_stages_miss_is_told_with_the_other_mistakes(tmp_path):
    text = """
    [stage.a]
    script = "none.py"
    matrix.x.glob = "none/*"
    args = ["{y}"]
    [stage.b]
    script = "list.py"
    matrix.x.lines = "none.txt"
    [stage.c]
    after = ["a"]
    script = "late.py"
    matrix.x.glob = "late/*"
    """

    found = problems(tmp_path, text)

    keys = [line.split(": ")[1] for line in found]
    a, b = ["script", "matrix.x", "args[0]"], ["script", "matrix.x"]
    assert keys == [*(f"stage.a.{key}" for key in a), *(f"stage.b.{key}" for key in b)]
    assert found[0] == f"3: stage.a.script: {tmp_path / 'none.py'} does not exist"

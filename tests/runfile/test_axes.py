"""`zip`, `exclude`, and units from files: csv and jsonl."""

import os
import time

import pytest

from tests.runfile.builders import (
    CAPACITY,
    args,
    check_problems,
    grow,
    ids,
    load_text,
    problems,
    unit,
    units,
)


def put(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")


# --- zip -----------------------------------------------------------------------------------


def test_zip_puts_values_side_by_side_as_one_factor_of_the_product(tmp_path):
    text = 'zip.x = [1, 2]\nzip.y.range = "7..8"\nmatrix.z = ["p", "q"]'
    assert ids(tmp_path, text) == ["z=p,x=1,y=7", "z=p,x=2,y=8", "z=q,x=1,y=7", "z=q,x=2,y=8"]


def test_lines_and_globs_may_stand_side_by_side(tmp_path):
    grow(tmp_path, "d/b.txt", "d/a.txt")
    put(tmp_path, "seeds.txt", "11\n\n12\n")
    text = 'zip.file.glob = "d/{n:*}.txt"\nzip.seed.lines = "seeds.txt"'
    assert ids(tmp_path, text) == ["n=a,seed=11", "n=b,seed=12"]
    spec = load_text(tmp_path, text).spec
    assert spec.stages[0].list_files == (str(tmp_path / "seeds.txt"),)


PAIRS = """
zip.r1.glob = "one/{sample:*}.fq"
zip.r2.glob = "two/{sample:*}_2.fq"
args = ["{sample}", "{r1}", "{r2}"]
"""


def test_globs_side_by_side_are_paired_by_what_both_capture(tmp_path):
    grow(tmp_path, "one/a.fq", "one/a-1.fq", "two/a_2.fq", "two/a-1_2.fq")
    made = {one.id: args(one) for one in units(tmp_path, PAIRS)}
    assert made == {
        "a/sample=a": ["a", "one/a.fq", "two/a_2.fq"],
        "a/sample=a-1": ["a-1", "one/a-1.fq", "two/a-1_2.fq"],
    }


def test_what_has_no_partner_is_named_from_both_sides(tmp_path):
    grow(tmp_path, "one/a.fq", "one/b.fq", "two/a_2.fq", "two/c_2.fq")
    assert problems(tmp_path, PAIRS) == [
        "4: stage.a.zip.r1: `one/{sample:*}.fq` matches no partner for sample = `c`",
        "5: stage.a.zip.r2: `two/{sample:*}_2.fq` matches no partner for sample = `b`",
    ]


def test_a_pair_may_be_written_as_a_glob_and_an_input(tmp_path):
    grow(tmp_path, "in/a_R1.fq", "in/a_R2.fq")
    made = unit(
        tmp_path,
        """
        matrix.r1.glob = "in/{sample:*}_R1.fq"
        inputs = { r1 = "{r1}", r2 = "{r1.parent}/{sample}_R2.fq" }
        args = ["{inputs.r1}", "{inputs.r2}"]
        """,
    )
    assert (made.id, args(made)) == ("a/sample=a", ["in/a_R1.fq", "in/a_R2.fq"])


UNEQUAL = "lists side by side need equally many values"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zip = 1", ["3: stage.a.zip: expected a table (`zip.x = [1, 2]`), not 1"]),
        (
            "zip.x = [1, 2]\nzip.y = [1, 2, 3]",
            [f"3: stage.a.zip: `x` has 2, `y` has 3: {UNEQUAL}"],
        ),
        (
            'zip.x = [1, 2]\nzip.y.glob = "*.txt"',
            [f"3: stage.a.zip: `x` has 2, `y` has 1: {UNEQUAL}"],
        ),
        ("zip.x = [1]\nmatrix.x = [1]", ["3: stage.a.zip.x: the parameter `x` is given twice"]),
        (
            'zip.x.glob = "{x:*}.txt"',
            ["3: stage.a.zip.x.glob: `x` is the path itself"],
        ),
        (
            'zip.x.glob = "{n:*}.txt"\nmatrix.n = [1]',
            ["3: stage.a.zip.x: the parameter `n` is given twice"],
        ),
        (
            'zip.x.lines = "k.txt"\nzip.y.lines = "none.txt"',
            ["4: stage.a.zip.y: `none.txt` cannot be read: "],
        ),
    ],
)
def test_an_invalid_zip_is_refused(text, expected, tmp_path):
    grow(tmp_path, "k.txt")
    check_problems(tmp_path, text, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('matrix.x.range = "1..n"', "3: stage.a.matrix.x.range: expected a range"),
        (f'matrix.x.range = "1..{10**19}"', "3: stage.a.matrix.x.range: expected a range"),
        ("matrix.x = []", "3: stage.a.matrix.x: expected at least one value"),
        ('matrix.x.glob = "{p}/{n:*}.txt"', "3: stage.a.matrix.x.glob: {p}: there is no variable"),
        ("zip.x = []\nzip.y = [1, 2]", "3: stage.a.zip.x: expected at least one value"),
    ],
)
def test_values_that_are_wrong_are_said_once_and_not_where_they_are_used(text, expected, tmp_path):
    n = "{n}" if "{n:" in text else "n"
    used = f'args = ["{{x}}", "{n}"]\nid = "{{x}}"\noutputs = ["{{x}}"]\nexclude = [{{ x = 1 }}]'
    check_problems(tmp_path, f"{text}\n{used}", [expected])


# --- exclude -------------------------------------------------------------------------------

SQUARE = "matrix.x = [1, 2]\nmatrix.y = ['a', 'b', 'c']\n"


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ("{ x = 1 }", ["x=2,y=a", "x=2,y=b", "x=2,y=c"]),
        ("{ x = '1', y = ['a', 'b'] }", ["x=1,y=c", "x=2,y=a", "x=2,y=b", "x=2,y=c"]),
        ("{ x = 2 }, { y = 'b' }", ["x=1,y=a", "x=1,y=c"]),
        ("{ x = 2 }, { x = 2, y = ['a', 'b'] }", ["x=1,y=a", "x=1,y=b", "x=1,y=c"]),
    ],
)
def test_combinations_are_left_out(exclude, left, tmp_path):
    made = units(tmp_path, f"{SQUARE}exclude = [{exclude}]")
    assert [one.id[2:] for one in made] == left
    assert [one.index for one in made] == list(range(len(left)))


@pytest.mark.parametrize(
    ("exclude", "expected"),
    [
        ("{ x = 1 }", "stage.a.exclude: expected a list of tables"),
        ("[{ z = 1 }]", "stage.a.exclude[0].z: the stage has no parameter `z`: it has `x`, `y`"),
        ("[{ X = 1 }]", "stage.a.exclude[0].X: the stage has no parameter `X` (did you mean `x`?)"),
        ("[{}]", "stage.a.exclude[0]: expected a table of parameters"),
        ("[{ x = [] }]", "stage.a.exclude[0].x: expected at least one value"),
        ("[{ x = 1 }, { x = 3 }]", "stage.a.exclude[1]: no combination is like this"),
        ("[{ x = 1, y = 'd' }]", "stage.a.exclude[0]: no combination is like this"),
        ("[{ x = [1, 2] }]", "stage.a.exclude: every combination is left out"),
    ],
)
def test_an_invalid_exclude_is_refused(exclude, expected, tmp_path):
    check_problems(tmp_path, f"{SQUARE}exclude = {exclude}", [f"5: {expected}"])


def test_an_exclude_that_awaits_a_file_may_leave_nothing_out(tmp_path):
    grow(tmp_path, "x.txt")
    assert ids(tmp_path, 'matrix.f.glob = "{n:*}.txt"\nexclude = [{ n = "y" }]') == ["n=x"]


def test_a_list_is_not_excluded_by(tmp_path):
    text = "units = [{ x = [1, 2], n = 1 }]\nexclude = [{ x = 1 }]"
    check_problems(tmp_path, text, ["4: stage.a.exclude[0].x: `x` is a list in every unit"])


def test_excluding_from_very_many_is_fast(tmp_path):
    text = 'matrix.x.range = "1..300"\nmatrix.y.range = "1..300"\nexclude = [{ x = 5 }, { y = 9 }]'
    begun = time.monotonic()
    assert len(units(tmp_path, text)) == 299 * 299
    assert time.monotonic() - begun < 30


# --- csv and jsonl -------------------------------------------------------------------------


def test_each_row_of_a_csv_is_a_unit(tmp_path):
    put(tmp_path, "s.csv", '\ufeffname, path\n"a, b",x.txt\n\nc,y.txt\n')
    text = 'units = { csv = "s.csv" }\npaths = ["path"]\nargs = ["{path.stem}"]'
    made = units(tmp_path, text)
    assert [one.parameters for one in made] == [
        {"name": "a, b", "path": "x.txt"},
        {"name": "c", "path": "y.txt"},
    ]
    assert [args(one) for one in made] == [["x"], ["y"]]
    assert load_text(tmp_path, text).spec.stages[0].list_files == (str(tmp_path / "s.csv"),)


def test_columns_may_be_chosen_and_tabs_divide_a_tsv(tmp_path):
    put(tmp_path, "s.tsv", "name\tnot a name\tn\nx\t1\t2\n")
    text = 'units = { csv = "s.tsv", columns = ["n", "name"] }'
    assert ids(tmp_path, text) == ["n=2,name=x"]


def test_each_object_of_a_jsonl_is_a_unit(tmp_path):
    put(tmp_path, "s.jsonl", '{"n": 0.10, "xs": [1, "b"]}\n\n{"xs": [true], "n": 2}\n')
    made = units(tmp_path, 'units = { jsonl = "s.jsonl" }\nargs = ["{n}", "{xs}"]')
    assert [(one.id, args(one)) for one in made] == [
        ("a/n=0.10", ["0.10", "1", "b"]),
        ("a/n=2", ["2", "true"]),
    ]


def test_rows_with_nothing_in_them_are_left_out(tmp_path):
    put(tmp_path, "s.csv", 'sample,v\n\nA,1\n,\n   , \t\n,2\n"",""\n')
    assert ids(tmp_path, 'units = { csv = "s.csv" }') == ["sample=A,v=1", "sample=,v=2"]


def test_a_cell_that_is_required_may_not_be_empty(tmp_path):
    put(tmp_path, "s.csv", "sample,v\nA,1\n,2\n  ,3\n")
    said = [f"3: stage.a.units: s.csv:{line}: `sample` is empty, and required" for line in (3, 4)]
    check_problems(tmp_path, 'units = { csv = "s.csv", required = ["sample"] }', said)
    assert len(ids(tmp_path, 'units = { csv = "s.csv", required = ["v"] }')) == 3

    put(tmp_path, "s.jsonl", '{"a": "", "n": 0}\n')
    said = ["3: stage.a.units: s.jsonl:1: `a` is empty, and required"]
    check_problems(tmp_path, 'units = { jsonl = "s.jsonl", required = ["a", "n"] }', said)


def test_cells_may_be_divided_by_any_character_and_comments_left_out(tmp_path):
    text = '# made by hand\na;b\n1;"x, #1"\n#2;y\n3;"two\n# lines"\n#\n'
    put(tmp_path, "s.txt", text)

    made = units(tmp_path, 'units = { csv = "s.txt", delimiter = ";", comment = "#" }')

    assert [one.parameters for one in made] == [
        {"a": "1", "b": "x, #1"},
        {"a": "3", "b": f"two{os.linesep}# lines"},  # as the file has it
    ]
    put(tmp_path, "t.csv", "a\tb\n//x\n1\t2\n")
    assert ids(tmp_path, 'units = { csv = "t.csv", delimiter = "\\t", comment = "//" }') == [
        "a=1,b=2"
    ]


def test_lines_are_counted_with_comments(tmp_path):
    put(tmp_path, "s.csv", "# one\n\na,b\n# two\n1\n")
    said = ["3: stage.a.units: s.csv:5: expected 2 cells, as the header has, not 1"]
    check_problems(tmp_path, 'units = { csv = "s.csv", comment = "#" }', said)


def test_a_wrong_header_says_how_to_do_without_it(tmp_path):
    put(tmp_path, "s.csv", "a,b c\n1,2\n")
    (said,) = problems(tmp_path, 'units = { csv = "s.csv" }')
    assert said.endswith('; or say which columns are used: columns = ["a"]')


def test_names_that_only_later_objects_have_are_no_secret(tmp_path):
    put(tmp_path, "s.jsonl", '{"a": 1}\n{"a": 2, "b": 3}\n')
    said = "3: stage.a.units: s.jsonl:2: the first object has no `b`, and all have the same names"
    check_problems(tmp_path, 'units = { jsonl = "s.jsonl" }', [said])

    assert ids(tmp_path, 'units = { jsonl = "s.jsonl", columns = ["a"] }') == ["a=1", "a=2"]


@pytest.mark.parametrize("cell", ['"\\ud800"', '["x", "a\\udc80"]'])
def test_half_a_character_is_refused_where_it_is_read(cell, tmp_path):
    put(tmp_path, "s.jsonl", f'{{"a": {cell}}}\n')
    (said,) = problems(tmp_path, 'units = { jsonl = "s.jsonl" }')
    assert "s.jsonl:1: `a`: holds half of a character" in said


LATE = """
[stage.plan]
module = "m"
outputs = ["s.csv"]
[stage.a]
after = ["plan"]
module = "m"
args = ["{n}"]
units = { csv = "s.csv"COLUMNS }
"""


def test_a_file_that_an_earlier_stage_makes_needs_its_columns_named(tmp_path):
    unknown = "`s.csv` does not exist, so that its columns are not known: make it"
    found = problems(tmp_path, LATE.replace("COLUMNS", ""))
    assert any(one.startswith(f"9: stage.a.units.csv: {unknown}") for one in found)


def test_a_file_that_an_earlier_stage_makes_is_read_when_that_is_done(tmp_path):
    loaded = load_text(tmp_path, LATE.replace("COLUMNS", ', columns = ["n"]'))
    assert loaded.list_early_stages() == ["plan"]
    put(tmp_path, "s.csv", "k,n\n1,2\n")
    assert [args(one) for one in loaded.expand("a", CAPACITY, {})] == [["2"]]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "csv: `s.csv` is empty, expected a row with the names"),
        ("a,b c\n1,2\n", 'csv: s.csv: column 2, "b c": a parameter\'s name is a letter'),
        ("a,args\n1,2\n", 'csv: s.csv: column 2, "args": `args` is a key of the stage'),
        ("a,inputs\n1,2\n", 'csv: s.csv: column 2, "inputs": {inputs} is a placeholder of procsup'),
        (
            "a;b\n1;2\n",
            'csv: s.csv: the header is not divided, "a;b": if that is what divides its'
            ' cells, write delimiter = ";"',
        ),
        (
            "a\tb\n1\t2\n",
            'csv: s.csv: the header is not divided, "a\\tb": if that is what divides its'
            ' cells, write delimiter = "\\t"',
        ),
        (
            "a|b;c|d\n",
            'csv: s.csv: the header is not divided, "a|b;c|d": if that is what divides its'
            ' cells, write delimiter = "|"',
        ),
        (
            "a,b\n#x\n",
            " s.csv:2: expected 2 cells, as the header has, not 1 (if that is a comment,"
            ' write comment = "#")',
        ),
        ('a,"b,c"\n', 'csv: s.csv: column 2, "b,c": a parameter\'s name is a letter'),
        ("a,\n1,2\n", 'csv: s.csv: column 2, "": a parameter\'s name is a letter'),
        ("a,a\n1,2\n", "csv: s.csv:1: `a` stands in the header twice"),
        ("a,b\n,\n", " `s.csv` has no rows (`empty-ok = true` allows that)"),
        ("a,b\n1,2\n1\n3,4\n1,2,3\n", " s.csv:3: expected 2 cells, as the header has, not 1"),
        ('a,b\n"1,2\n', " s.csv:2: not CSV: unexpected end of data"),
    ],
)
def test_mistakes_in_a_csv_are_said_with_its_line(content, problem, tmp_path):
    put(tmp_path, "s.csv", content)
    found = problems(tmp_path, 'units = { csv = "s.csv" }')
    where = "3: stage.a.units:" if problem.startswith(" ") else "3: stage.a.units."
    assert found[0].startswith(where + problem), found
    assert len(found) == (2 if ":3:" in problem else 1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", ".jsonl: `s.jsonl` is empty, expected a JSON object a line"),
        ('{"a": 1}\n[1]\n', ": s.jsonl:2: expected a JSON object with parameters, not a list"),
        ('{"a": 1}\n{"b": 1}\n', ": s.jsonl:2: `a` missing: all objects have the same names"),
        ('{"a": 1}\n{"a": [1]}\n', ": s.jsonl:2: `a` is a list in one object and a single value"),
        (
            '{"a": null}\n',
            ".jsonl: s.jsonl:1: `a`: expected text, a number, true or false, not null",
        ),
        (
            '{"a": [null]}\n',
            ".jsonl: s.jsonl:1: `a`: expected text, a number, true or false, not null",
        ),
        ('{"a": 1}\nnull\n', ": s.jsonl:2: expected a JSON object with parameters, not null"),
        ('{"a": 1, "a": 2}\n', ".jsonl: s.jsonl:1: a name stands here twice"),
        ('{"a": 1\n', ".jsonl: s.jsonl:1: expected a JSON object: "),
        ('{"a": 1e999}\n', ".jsonl: s.jsonl:1: `a`: expected a finite number"),
        (f'{{"a": {"9" * 5000}}}\n', ".jsonl: s.jsonl:1: expected a JSON object: a number of more"),
    ],
)
def test_mistakes_in_a_jsonl_are_said_with_its_line(content, problem, tmp_path):
    put(tmp_path, "s.jsonl", content)
    check_problems(tmp_path, 'units = { jsonl = "s.jsonl" }', [f"3: stage.a.units{problem}"])


@pytest.mark.parametrize(
    ("content", "where", "lines"),
    [
        ('{"a": 1}\n[1]\n{"a": 1\n{"a": {}}\n{"a": 2}\n{"b": 1}\n', "", [2, 3, 4, 6]),
        ('[1]\n{"a": 1}\n{"a": 1\n{"a": {}}\n', ".jsonl", [1, 3, 4]),
    ],
)
def test_all_wrong_lines_of_a_jsonl_are_said_at_once(content, where, lines, tmp_path):
    put(tmp_path, "s.jsonl", content)
    said = [f"3: stage.a.units{where}: s.jsonl:{line}: " for line in lines]
    check_problems(tmp_path, 'units = { jsonl = "s.jsonl" }', said)


def test_rows_before_a_csv_breaks_off_are_said_with_that(tmp_path):
    put(tmp_path, "s.csv", 'a,b\n1\n1,2\n"3,4\n')
    said = ["s.csv:2: expected 2 cells", "s.csv:4: not CSV: unexpected end"]
    expected = [f"3: stage.a.units: {one}" for one in said]
    check_problems(tmp_path, 'units = { csv = "s.csv" }', expected)


def test_a_cell_that_is_too_long_is_said_in_words_that_help(tmp_path):
    put(tmp_path, "s.csv", "a\n1\n" + "x" * 200_000 + "\n")
    said = (
        "3: stage.a.units: s.csv:3: expected cells of at most 131,072 characters: close the quote"
    )
    check_problems(tmp_path, 'units = { csv = "s.csv" }', [said])


def test_the_line_that_is_not_utf_8_is_named_wherever_it_is(tmp_path):
    (tmp_path / "s.csv").write_bytes(b"a\n" + b"x\n" * 70_000 + b"caf\xe9\n")
    said = "3: stage.a.units: `s.csv` is not UTF-8: invalid continuation byte in line 70002"
    check_problems(tmp_path, 'units = { csv = "s.csv" }', [said])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{}", "units: expected a list of tables"),
        ('{ tsv = "x" }', "units: expected a list of tables, { csv ="),
        ('{ csv = "s.csv", delimiter = ";;" }', "units.delimiter: expected one character such as"),
        ('{ csv = "s.csv", comment = "" }', "units.comment: expected text that is not empty"),
        ('{ jsonl = "s", delimiter = ";" }', "units.delimiter: unknown key"),
        ('{ csv = "s.csv", required = ["q"] }', "units.required: there is no column `q`"),
        ('{ csv = "x", jsonl = "y" }', "units: expected a list of tables"),
        ('{ csv = "x", colums = ["a"] }', "units.colums: unknown key (did you mean `columns`?)"),
        ('{ csv = "{nothing}" }', "units.csv: unknown placeholder {nothing}"),
        ('{ csv = "s.csv", columns = ["q"] }', "units: s.csv:1: no column `q`; it has `a`"),
        ('{ csv = "s.csv", columns = ["args"] }', "units.columns: `args` is a key of the stage"),
    ],
)
def test_mistakes_of_units_from_a_file(value, problem, tmp_path):
    put(tmp_path, "s.csv", "a\n1\n")
    check_problems(tmp_path, f"units = {value}", [f"3: stage.a.{problem}"])


USED = """
args = ["{a}", "{b[0]}", "{a.stem}"]
id = "{a}"
outputs = ["{a}.txt"]
env = { A = "{a}" }
paths = ["a"]
exclude = [{ a = 1 }]
[stage.next]
for-each = "s"
command = ["x", "{a}", "{s.outputs[0]}", "{b}"]
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('units = { csv = "none" }', "units.csv: `none` does not exist"),
        ('units = { csv = "empty" }', "units.csv: `empty` is empty, expected a row"),
        ('units = { csv = "latin" }', "units.csv: `latin` is not UTF-8"),
        ('units = { csv = "twice" }', "units.csv: twice:1: `a` stands in the header twice"),
        ('units = { csv = "taken" }', 'units.csv: taken: column 2, "args": `args` is a key'),
        ('units = { jsonl = "taken" }', "units.jsonl: taken:1: expected a JSON object"),
        ("units = 3", "units: expected a list"),
        ("matrix = 3", "matrix: expected a table"),
    ],
)
def test_units_that_cannot_be_read_are_said_once_and_not_where_they_are_used(
    text, problem, tmp_path
):
    put(tmp_path, "empty", "")
    (tmp_path / "latin").write_bytes(b"a,b\xe9\n")
    put(tmp_path, "twice", "a,a\n")
    put(tmp_path, "taken", "a,args\n")
    whole = f'[stage.s]\nmodule = "m"\n{text}{USED}'
    check_problems(tmp_path, whole, [f"3: stage.s.{problem}"])


def test_what_is_known_to_be_wrong_is_said_although_units_cannot_be_read(tmp_path):
    text = 'units = { csv = "none" }\nargs = ["{a}", "{outputs[0]}"]\ntimeout = "soon"'
    check_problems(
        tmp_path,
        text,
        [
            "3: stage.a.units.csv: `none` does not exist",
            "4: stage.a.args[1]: {outputs[0]}: the stage declares no outputs",
            "5: stage.a.timeout: expected",
        ],
    )


def test_what_is_inherited_may_be_left_out(tmp_path):
    text = """
    [stage.first]
    module = "m"
    matrix.x = [1, 2]
    [stage.a]
    for-each = "first"
    module = "m"
    matrix.y = [1, 2]
    exclude = [{ x = 2, y = 2 }]
    """
    assert [(one.parameters["x"], one.parameters["y"]) for one in units(tmp_path, text)] == [
        (1, 1),
        (1, 2),
        (2, 1),
    ]

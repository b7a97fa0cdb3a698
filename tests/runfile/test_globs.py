"""Globs in the run file: lists, alternatives, constraints, brackets, and what links lead to."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.host.readings import list_inputs
from procsup.paths.walk import list_files
from procsup.runfile.syntax.problems import Wrong
from procsup.runfile.templates.patterns import fill_glob, read_glob
from procsup.runfile.templates.template import Template
from tests.paths.test_walk import link
from tests.runfile.builders import (
    CAPACITY,
    args,
    check_problems,
    grow,
    ids,
    load_text,
    problems,
    unit,
)


def test_several_patterns_and_what_they_leave_out(tmp_path):
    grow(tmp_path, "raw/a.fq", "raw/test1.fq", "more/b.fq", "raw/testing/c.fq", "./!x/d.fq")
    text = 'matrix.f.glob = ["raw/{s:*}.fq", "more/{s:*}.fq", "./!x/{s:*}.fq", "!raw/test*"]'

    assert ids(tmp_path, text) == ["s=d", "s=b", "s=a"]


def test_alternatives_match_any_of_their_texts(tmp_path):
    grow(tmp_path, "raw/a.fq", "raw/b.fastq", "raw/c.fq.gz", "raw/d.txt")

    assert ids(tmp_path, 'matrix.f.glob = "raw/{s:[a-z]}.{fq,fastq}{,.gz}"') == [
        "s=a",
        "s=b",
        "s=c",
    ]
    only = unit(tmp_path, 'inputs = ["raw/*.{fq,txt}"]\nargs = ["{inputs}"]')
    assert args(only) == ["raw/a.fq", "raw/d.txt"]


def test_captures_with_a_constraint(tmp_path):
    grow(tmp_path, "raw/AB12_R1.fq", "raw/AB12_R2.fq", "raw/1ab_R1.fq", "raw/2024-11/x")

    text = 'matrix.f.glob = "raw/{s:[A-Z]+[0-9]*}_R{r:[12]}.fq"'
    assert ids(tmp_path, text) == ["s=AB12,r=1", "s=AB12,r=2"]
    assert ids(tmp_path, 'matrix.f.glob = "raw/{y:[0-9]{4}}-{m:[0-9]{2}}/x"') == ["y=2024,m=11"]


@pytest.mark.parametrize(
    ("glob", "said"),
    [
        ('["!raw/*"]', "glob: expected a pattern that takes files, too"),
        ('["raw/*", "!roh/x"]', "glob[1]: `!roh/x` leaves nothing out"),
        ('["raw/{s:*}", "more/*"]', "glob[1]: `more/*` and `raw/{s:*}` capture different names"),
        ('["raw/{s:*}", "!raw/{s:*}x"]', "glob[1]: `!raw/{s:*}x`: what is left out captures"),
        ('["raw/{s:*}_1", "raw/{s:*}"]', "glob: `raw/{s:*}_1` can read the path"),
        ('"{s:[0-9]*}"', "glob: {s:[0-9]*} could be empty"),
        ('"{s:[0-9]+.}"', "glob: `[0-9]+.`: expected sets such as"),
        ('"raw/x[*].fq"', "glob: `[*]`: write [[]*] for a wildcard in brackets"),
        ('"{a,b}{c,d}{e,f}{g,h}{i,j}{k,l}{m,n}{o,p}{q,r}/*"', "glob: expected at most 256"),
    ],
)
def test_an_invalid_glob_is_refused_with_its_place(glob, said, tmp_path):
    (found,) = problems(tmp_path, f"matrix.f.glob = {glob}")

    assert found.startswith(f"3: stage.a.matrix.f.{said}")


def test_brackets_are_plain_characters(tmp_path):
    grow(tmp_path, "raw/x[1].fq", "raw/x1.fq", "raw[2]/y.fq")

    assert args(unit(tmp_path, 'inputs = ["raw/x[1]*"]\nargs = ["{inputs}"]')) == ["raw/x[1].fq"]
    assert args(unit(tmp_path, 'inputs = ["raw[2]/*"]\nargs = ["{inputs}"]')) == ["raw[2]/y.fq"]
    (one,) = unit(tmp_path, 'vars = { e = "exp[1]" }\n[stage.a]\nmodule = "m"\n'
                  'outputs = ["{e}/*.txt"]').outputs  # fmt: skip
    assert one.path.replace(os.sep, "/").endswith("exp[1]/*.txt")


def test_brackets_that_were_a_set_in_outputs_are_refused_with_a_cure(tmp_path):
    said = "`[0-9]`: brackets are plain characters in a glob: write {:[0-9]} for one"
    check_problems(tmp_path, 'outputs = ["o/x[0-9]*.txt"]', [f"3: stage.a.outputs[0]: {said}"])
    assert unit(tmp_path, 'outputs = ["o/x{:[0-9]}*.txt", "p/[[]1]*", "q/x[1]"]').outputs


@pytest.mark.parametrize(
    ("output", "files"),
    [("o/*/", "o/*/**"), ("o/**/", "o/**"), ("o/a?{x}/", "o/a?{x}/**")],
)
def test_a_glob_of_folders_is_no_output(output, files, tmp_path):
    (found,) = problems(tmp_path, f'matrix.x = [1]\noutputs = ["{output}"]')

    assert f"`{output}` stands for folders, expected a pattern of files: `{files}` are" in found
    assert unit(tmp_path, f'matrix.x = [1]\noutputs = ["{files}"]')


def test_alternatives_are_for_globs_alone(tmp_path):
    (found,) = problems(tmp_path, 'args = ["{a,b}"]')

    assert "{a,b} is no placeholder: double the braces" in found


def test_a_link_to_nothing_is_named(tmp_path):
    grow(tmp_path, "samples/A/r.fq")
    link(tmp_path / "nothing", tmp_path / "samples" / "B")

    said = "`samples/{s:*}/r.fq` matches samples/B, which is a link to nothing"
    check_problems(
        tmp_path, 'matrix.f.glob = "samples/{s:*}/r.fq"', [f"3: stage.a.matrix.f: {said}"]
    )


def test_linked_folders_that_a_deep_wildcard_leaves_out_are_told_once(tmp_path):
    grow(tmp_path, "data/a.csv", "ext/x.csv")
    link(tmp_path / "ext", tmp_path / "data" / "sub")
    loaded = load_text(tmp_path, 'matrix.n = [1, 2]\ninputs = ["data/**/*.csv"]')

    loaded.expand_early(CAPACITY)

    assert loaded.notes("a") == (
        "a: `data/**/*.csv` does not look into links to folders (no `**` does): data/sub",
    )


FILES = ("raw/a.fq", "raw/b.fq", "raw/test1.fq", "raw/testing/c.fq", "lib/m.py", "lib/x/n.py")


@pytest.mark.parametrize("key", ["inputs", "depends"])
@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ('["raw/*.fq", "!raw/test*"]', ["raw/a.fq", "raw/b.fq"]),
        ('["!raw/test*", "raw/**"]', ["raw/a.fq", "raw/b.fq"]),
        ('["raw/*.fq", "!raw/{b,test1}.fq"]', ["raw/a.fq"]),
        ('["raw/*.fq", "!./raw/../raw/test*"]', ["raw/a.fq", "raw/b.fq"]),
        ('["{r}/*.fq", "!{r}/test*", "!raw/b.fq"]', ["raw/a.fq"]),
        ('["{here}/raw/*.fq", "!raw/[b]*", "!{r}/test*", "!raw/b*"]', ["{here}/raw/a.fq"]),
        ('["raw/test1.fq", "raw/*.fq", "!raw/test*"]', ["raw/test1.fq", "raw/a.fq", "raw/b.fq"]),
        ('{ one = ["raw/*.fq", "!raw/[a].fq", "!raw/a*"], two = ["raw/a*"] }',
         ["raw/b.fq", "raw/test1.fq", "raw/a.fq"]),
        ('["raw/*.fq", "./!raw/x"]', ["raw/a.fq", "raw/b.fq", "raw/test1.fq", "./!raw/x"]),
    ],
)  # fmt: skip
def test_exclusions_in_lists_of_files(key, paths, found, tmp_path):
    grow(tmp_path, *FILES)
    here = tmp_path.as_posix()
    text = f'vars = {{ r = "raw", here = "{here}" }}\n[stage.a]\nmodule = "m"\n{key} = {paths}\n'

    one = unit(tmp_path, f'{text}args = ["{{{key}}}"]')

    assert args(one) == [path.replace("{here}", here) for path in found]


def test_what_is_excluded_is_left_out_of_folders(tmp_path):
    grow(tmp_path, *FILES)

    one = unit(tmp_path, 'inputs = ["lib", "raw", "!lib/x"]\ndepends = ["lib/", "!**/m.py"]')

    watched = {path for declared in list_inputs(one) for path in list_files(declared, follow=True)}
    names = sorted(os.path.relpath(path, tmp_path).replace(os.sep, "/") for path in watched)
    everything = [*FILES[4:], *FILES[:4]]
    assert names == sorted(everything)  # the lists leave out different files of lib
    one = unit(tmp_path, 'inputs = ["lib/", "raw/", "!**/{x,test*}"]\nargs = ["{inputs[1]}"]')
    watched = {path for declared in list_inputs(one) for path in list_files(declared, follow=True)}
    assert sorted(os.path.relpath(path, tmp_path).replace(os.sep, "/") for path in watched) == [
        "lib/m.py",
        "raw/a.fq",
        "raw/b.fq",
    ]
    assert args(one) == ["raw/"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('inputs = ["!raw/x"]', "inputs[0]: `!raw/x` leaves nothing out: no other entry"),
        ('depends = ["raw/*", "!roh/x"]', "depends[1]: `!roh/x` leaves nothing out"),
        ('inputs = ["lib/", "!libs/x"]', "inputs[1]: `!libs/x` leaves nothing out"),
        ('outputs = ["o/*", "!p/*"]', "outputs[1]: `!p/*` leaves nothing out"),
        ('inputs = { a = "!x" }', "inputs.a: `!x` leaves out nothing, since it stands in no list"),
        ('outputs = { a = "!x" }', "outputs.a: `!x` leaves out nothing"),
        ('outputs = ["o/*", { path = "!o/x" }]', "outputs[1].path: `!o/x` leaves out nothing"),
        ('inputs = ["raw/*", "!raw/{s:*}"]', "inputs[1]: "),
        ('inputs = ["raw/*", "!"]', "inputs[1]: "),
    ],
)
def test_exclusions_that_leave_nothing_out_are_refused(line, said, tmp_path):
    grow(tmp_path, *FILES)

    (found,) = problems(tmp_path, line)

    assert found.startswith(f"3: stage.a.{said}")
    if "leaves" in said:
        name = found[found.index("`") + 1 : found.index("`", found.index("`") + 1)]
        assert f"`./{name}`" in found


def test_what_a_unit_leaves_out_of_its_outputs_another_one_may_make(tmp_path):
    text = """
        [stage.a]
        module = "m"
        outputs = ["o/", "p/*.csv", {left_out}]
        [stage.b]
        module = "m"
        outputs = ["o/log.txt", "p/x.csv", "o/sub/"]
    """
    out = '"!o/log.txt", "!p/x.csv", "!o/sub"'
    made = unit(tmp_path, text.replace("{left_out}", out), "a")
    assert [len(one.excluded) for one in made.outputs] == [3, 3]

    assert len(problems(tmp_path, text.replace("{left_out}", '"!o/log.txt"'))) == 2


VALUES = st.one_of(st.integers(-20, 20), st.text(st.sampled_from("ab.*?[]{}/! "), max_size=4))
OWN = st.sampled_from(["a", ".", "/", "*", "**", "[", "]", "[*]", "{b,c}", "{:[ab]+}", "{{"])
HOLES = st.sampled_from(["{n}", "{m}", "{n:>3}"])


def text_or_fault(read):
    try:
        return read()
    except Wrong as wrong:
        return str(wrong)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(OWN, HOLES), min_size=1, max_size=6).map("".join), VALUES, VALUES)
def test_the_text_of_a_glob_is_that_of_the_glob_that_is_read(source, n, m):
    try:
        template = Template(source, glob=True)
    except Wrong:
        return
    values = {"n": n, "m": m}

    assert text_or_fault(lambda: fill_glob(template, values)) == text_or_fault(
        lambda: read_glob(template, values).text
    )

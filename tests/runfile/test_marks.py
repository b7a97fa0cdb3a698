"""Stamps and visible manifests: what they may not fall on, for it would be removed."""

import pytest

import procsup
from procsup.errors import RunFileError
from tests.runfile.builders import CAPACITY, grow, load_text, make_outputs, problems, unit, units
from tests.support.projects import slashed

OWNERS = {
    "stamp": ('stamp = "{}"\n[stage.a]\nmodule = "m"\n', "1: stamp: ", "the run's stamp"),
    "manifest": (
        'manifest = "{}"\n[stage.a]\nmodule = "m"\n',
        "1: manifest: ",
        "the run's manifest",
    ),
    "stage": (
        '[stage.a]\nmodule = "m"\nstamp = "{}"\n',
        "3: stage.a.stamp: ",
        "the stamp of the stage `a`",
    ),
}

each_owner = pytest.mark.parametrize("owner", OWNERS)


@each_owner
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (".procsup/run/journal.jsonl", "is in the run directory, which is procsup's own"),
        (".procsup/run", "is in the run directory, which is procsup's own"),
        (".procsup", "is a folder: the run directory is in it"),
        ("run.toml", "is the run file itself"),
        ("./d/../run.toml", "is the run file itself"),
        ("d", "is a folder"),
    ],
)
def test_what_is_there_anyway_is_no_mark(owner, path, reason, tmp_path):
    grow(tmp_path, "d/")
    text, at, whose = OWNERS[owner]
    with pytest.raises(RunFileError) as caught:
        load_text(tmp_path, text.format(path))

    (problem,) = caught.value.problems
    assert f":{at}" in problem
    assert problem.endswith(f" {reason}: {whose} needs a path of its own")


@each_owner
@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('script = "x"', "script"),
        ('module = "m"\nmatrix.n.lines = "x"', "list"),
        ('module = "m"\npythonpath = ["x/"]', "pythonpath"),
    ],
)
def test_what_a_stage_reads_at_any_rate_is_no_mark(owner, more, what, tmp_path):
    text, _, whose = OWNERS[owner]
    text = text.format("x").replace('module = "m"\n', f"{more}\n")
    if what != "pythonpath":
        grow(tmp_path, "x")
    with pytest.raises(RunFileError) as caught:
        load_text(tmp_path, text)

    assert [problem for problem in caught.value.problems if f"the {what} of" in problem] == [
        problem for problem in caught.value.problems if problem.endswith("a path of its own")
    ]
    assert f"the same file is the {what} of the stage `a`: {whose}" in str(caught.value)


@each_owner
@pytest.mark.parametrize(
    ("more", "at"),
    [
        ('inputs = ["x"]', "stage.a.inputs"),
        ('inputs = { one = "./x" }', "stage.a.inputs"),
        ('depends = ["x"]', "stage.a.depends"),
        ('stdin = "x"', "stage.a.stdin"),
    ],
)
def test_what_a_unit_reads_is_no_mark(owner, more, at, tmp_path):
    grow(tmp_path, "x")
    text, _, whose = OWNERS[owner]

    assert problems(tmp_path, text.format("x") + more) == [
        f"4: {at}: x, which the unit `a` reads, is {whose}, too: procsup would remove it"
    ]


@each_owner
def test_a_glob_sees_no_mark_even_before_it_is_there(owner, tmp_path):
    grow(tmp_path, "d/a.txt")
    text, at, _ = OWNERS[owner]

    for more in ('matrix.p.glob = "d/*.txt"', 'inputs = ["d/*.txt"]'):
        with pytest.raises(RunFileError) as caught:
            load_text(tmp_path, text.format("d/done.txt") + more)
        (problem,) = caught.value.problems
        assert at in problem
        assert "the stage `a` would find d/done.txt by its glob `d/*.txt`" in problem


@each_owner
@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("key", ["inputs", "depends"])
def test_a_glob_of_a_unit_s_own_sees_no_mark_even_before_it_is_there(
    owner, key, is_there, tmp_path
):
    grow(tmp_path, "d/x.txt", *(["d/x.ok"] if is_there else []))
    text, _, whose = OWNERS[owner]
    text = text.format("d/x.ok") + 'matrix.n = ["x", "y"]\nempty-ok = true\n'

    (problem,) = problems(tmp_path, f'{text}{key} = ["d/{{n}}*"]')
    said = f"`d/x*` would find d/x.ok, which is {whose}: narrow the glob, or leave it out"
    assert f'6: stage.a.{key}[0]: {said} (`"!d/x.ok"`)' in problem

    for other in ('"d/{n}*", "!d/x.ok"', '"d/{n}*.txt"', '"e/{n}*"'):
        assert len(units(tmp_path, f"{text}{key} = [{other}]")) == 2


def test_a_glob_of_a_program_s_unit_sees_no_mark(tmp_path):
    options = {"stamp": str(tmp_path / "d" / "x.ok"), "name": "listed", "dir": tmp_path / "runs"}
    one = procsup.Unit(["true"], inputs=[slashed(tmp_path / "d" / "x*")])
    grow(tmp_path, "d/x.txt")

    with pytest.raises(RunFileError, match=r"would find .*x\.ok, which is the run's stamp"):
        procsup.run_units([one], progress="none", **options)


def test_what_a_late_unit_reads_is_no_mark(tmp_path):
    text = """\
        stamp = "made/1"
        [stage.a]
        module = "m"
        outputs = ["made/"]
        [stage.b]
        module = "m"
        inputs.from = "a"
        """
    loaded = load_text(tmp_path, text)
    first = loaded.expand_early(CAPACITY)["a"]
    ((unit_id, (reading,)),) = make_outputs(first)
    inside = type(reading)(str(tmp_path / "made" / "1"), 1, 1)

    with pytest.raises(RunFileError) as caught:
        loaded.expand("b", CAPACITY, {"a": [(unit_id, (inside,))]})

    (problem,) = caught.value.problems
    assert "7: stage.b.inputs: made/1, which the unit `b` reads, is the run's stamp" in problem


def test_a_folder_that_a_unit_makes_is_no_mark(tmp_path):
    text = 'stamp = "made"\n[stage.a]\nmodule = "m"\noutputs = ["made/"]'

    (problem,) = problems(tmp_path, text)
    assert problem.startswith("4: stage.a.outputs: made/ is the run's stamp, too")


def test_marks_beside_what_is_read_are_fine(tmp_path):
    grow(tmp_path, "d/a.txt", "x")
    text = """\
        stamp = "d/all.done"
        manifest = "d/all.json"
        [stage.a]
        module = "m"
        inputs = ["d/*.txt", "x"]
        stamp = "a.done"
        """

    assert len(units(tmp_path, text)) == 1


# --- what a unit both reads and writes ----------------------------------------------------


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("read", ['inputs = ["x"]', 'stdin = "x"'])
def test_a_stream_would_empty_an_input_of_its_unit(stream, read, tmp_path):
    grow(tmp_path, "x")

    assert problems(tmp_path, f'{read}\n{stream} = "x"') == [
        f"4: stage.a.{stream}: x is an input of the unit `a`, too:"
        " it would be emptied before it is read"
    ]


def test_an_output_that_is_an_input_is_never_kept(tmp_path):
    grow(tmp_path, "x")

    assert problems(tmp_path, 'inputs = ["x"]\noutputs = ["x"]') == [
        "4: stage.a.outputs: x is an input of the unit `a`, too: its result would never be kept:"
        " give the output a path of its own, or `unchanged = true`"
    ]


def test_an_input_may_be_an_output_that_is_left_untouched(tmp_path):
    grow(tmp_path, "x")

    only = unit(tmp_path, 'inputs = ["x"]\noutputs = [{ path = "x", unchanged = true }]')

    assert only.inputs == (only.outputs[0].path,)

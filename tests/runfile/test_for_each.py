"""`for-each`: units that follow units, one by one."""

import os

import pytest

import procsup
from tests.runfile.builders import CAPACITY, args, check_problems, early, grow, load_text

CHAIN = """
[stage.trim]
module = "m"
matrix.r1.glob = "raw/{sample:*}_R1.fq"
args = ["{r1}"]
outputs = { fq = "trim/{sample}.fq", log = "trim/{sample}.log" }

[stage.align]
for-each = "trim"
module = "m"
args = ["{trim.outputs.fq}", "{sample}", "{r1.name}"]
outputs = ["bam/{sample}.bam"]
"""


def chain(folder, *samples, more=""):
    grow(folder, *(f"raw/{sample}_R1.fq" for sample in samples))
    return early(folder, CHAIN + more)


def test_there_is_one_unit_per_unit_with_its_parameters(tmp_path):
    units = chain(tmp_path, "a", "b")["align"]

    assert [unit.id for unit in units] == ["align/sample=a", "align/sample=b"]
    assert [unit.follows for unit in units] == [("trim/sample=a",), ("trim/sample=b",)]
    assert units[0].parameters == {"r1": "raw/a_R1.fq", "sample": "a"}
    assert args(units[1]) == ["trim/b.fq", "b", "b_R1.fq"]


def test_its_stage_waits_for_units_and_is_known_early(tmp_path):
    grow(tmp_path, "raw/a_R1.fq")
    loaded = load_text(tmp_path, CHAIN)

    align = loaded.spec.stage("align")

    assert align.for_each == ("trim",)
    assert align.unit_wise
    assert not align.late


def test_the_name_of_the_unit_goes_on_down_the_chain(tmp_path):
    text = """
    [stage.a]
    module = "m"
    matrix.x = [0.10, 2]
    id = "number-{x}"
    [stage.b]
    for-each = "a"
    module = "m"
    args = ["{x}"]
    [stage.c]
    for-each = "b"
    module = "m"
    matrix.mode = ["fast", "slow"]
    """
    units = early(tmp_path, text)

    assert [unit.id for unit in units["b"]] == ["b/number-0.10", "b/number-2"]
    assert args(units["b"][0]) == ["0.10"]
    assert [unit.id for unit in units["c"]] == [
        "c/number-0.10,mode=fast",
        "c/number-0.10,mode=slow",
        "c/number-2,mode=fast",
        "c/number-2,mode=slow",
    ]
    assert units["c"][1].follows == ("b/number-0.10",)


def test_a_stage_of_one_unit_is_followed_by_one(tmp_path):
    text = """
    [stage.a]
    module = "m"
    outputs = ["x"]
    [stage.b]
    for-each = "a"
    module = "m"
    args = ["{a.outputs[0]}"]
    """
    (unit,) = early(tmp_path, text)["b"]

    assert (unit.id, unit.follows, args(unit)) == ("b", ("a",), ["x"])


def test_the_stages_may_stand_in_any_order(tmp_path):
    text = """
    [stage.b]
    for-each = "a"
    module = "m"
    args = ["{x}"]
    [stage.a]
    module = "m"
    matrix.x = [1]
    """
    units = early(tmp_path, text)

    assert list(units) == ["b", "a"]
    assert units["b"][0].follows == ("a/x=1",)


@pytest.mark.parametrize("step", ["outputs[0]", "stdout"])
def test_who_asks_for_the_stdout_that_it_follows_is_told_its_path(tmp_path, step):
    text = f"""
    [stage.a]
    module = "m"
    matrix.x = [1]
    stdout = "said/{{x}}.txt"
    [stage.b]
    for-each = "a"
    module = "m"
    args = ["{{a.{step}}}"]
    """
    with pytest.raises(procsup.RunFileError) as caught:
        early(tmp_path, text)

    assert str(caught.value).endswith(": write the path of its `stdout`, said/{x}.txt")


def test_in_a_folder_of_its_own_the_outputs_it_follows_are_absolute(tmp_path):
    units = chain(
        tmp_path, "a",
        more='[stage.x]\nfor-each = "trim"\nmodule = "m"\ncwd = "w"\nargs = ["{trim.outputs.fq}"]',
    )  # fmt: skip

    assert args(units["x"][0]) == [f"{str(tmp_path).replace(os.sep, '/')}/trim/a.fq"]


def test_the_whole_list_of_outputs_may_be_arguments_and_inputs(tmp_path):
    units = chain(
        tmp_path, "a",
        more='[stage.x]\nfor-each = "trim"\nmodule = "m"\nargs = ["{trim.outputs}", "{inputs}"]\n'
        'inputs = ["{trim.outputs}", "{r1}"]',
    )  # fmt: skip
    (unit,) = units["x"]

    both = ["trim/a.fq", "trim/a.log"]
    assert args(unit) == [*both, *both, "raw/a_R1.fq"]
    assert [os.path.basename(path) for path in unit.inputs] == ["a.fq", "a.log", "a_R1.fq"]


def test_a_unit_may_follow_one_of_each_of_several_stages(tmp_path):
    units = chain(
        tmp_path, "a", "b",
        more='[stage.qc]\nfor-each = "trim"\nmodule = "m"\noutputs = ["qc/{sample}"]\n'
        '[stage.report]\nfor-each = ["align", "qc"]\nmodule = "m"\n'
        'args = ["{align.outputs[0]}", "{qc.outputs[0]}"]',
    )  # fmt: skip

    assert [unit.id for unit in units["report"]] == ["report/sample=a", "report/sample=b"]
    assert units["report"][1].follows == ("align/sample=b", "qc/sample=b")
    assert args(units["report"][1]) == ["bam/b.bam", "qc/b"]


def test_units_of_several_stages_need_a_partner_each(tmp_path):
    text = """
    [stage.a]
    module = "m"
    matrix.x = [1, 2]
    [stage.b]
    module = "m"
    matrix.x = [1, 3]
    [stage.c]
    for-each = ["a", "b"]
    module = "m"
    """
    check_problems(
        tmp_path, text,
        ["9: stage.c.for-each: units of `a` and `b` belong together if their ids agree, and these"
         " have no partner: a/x=2, b/x=3"],
    )  # fmt: skip


@pytest.mark.parametrize("use", ["{s}", "{a.outputs[0]}", "{index}"])
def test_units_without_a_partner_are_all_that_is_said(use, tmp_path, monkeypatch):
    text = f"""
    [stage.a]
    module = "m"
    matrix.s = ["x", "y"]
    outputs = ["{{s}}.a"]
    [stage.b]
    module = "m"
    matrix.s = ["x", "z"]
    [stage.c]
    for-each = ["a", "b"]
    module = "m"
    matrix.k = [1, 2]
    args = ["{use}", "{{k}}"]
    outputs = ["{{s}}-{{k}}.c"]
    """
    said = "10: stage.c.for-each: units of `a` and `b` belong together if their ids agree"
    check_problems(tmp_path, text, [said])

    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    with pytest.raises(procsup.RunFileError, match="belong together if their ids agree"):
        procsup.plan("p.toml")


# --- whom it waits for ---------------------------------------------------------------------


def waits(folder, more, stage="x"):
    grow(folder, "raw/a_R1.fq", "refs/one.fa")
    spec = load_text(folder, f'{CHAIN}\n[stage.x]\nfor-each = "trim"\nmodule = "m"\n{more}').spec
    return spec.stage(stage).unit_wise, spec.stage(stage).late


def test_a_glob_over_what_the_followed_make_waits_for_all_of_them(tmp_path):
    assert waits(tmp_path, 'inputs = ["trim/*.fq"]') == (False, True)


def test_a_glob_over_their_folder_by_the_sample_waits_too(tmp_path):
    assert waits(tmp_path, 'inputs = ["trim/{sample}*"]') == (False, True)


def test_a_glob_elsewhere_does_not_wait(tmp_path):
    assert waits(tmp_path, 'inputs = ["refs/*.fa"]') == (True, False)


def test_a_glob_with_another_ending_does_not_wait(tmp_path):
    assert waits(tmp_path, 'depends = ["trim/*.txt"]') == (True, False)


@pytest.mark.parametrize("folder", ["d[1", "d{1"])
def test_brackets_in_a_folder_s_name_hide_nothing_from_a_glob_with_them_escaped(tmp_path, folder):
    made = folder.replace("{", "{{")
    text = f"""
    [stage.a]
    module = "m"
    matrix.x = [1]
    outputs = ["{made}/{{x}}.txt"]
    [stage.b]
    for-each = "a"
    module = "m"
    inputs = ["{made.replace("[", "[[]")}/*.txt"]
    """
    stage = load_text(tmp_path, text).spec.stage("b")
    assert (stage.unit_wise, stage.late, stage.looks_into) == (False, True, ("a",))


def test_where_case_does_not_count_a_glob_of_another_case_waits(tmp_path, monkeypatch):
    monkeypatch.setattr("procsup.runfile.stages.following.make_path_key", str.lower)
    assert waits(tmp_path, 'inputs = ["Trim/*.FQ"]') == (False, True)


def test_a_glob_over_a_whole_stage_before_it_is_looked_up_when_that_is_done(tmp_path):
    more = 'after = ["align"]\ninputs = ["bam/*.bam"]'
    assert waits(tmp_path, more) == (True, True)


def test_what_follows_a_late_stage_is_late_and_still_goes_unit_by_unit(tmp_path):
    text = """
    [stage.list]
    module = "m"
    outputs = ["names.txt"]
    [stage.a]
    after = ["list"]
    module = "m"
    matrix.x.lines = "names.txt"
    outputs = ["{x}.out"]
    [stage.b]
    for-each = "a"
    module = "m"
    args = ["{a.outputs[0]}"]
    """
    loaded = load_text(tmp_path, text)
    assert loaded.list_early_stages() == ["list"]
    assert loaded.spec.stage("b").unit_wise

    loaded.expand_early(CAPACITY)
    (tmp_path / "names.txt").write_text("u\nv\n")
    loaded.expand("a", CAPACITY, {})
    units = loaded.expand("b", CAPACITY, {})

    assert [unit.follows for unit in units] == [("a/x=u",), ("a/x=v",)]
    assert args(units[1]) == ["v.out"]


# --- mistakes ------------------------------------------------------------------------------


def mistake(folder, more, *expected):
    grow(folder, "raw/a_R1.fq")
    check_problems(folder, f'{CHAIN}\n[stage.x]\nmodule = "m"\n{more}', list(expected))


def test_an_unknown_stage_is_named(tmp_path):
    mistake(
        tmp_path,
        'for-each = "trims"',
        '16: stage.x.for-each: there is no stage "trims" (did you mean `trim`?)',
    )


def test_of_a_followed_unit_only_the_outputs_are_known(tmp_path):
    mistake(
        tmp_path,
        'for-each = "trim"\nargs = ["{trim.output.fq}", "{trim.outputs.bam}", "{trim}"]',
        "17: stage.x.args[0]: {trim.output.fq}: of a unit that is followed only its `outputs` are"
        " known (did you mean `outputs`?)",
        "17: stage.x.args[1]: {trim.outputs.bam}: no `bam` in `trim.outputs`",
        "17: stage.x.args[2]: {trim}: of a unit that is followed only its outputs are known",
    )


def test_what_a_glob_will_match_is_not_known_beforehand(tmp_path):
    text = """
    [stage.a]
    module = "m"
    outputs = { parts = "p/*.txt" }
    [stage.b]
    for-each = "a"
    module = "m"
    args = ["{a.outputs.parts}", "{a.outputs}"]
    """
    check_problems(
        tmp_path, text,
        ["8: stage.b.args[0]: {a.outputs.parts}: what a glob matches is known only when",
         "8: stage.b.args[1]: {a.outputs}: what a glob matches is known only when"],
    )  # fmt: skip


def test_a_parameter_of_the_followed_cannot_be_given_again(tmp_path):
    mistake(
        tmp_path,
        'for-each = "trim"\nmatrix.sample = ["z"]',
        "17: stage.x.matrix.sample: the units that are followed have a parameter `sample` already",
    )


def test_the_outputs_of_another_unit_than_its_own_are_not_ready(tmp_path):
    grow(tmp_path, "raw/a_R1.fq", "raw/b_R1.fq")
    check_problems(
        tmp_path, CHAIN + '[stage.x]\nfor-each = "trim"\nmodule = "m"\ninputs = ["trim/a.fq"]',
        ["16: stage.x.inputs: trim/a.fq is made by the unit `trim/sample=a`, which the unit"
         ' `x/sample=b` does not follow: wait for all with after = ["trim"]'],
    )  # fmt: skip


def test_the_outputs_of_the_unit_at_the_head_of_the_chain_are_ready(tmp_path):
    units = chain(
        tmp_path, "a", "b",
        more='[stage.x]\nfor-each = "align"\nmodule = "m"\ninputs = ["trim/{sample}.fq"]',
    )  # fmt: skip

    assert len(units["x"]) == 2


def test_the_outputs_of_all_and_of_one_are_not_mixed_up(tmp_path):
    mistake(
        tmp_path,
        'for-each = "trim"\ninputs = { from = "trim" }',
        "17: stage.x.inputs.from: a unit here follows one of `trim`, and this means the outputs of"
        ' all: write inputs = ["{trim.outputs}"] for those of its own',
    )


def test_stages_cannot_follow_each_other_in_a_circle(tmp_path):
    text = """
    [stage.a]
    for-each = "b"
    module = "m"
    [stage.b]
    for-each = "a"
    module = "m"
    """
    check_problems(
        tmp_path, text,
        ["3: stage.a.for-each: stages wait for each other in a circle: a -> b -> a"],
    )  # fmt: skip


def test_all_else_that_is_wrong_in_a_circle_is_said_with_it(tmp_path):
    text = """
    [stage.a]
    for-each = ["a", 3]
    module = "m"
    [stage.b]
    for-each = "c"
    module = "m"
    args = ["{x}", "{c.outputs[0]}", "{inputs}"]
    cpus = "many"
    [stage.c]
    for-each = "b"
    module = "m"
    jobs = 0
    """
    check_problems(
        tmp_path, text,
        [
            "3: stage.a.for-each: stages wait for each other in a circle: a -> a",
            "3: stage.a.for-each[1]: expected text, not 3",
            "6: stage.b.for-each: stages wait for each other in a circle: b -> c -> b",
            "8: stage.b.args[2]: {inputs}: the stage declares no inputs",
            "9: stage.b.cpus: expected",
            "13: stage.c.jobs: expected",
        ],
    )  # fmt: skip


def test_what_depends_on_a_stage_that_is_not_there_is_looked_at_all_the_same(tmp_path):
    text = """
    [stage.a]
    for-each = "nix"
    module = "m"
    args = ["{x}", "{nix.outputs[0]}"]
    jobs = 0
    """
    check_problems(
        tmp_path, text,
        ["3: stage.a.for-each: there is no stage \"nix\"", "6: stage.a.jobs: expected"],
    )  # fmt: skip


def test_a_circle_may_lead_over_whole_stages(tmp_path):
    text = """
    [stage.a]
    after = ["b"]
    module = "m"
    [stage.b]
    for-each = "a"
    module = "m"
    """
    check_problems(
        tmp_path, text, ["3: stage.a.after: stages wait for each other in a circle: a -> b -> a"]
    )


def test_a_mistake_in_the_followed_stage_is_not_said_twice(tmp_path):
    text = """
    [stage.a]
    matrix.x = [1]
    [stage.b]
    for-each = "a"
    module = "m"
    args = ["{x}"]
    """
    check_problems(tmp_path, text, ["2: stage.a: expected one of"])


def test_a_stage_is_not_named_like_something_else_that_is_known(tmp_path):
    text = """
    vars = { trim = "x" }
    [stage.trim]
    module = "m"
    [stage.b]
    for-each = "trim"
    module = "m"
    """
    check_problems(
        tmp_path, text,
        ["6: stage.b.for-each: {trim} stands for something else here already: give the stage"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "is_watched"),
    [
        ('args = ["{between.outputs.fq}"]\noutputs = ["x/{sample}"]', False),
        ('args = ["{sample}"]\nid = "{raw.stem}"\nstdout = "{raw.name}.txt"', False),
        ('args = ["{raw}"]', True),
        ('args = ["{raw.stem}"]', True),
        ('prefix = ["nice", "{raw}"]', True),
        ('env = { RAW = "{raw}" }', True),
        ('cwd = "{raw.parent}"', True),
        ('stdin = "{raw}"', True),
        ('stop-command = ["stop", "{raw}"]', True),
        ('depends = ["{raw}.bai"]', True),
        ('inputs = ["{raw.parent}/all"]', True),
        ("unit-file = true", True),
        ('paths = ["raw"]', True),
    ],
)
@pytest.mark.parametrize("between", ["", 'args = ["{raw}"]'])
def test_a_path_of_the_followed_unit_is_watched_where_it_is_used(
    tmp_path, more, is_watched, between
):
    grow(tmp_path, "raw/a.fq", "raw/a.fq.bai", "raw/all")
    text = f"""
        [stage.trim]
        module = "m"
        matrix.raw.glob = "raw/{{sample:[a-z]}}.fq"
        [stage.between]
        for-each = "trim"
        module = "m"
        outputs = {{ fq = "between/{{sample}}" }}
        {between}
        [stage.x]
        for-each = "between"
        module = "m"
    """

    units = early(tmp_path, text + more)

    raw = str(tmp_path / "raw" / "a.fq")
    assert [raw in units[name][0].depends for name in ("between", "x")] == [
        bool(between),
        is_watched,
    ]

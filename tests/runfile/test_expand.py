"""Units: their ids, commands, files and needs."""

import os
import sys

import pytest

from procsup.core.late import PID, SCRATCH
from procsup.core.slots import Capacity
from procsup.core.spec import OutputSpec
from tests.runfile.builders import (
    CAPACITY,
    args,
    early,
    grow,
    load_text,
    make_outputs,
    unit,
    units,
)


def ids(folder, text):
    return [unit.id for unit in units(folder, text)]


def test_a_stage_without_parameters_is_one_unit_of_its_name(tmp_path):
    only = unit(tmp_path, "")

    assert (only.id, only.index, only.parameters, only.cwd) == ("a", 0, {}, str(tmp_path))
    assert (only.cpus, only.memory_bytes, only.env, only.lists) == (1.0, None, {}, {})


def test_a_matrix_is_the_product_of_its_lists_the_last_running_fastest(tmp_path):
    text = 'matrix.lr = [0.10, 1e-3]\nmatrix.on = [true, "x/y"]\nargs = ["{lr}", "{on}", "{index}"]'
    found = units(tmp_path, text)

    assert [u.id for u in found] == [
        "a/lr=0.10,on=true",
        "a/lr=0.10,on=x/y",
        "a/lr=1e-3,on=true",
        "a/lr=1e-3,on=x/y",
    ]
    assert args(found[2]) == ["1e-3", "true", "2"]
    assert found[2].parameters == {"lr": 0.001, "on": True}
    assert [type(value) for value in found[2].parameters.values()] == [float, bool]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("1..4", [1, 2, 3, 4]),
        ("1..9:2", [1, 3, 5, 7, 9]),
        ("1..8:3", [1, 4, 7]),
        ("3..1", [3, 2, 1]),
        ("9..1:-4", [9, 5, 1]),
        ("-1..1", [-1, 0, 1]),
        ("08..10", ["08", "09", "10"]),
        ("5..5", [5]),
    ],
)
def test_ranges_include_both_ends(written, values, tmp_path):
    found = units(tmp_path, f'matrix.x.range = "{written}"')

    assert [u.parameters["x"] for u in found] == values


def test_a_range_may_be_as_long_as_a_variable_says(tmp_path):
    text = 'vars = { n = 2 }\n[stage.a]\nmodule = "m"\nmatrix.x.range = "1..{n}"'

    assert len(units(tmp_path, text)) == 2
    assert len(units(tmp_path, text, variables={"n": "4"})) == 4


def test_globs_give_the_path_and_what_they_capture(tmp_path):
    grow(tmp_path, "lib/abc.py", "lib/pkg/mod.py")
    found = units(
        tmp_path,
        """
        matrix.source.glob = "lib/{mod:**}.py"
        args = ["{source}", "{source.stem}", "{mod}"]
        outputs = { json = "out/{mod}.json" }
        """,
    )

    assert [u.id for u in found] == ["a/mod=abc", "a/mod=pkg/mod"]
    assert found[1].parameters == {"source": "lib/pkg/mod.py", "mod": "pkg/mod"}
    assert args(found[1]) == ["lib/pkg/mod.py", "mod", "pkg/mod"]
    assert found[1].outputs == (
        OutputSpec(str(tmp_path / "out" / "pkg" / "mod.json"), name="json"),
    )


def test_a_glob_without_captures_names_units_by_the_path(tmp_path):
    grow(tmp_path, "d/x.py")

    assert ids(tmp_path, 'matrix.s.glob = "d/*.py"') == ["a/s=d/x.py"]


def test_lines_of_a_file_are_values(tmp_path):
    (tmp_path / "names").write_bytes(b"\xef\xbb\xbfone\r\n\r\n two \n")
    found = units(tmp_path, 'matrix.x.lines = "names"\npaths = ["x"]\nargs = ["{x.parent}"]')

    assert [u.parameters["x"] for u in found] == ["one", " two "]
    assert args(found[0]) == ["."]


def test_units_are_made_from_tables(tmp_path):
    found = units(
        tmp_path,
        """
        units = [
          { name = "p", files = ["a.x", "b.x"], n = 1 },
          { name = "q", files = [], n = 2 },
        ]
        matrix.k = [7]
        paths = ["files"]
        args = ["{name}", "{files}", "end"]
        """,
    )

    assert [u.id for u in found] == ["a/name=p,n=1,k=7", "a/name=q,n=2,k=7"]
    assert [args(u) for u in found] == [["p", "a.x", "b.x", "end"], ["q", "end"]]
    assert found[0].parameters == {"name": "p", "files": ["a.x", "b.x"], "n": 1, "k": 7}
    assert found[0].depends == (str(tmp_path / "a.x"), str(tmp_path / "b.x"))
    assert found[1].depends == ()


def test_an_id_of_ones_own(tmp_path):
    assert ids(tmp_path, 'matrix.x = [1, 2]\nid = "n{x:02d}"') == ["a/n01", "a/n02"]


def test_an_id_is_one_line(tmp_path):
    assert ids(tmp_path, 'matrix.x = ["a\\nb\\u001b[0m"]') == ["a/x=a\\x0ab\\x1b[0m"]


def test_a_command_is_prefix_program_and_arguments(tmp_path):
    text = """
        [stage.a]
        matrix.x = [1]
        prefix = ["nice", "-n", 5]
        command = ["tool", "{x}"]
        args = ["--flag", true, 0.10]
        """

    assert unit(tmp_path, text).argv == ("nice", "-n", "5", "tool", "1", "--flag", "true", "0.10")


def test_a_module_is_run_by_its_python(tmp_path):
    found = unit(tmp_path, 'python = "py3"\nprefix = ["env", "-i"]\nargs = ["x"]')

    assert found.argv == ("env", "-i", "py3", "-m", "m", "x")
    default = unit(tmp_path, "").argv
    assert default == (sys.executable, "-m", "m")


def test_a_script_is_found_from_the_run_file(tmp_path):
    found = unit(tmp_path, '[stage.a]\nscript = "s/x.py"\ncwd = "elsewhere"')

    assert found.argv == (sys.executable, str(tmp_path / "s" / "x.py"))
    assert found.cwd == str(tmp_path / "elsewhere")


def test_a_program_with_a_slash_is_found_from_the_cwd(tmp_path):
    text = '[stage.a]\ncommand = ["./tool", "./x"]\ncwd = "d"'
    found = unit(tmp_path, text)

    assert found.argv == (str(tmp_path / "d" / "tool"), "./x")


def test_values_of_the_environment_are_templates_and_shared_if_they_can_be(tmp_path):
    fixed = units(tmp_path, 'matrix.x = [1, 2]\nenv = { A = "1", B = 2, C = "" }')
    varied = units(tmp_path, 'matrix.x = [1, 2]\nenv = { A = "{x}" }')

    assert fixed[0].env == {"A": "1", "B": "2", "C": ""}
    assert fixed[0].env is fixed[1].env
    assert [u.env for u in varied] == [{"A": "1"}, {"A": "2"}]


def test_a_stop_command_knows_the_unit_and_its_process(tmp_path):
    found = units(
        tmp_path,
        """
        matrix.x = [1, 2]
        inputs = ["in"]
        outputs = ["out/{x}"]
        stop-command = ["stop", "{pid}", "--job", "n{x}-{index}", "{inputs}", "{outputs[0]}"]
        """,
    )

    assert [u.stop_command for u in found] == [
        ("stop", PID, "--job", "n1-0", "in", "out/1"),
        ("stop", PID, "--job", "n2-1", "in", "out/2"),
    ]
    assert unit(tmp_path, "").stop_command == ()


def test_units_share_a_stop_command_if_they_can(tmp_path):
    first, second = units(tmp_path, 'matrix.x = [1, 2]\nstop-command = ["stop", "{pid}"]')

    assert first.stop_command is second.stop_command


def test_a_stop_command_sees_the_files_from_the_units_folder(tmp_path):
    found = unit(
        tmp_path,
        """
        cwd = "d"
        scratch = true
        inputs = ["in"]
        stop-command = ["./stop", "{inputs[0]}", "{inputs.file}", "{scratch}"]
        """,
    )
    folder = str(tmp_path)

    (list_path,) = found.lists
    assert found.stop_command == (
        os.path.join(folder, "d", "stop"),
        f"{folder}/in".replace(os.sep, "/"),
        list_path,
        SCRATCH,
    )


def test_a_variable_may_be_called_pid(tmp_path):
    text = 'vars = { pid = "7" }\n[stage.a]\nmodule = "m"\nargs = ["{pid}"]'

    assert args(unit(tmp_path, text)) == ["7"]


def test_inputs_by_list_and_by_name(tmp_path):
    grow(tmp_path, "d/2.csv", "d/1.csv")
    by_list = unit(tmp_path, 'inputs = ["x", "d/*.csv"]\nargs = ["{inputs}", "{inputs[1].stem}"]')
    by_name = unit(
        tmp_path,
        """
        inputs = { one = "x", all = "d/*.csv", two = ["p", "q"] }
        depends = { model = "m.bin" }
        args = ["{inputs.one}", "{inputs.all}", "{inputs.two[1]}", "{depends.model}", "{inputs}"]
        """,
    )
    at = [str(tmp_path / p) for p in ("x", "d/1.csv", "d/2.csv", "p", "q")]

    assert args(by_list) == ["x", "d/1.csv", "d/2.csv", "1"]
    assert by_list.inputs == tuple(map(os.path.normpath, at[:3]))
    assert args(by_name)[:5] == ["x", "d/1.csv", "d/2.csv", "q", "m.bin"]
    assert by_name.depends == (str(tmp_path / "m.bin"),)
    one, first, second, p, q = map(os.path.normpath, at)
    assert by_name.input_names == {"one": one, "all": (first, second), "two": (p, q)}


def test_inputs_may_hold_parameters_and_outputs_may_hold_inputs(tmp_path):
    grow(tmp_path, "d1/x.csv", "d2/y.csv")
    found = units(
        tmp_path,
        """
        matrix.n = [1, 2]
        inputs = ["d{n}/*.csv"]
        outputs = ["o/{inputs[0].stem}.json"]
        args = ["{inputs}", "{outputs}"]
        """,
    )

    assert [args(u) for u in found] == [["d1/x.csv", "o/x.json"], ["d2/y.csv", "o/y.json"]]


def test_outputs_are_files_folders_or_globs(tmp_path):
    found = unit(
        tmp_path,
        """
        matrix.x = ["a*b"]
        outputs = [
          { path = "f/{x}", empty = true, optional = true, unchanged = true },
          "folder/",
          "g/**/*.png",
        ]
        """,
    )
    at = str(tmp_path) + os.sep

    assert found.outputs == (
        OutputSpec(at + os.path.join("f", "a*b"), None, True, True, True, "file"),
        OutputSpec(at + "folder" + os.sep, kind="folder"),
        OutputSpec(at + os.path.join("g", "**", "*.png"), kind="glob"),
    )


def test_streams_are_files_of_the_run_file(tmp_path):
    found = unit(tmp_path, 'matrix.x = [1]\nstdin = "in"\nstdout = "o/{x}"\nstderr = "e/{x}"')

    assert found.stdin == str(tmp_path / "in")
    assert found.inputs == (found.stdin,)
    assert found.stdout == str(tmp_path / "o" / "1")
    assert found.stderr == str(tmp_path / "e" / "1")


def test_the_scratch_folder_is_left_to_the_engine(tmp_path):
    found = unit(tmp_path, 'scratch = true\nargs = ["{scratch}/x"]\nenv.T = "{scratch}"')

    assert args(found) == [f"{SCRATCH}/x"]
    assert found.env == {"T": SCRATCH}


def test_paths_are_absolute_for_units_that_run_elsewhere(tmp_path):
    grow(tmp_path, "d/x.py")
    found = unit(
        tmp_path,
        """
        matrix.s.glob = "d/{mod:*}.py"
        cwd = "d"
        inputs = ["in"]
        outputs = { o = "out/{mod}/" }
        args = ["{s}", "{s.name}", "{s.parent}", "{mod}", "{inputs}", "{outputs.o}"]
        """,
    )
    at = tmp_path.as_posix()

    assert args(found) == [f"{at}/d/x.py", "x.py", f"{at}/d", "x", f"{at}/in", f"{at}/out/x/"]
    assert found.parameters == {"s": "d/x.py", "mod": "x"}


@pytest.mark.parametrize(
    ("text", "threads"), [("", 2), ('memory = "1K"', 2), ("cpus = 1", None), ('cpus = "all"', None)]
)
def test_threads_are_a_share_unless_cpus_are_given(text, threads, tmp_path):
    loaded = load_text(tmp_path, text)
    capacity = Capacity(cpus=4.0, jobs=2)

    (only,) = loaded.expand_early(capacity)["a"]

    assert only.threads == threads


@pytest.mark.parametrize(
    ("text", "cpus", "memory_bytes"),
    [
        ('cpus = 0.5\nmemory = "1K"', 0.5, 1024),
        ('cpus = "all"\nmemory = "all"', 4.0, 1 << 30),
        ('matrix.n = ["3"]\ncpus = "{n}"\nmemory = "{n}M"', 3.0, 3 << 20),
    ],
)
def test_a_unit_is_granted_cpus_and_memory(text, cpus, memory_bytes, tmp_path):
    found = unit(tmp_path, text)

    assert (found.cpus, found.memory_bytes) == (cpus, memory_bytes)


FROM = """\
[stage.make]
module = "m"
matrix.x = [1, 2]
outputs = ["o/{{x}}", "p/{{x}}"]
[stage.b]
module = "m"
inputs.from = "make"
{}
"""


def merge(folder, text, outputs=None):
    loaded = load_text(folder, FROM.format(text))
    first = loaded.expand_early(CAPACITY)["make"]
    return loaded.expand(
        "b", CAPACITY, {"make": make_outputs(first) if outputs is None else outputs}
    )


def test_inputs_from_a_stage_are_what_its_units_made(tmp_path):
    (found,) = merge(tmp_path, 'args = ["{inputs}", "{inputs[3].parent}"]')

    assert args(found) == ["o/1", "p/1", "o/2", "p/2", "p"]
    assert found.inputs[3] == str(tmp_path / "p" / "2")


def test_inputs_from_a_stage_may_be_none(tmp_path):
    (found,) = merge(tmp_path, 'args = ["{inputs}"]', outputs=[])

    assert (args(found), found.inputs) == ([], ())


def test_many_inputs_go_into_a_file(tmp_path):
    found = merge(tmp_path, 'matrix.y = ["A/1", "a/1"]\nargs = ["{inputs.file}"]')
    directory = str(tmp_path / ".procsup" / "run" / "lists" / "b")

    for one in found:
        assert one.lists == {args(one)[0]: ("o/1", "p/1", "o/2", "p/2")}
        assert os.path.dirname(args(one)[0]) == directory
    names = {os.path.basename(args(one)[0]).lower() for one in found}
    assert len(names) == 2
    assert all(name.startswith("y=a_1-") for name in names)


def test_a_file_of_inputs_suits_a_unit_that_runs_elsewhere(tmp_path):
    (found,) = merge(tmp_path, 'args = ["{inputs.file}"]\ncwd = "d"')
    (lines,) = found.lists.values()

    assert lines == tuple(path.replace(os.sep, "/") for path in found.inputs)


def test_stages_are_expanded_together(tmp_path):
    found = early(tmp_path, '[stage.a]\nmodule = "m"\n[stage.b]\nmodule = "m"\nmatrix.x = [1]')

    assert {name: [u.id for u in made] for name, made in found.items()} == {
        "a": ["a"],
        "b": ["b/x=1"],
    }


def test_a_stage_can_be_expanded_again(tmp_path):
    loaded = load_text(tmp_path, FROM.format('outputs = ["r"]'))
    first = loaded.expand_early(CAPACITY)
    again = loaded.expand_early(CAPACITY)

    assert first == again
    assert loaded.expand("b", CAPACITY, {"make": []}) == loaded.expand("b", CAPACITY, {"make": []})


def test_very_many_units_take_little_room(tmp_path):
    found = units(tmp_path, 'matrix.x.range = "1..3000"\nargs = ["--out", "{x}"]\nenv.A = "1"')

    assert len(found) == 3000
    first, last = found[0], found[-1]
    assert first.argv[3] is last.argv[3]
    assert first.cwd is last.cwd
    assert first.env is last.env
    assert first.input_names is last.input_names

"""The inputs of `procsup map`, with real children."""

import json
import os
import re
import signal

import pytest

from tests.cli.test_map import manifest, run_map
from tests.support.projects import Project

POSIX = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a shell as POSIX has it")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def lines_of(project, *words, stdin=""):
    return run_map(project, "-q", "-k", *words, stdin=stdin).stdout.splitlines()


def test_a_name_for_the_output_is_made_from_the_input(project):
    for name in "abc":
        project.write(f"{name}.png", name)

    run_map(project, "-q", "cp", "{}", "{.}.jpg", ":::", "a.png", "b.png", "c.png")

    assert sorted(path.name for path in project.folder.glob("*.jpg")) == ["a.jpg", "b.jpg", "c.jpg"]


def test_files_and_stdin_are_sources_and_a_last_line_needs_no_end(project):
    project.write("one", "a\n\nb")

    assert lines_of(project, "-a", "one", "echo", "::::", "-", stdin="1\n2") == [
        "a 1", "a 2", "b 1", "b 2",
    ]  # fmt: skip


def test_an_empty_line_counts_where_lines_are_paired(project):
    project.write("one", "a\n\nc\n")

    assert lines_of(project, "echo", "::::", "one", ":::+", *"xyz") == ["a x", " y", "c z"]


@pytest.mark.parametrize(
    ("options", "stdin", "lines"),
    [
        (["-d", ","], "a,,b\n", ["<a>", "<>", "<b", ">"]),
        (["-d", ",", "-r"], "a,,b", ["<a>", "<b>"]),
        (["-0"], "a\0\0b", ["<a>", "<>", "<b>"]),
    ],
)
def test_inputs_may_end_with_something_else(project, options, stdin, lines):
    assert lines_of(project, *options, "echo", "<{}>", stdin=stdin) == lines


def test_a_header_names_columns_which_are_parameters_of_the_records(project):
    project.write("t.csv", 'who,"the age"\nann,"3,5"\nbob,\n')

    words = ["--name", "m", "--header", ":", "--csv", "echo", "{who}={the age}", "::::", "t.csv"]
    assert lines_of(project, *words) == ["ann=3,5", "bob="]
    assert [unit["id"] for unit in manifest(project, "m")["units"]] == ["map/ann 3,5", "map/bob "]
    assert manifest(project, "m")["units"][0]["parameters"] == {"input": ["ann", "3,5"]}

    words = ["--name", "n", "--header", ":", "echo", "{a}", ":::", "a", "1", ":::", "b", "2"]
    assert lines_of(project, *words) == ["1"]
    assert manifest(project, "n")["units"][0]["parameters"] == {"a": "1", "b": "2"}


def test_a_byte_order_mark_is_no_part_of_the_first_name(project):
    project.write("t.csv", "\ufeffwho,age\nann,3\n")

    words = ["--header", ":", "--csv", "echo", "{who}", "::::", "t.csv"]
    assert lines_of(project, *words) == ["ann"]


def test_files_that_a_glob_matches_are_inputs_of_a_python_file(project):
    for name in ("data/b.csv", "data/a.csv", "data/c.txt"):
        project.write(name, "")
    project.write("part.py", "import sys; print(sys.argv[1:])")

    assert lines_of(project, "--glob", "data/*.csv", "part.py", "-x") == [
        str(["-x", os.path.join("data", name)]) for name in ("a.csv", "b.csv")
    ]


def test_a_python_file_is_shown_with_its_python(project):
    project.write("part.py", "")

    assert lines_of(project, "--dry-run", "part.py", "{%}", ":::", "a") == ["python part.py '{%}'"]


def test_equal_inputs_are_told_apart_by_their_number(project):
    run_map(project, "-q", "--name", "m", "true", ":::", "a", "a", "a #2", "a", "b")

    assert [unit["id"] for unit in manifest(project, "m")["units"]] == [
        "map/a", "map/a #2", "map/a #2 #2", "map/a #3", "map/b",
    ]  # fmt: skip


def test_the_number_of_its_slot_is_filled_in_when_a_unit_starts(project):
    words = ["--name", "m", "-j1", "echo", "{%}{{%}}{x y}", "{}", ":::", "a", "b"]

    assert lines_of(project, *words) == ["1{{%}}{x y} a", "1{{%}}{x y} b"]
    plan = (project.folder / ".procsup" / "m" / "plan.jsonl").read_text().splitlines()
    assert json.loads(plan[1])["argv"] == ["echo", "{slot}{{{{%}}}}{{x y}}", "a"]


def test_an_input_that_cannot_be_an_argument_is_not_started_and_the_others_run(project):
    long = "x" * 3_000_000
    done = run_map(project, "-k", "echo", stdin=f"a\nb\0c\n{long}\nd\n", expect=1)

    assert done.stdout == "a\nd\n"
    nul, too_long = [line for line in done.stderr.splitlines() if ": not-started, " in line]
    assert nul == (
        "map/b\\x00c: not-started, its input holds a NUL character, which no argument can hold:"
        " -0 reads inputs that end with NUL"
    )
    assert re.fullmatch(r"map/x{60}~[0-9a-f]{8}: not-started, the command line would .*", too_long)


def test_as_many_inputs_as_fit_are_given_to_a_unit(project):
    text = "".join(f"{number:06d}\n" for number in range(400_000))

    lines = lines_of(project, "--xargs", "echo", stdin=text)

    assert [number for line in lines for number in line.split()] == text.split()
    assert len(lines) > 1
    assert min(map(len, lines[:-1])) > 20_000  # on Windows; elsewhere far more


@POSIX
def test_a_shell_gets_the_inputs_quoted_and_may_get_them_as_commands(project):
    project.write("a b", "x\n")

    run_map(project, "-q", "--shell", "tr x y <{} >{}.out", ":::", "a b")

    assert (project.folder / "a b.out").read_text() == "y\n"
    assert lines_of(project, "--shell", ":::", "echo a", "echo b | tr b c") == ["a", "c"]
    assert lines_of(project, "--shell", stdin="echo a\necho b") == ["a", "b"]
    several = ["-N2", "--shell", "echo {}; echo {2}", ":::", "a", "b"]
    assert lines_of(project, *several) == ["a b", "b"]


ONE_LINERS = [
    ["-j3", "--retries", "2", "--timeout", "1m", "echo", "{}", "{.}x", ":::", "a.b", 'c"\\ d', "é"],
    ["echo", "{print $1}", "{{x}}", "${HOME}", "{#}", "{%}", ":::", "a"],
    ["echo", ":::", "a", "a", "b\nc", "x" * 99],
    ["-N2", "echo", "pre-{}-post", "{2}", "{}", ":::", "a", "b", "c"],
    ["-n2", "--plus", "echo", "pre-{}-post", "{##}{}", ":::", "a", "b", "c"],
    ["-N0", "echo", "x", "{}", "a{}b", ":::", "a", "a"],
    ["-X", "-j2", "echo", ":::", *"abcde"],
    ["--header", ":", "--colsep", ",", "echo", "{x}", "{the y}", ":::", "x,the y", "1,2"],
    ["echo", "{1/.}", "{2.stem}", ":::", "a/b.c", ":::", "d.e"],
    ["part.py", "{.}", "{}", ":::", "a.b"],
]
IN_SHELL = [
    ["--shell", "echo <{} | cat; echo {.}", ":::", "a b.c"],
    ["--shell", "-n2", "echo", "{}", "{1}", ":::", *"abc"],
    ["--shell", ":::", "echo {a}", "echo b | cat"],
]


def list_commands(project, name):
    units = manifest(project, name)["units"]
    return [(unit["id"], unit["argv"]) for unit in units]


@pytest.mark.parametrize(
    "words", [*ONE_LINERS, *(pytest.param(words, marks=POSIX) for words in IN_SHELL)]
)
def test_the_run_file_of_a_one_liner_does_the_same(project, words):
    project.write("part.py", "")
    project.write("a b.c", "")

    written = run_map(project, "--as-run-file", "--name", "f", *words).stdout
    run_map(project, "-q", "--name", "m", *words)

    project.write("procsup.toml", written)
    assert project.call("run").returncode == 0
    assert list_commands(project, "f") == list_commands(project, "m")


@pytest.mark.parametrize(
    ("stdin", "said"), [("", "there are no inputs"), ("\udce9", "'\\\\xe9' is not UTF-8")]
)
def test_what_a_run_file_cannot_have_is_refused(project, stdin, said):
    done = run_map(project, "--as-run-file", "echo", stdin=stdin, expect=2)

    assert said in done.stderr
    assert done.stdout == ""


@POSIX
def test_a_dry_run_prints_the_text_for_a_shell(project):
    words = ["--dry-run", "--shell", "gzip <{} >{}.gz", ":::", "a b"]

    assert lines_of(project, *words) == ["gzip <'a b' >'a b'.gz"]

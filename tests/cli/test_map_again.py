"""The same line of `procsup map` again, and the outputs that its units must make."""

import os
import signal

import pytest

from procsup.store.rundir import RunDir
from procsup.store.sitting import Sitting
from tests.cli.test_map import POSIX, manifest, run_map
from tests.faults.laws import until
from tests.support.gate import Gate
from tests.support.projects import PROGRAMS, PYTHON, Project, finish, kill

LOGGED = 'echo "$1" >>log; test ! -e "$1.bad"'


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def take_log(project):
    """Return which units ran since the last call."""
    log = project.folder / "log"
    ran = sorted(log.read_text().split()) if log.exists() else []
    log.write_text("")
    return ran


def run_logged(project, *words, expect=0):
    at = words.index(":::")
    line = [*words[:at], "sh", "-c", LOGGED, "x", *words[at:]]
    done = run_map(project, *line, expect=expect)
    return take_log(project), done.stderr.splitlines()


def list_unnamed(project):
    return sorted(path.name for path in (project.folder / ".procsup").glob("map-*"))


# --- with a name -------------------------------------------------------------------------------


@POSIX
def test_a_line_with_a_name_does_again_only_what_has_not_succeeded(project):
    project.write("b.bad", "")
    assert run_logged(project, "--name", "m", ":::", *"abc", expect=1)[0] == [*"abc"]
    os.remove(project.folder / "b.bad")

    ran, said = run_logged(project, "--name", "m", ":::", *"abc")

    assert ran == ["b"]
    assert said[0].startswith("m: kept 2 of 3 (finished ")
    assert "1 to run: 1 failed before" in said[0]
    assert run_logged(project, "--name", "m", ":::", *"abc")[0] == []
    assert {unit["verdict"] for unit in manifest(project, "m")["units"]} == {"succeeded"}


@POSIX
def test_a_new_input_in_front_runs_one_more_unit(project):
    run_logged(project, "--name", "m", ":::", *"ab")

    ran, said = run_logged(project, "--name", "m", ":::", "new", *"ab")

    assert ran == ["new"]
    assert said[0].endswith("1 to run: 1 new; --fresh runs all")


@POSIX
def test_equal_inputs_are_told_apart_by_their_occurrence(project):
    run_logged(project, "--name", "m", ":::", *"aab")

    assert run_logged(project, "--name", "m", ":::", *"aaab")[0] == ["a"]
    ids = [unit["id"] for unit in manifest(project, "m")["units"]]
    assert ids == ["map/a", "map/a #2", "map/a #3", "map/b"]


@POSIX
def test_another_command_with_the_same_name_runs_all(project):
    run_logged(project, "--name", "m", ":::", *"ab")

    done = run_map(project, "--name", "m", "-k", "echo", ":::", *"ab")

    assert done.stdout == "a\nb\n"
    assert "2 to run: 2 command changed" in done.stderr


@POSIX
def test_fresh_runs_all_again(project):
    run_logged(project, "--name", "m", ":::", *"ab")

    assert run_logged(project, "--name", "m", "--fresh", ":::", *"ab")[0] == [*"ab"]


@pytest.mark.slow
@POSIX
def test_after_a_kill_of_all_of_procsup_the_same_line_repeats_no_success(project):
    program = """
    echo "start $1" >>log
    case $1 in *7777) exit 1;; esac
    if test "$1" -gt 200 -a ! -e go; then read x <never; fi
    echo "end $1" >>log
    """
    inputs = [*map(str, range(1, 496)), "17777", "27777", "37777", "47777", "57777"]
    line = ["map", "-q", "-j2", "--name", "run", "sh", "-c", program, "x", ":::", *inputs]
    os.mkfifo(project.folder / "never")
    child = project.start(*line)
    journal = project.rundir / "journal.jsonl"
    until(
        lambda: journal.exists() and journal.read_text().count('"verdict":"succeeded"') == 200,
        "the first 200 ends are not recorded",
        60,
    )
    for pid in (project.supervisor_pid, child.pid):
        kill(pid)
    finish(child)
    assert child.returncode == -signal.SIGKILL
    project.write("go", "")

    again = project.call(*line)

    lines = (project.folder / "log").read_text().splitlines()
    ended = [text for text in lines if text.startswith("end ")]
    assert again.returncode == 1, again.stderr
    assert sorted(ended) == sorted(f"end {number}" for number in range(1, 496))
    assert [lines.count(f"start {number}") for number in range(1, 201)] == [1] * 200
    verdicts = list(project.verdicts.values())
    assert (verdicts.count("succeeded"), verdicts.count("failed")) == (495, 5)
    more = project.call(*line[: line.index(":::") + 1], "500", *inputs)
    lines = (project.folder / "log").read_text().splitlines()
    assert more.returncode == 1
    assert [text for text in lines if text.startswith("end ")] == [*ended, "end 500"]


# --- without a name ----------------------------------------------------------------------------


@POSIX
def test_resume_takes_up_the_last_unnamed_run_of_the_very_line(project):
    project.write("b.bad", "")
    run_logged(project, ":::", *"ab", expect=1)
    run_logged(project, ":::", "c")
    os.remove(project.folder / "b.bad")

    assert run_logged(project, "--resume", ":::", *"ab")[0] == ["b"]
    assert len(list_unnamed(project)) == 2
    assert run_logged(project, "--resume", ":::", *"ab")[0] == []


@POSIX
def test_resume_of_a_line_that_never_ran_begins_a_run(project):
    ran, said = run_logged(project, "--resume", ":::", *"ab")

    assert ran == [*"ab"]
    assert said[0] == "no earlier run of this line is here: all of it runs"
    assert len(list_unnamed(project)) == 1


@POSIX
def test_without_resume_an_unnamed_line_runs_whole_each_time(project):
    run_logged(project, ":::", "a")

    assert run_logged(project, ":::", "a")[0] == ["a"]
    assert len(list_unnamed(project)) == 2


# --- outputs -----------------------------------------------------------------------------------


@POSIX
def test_a_unit_that_does_not_make_its_output_has_not_succeeded(project):
    run_map(project, "--name", "m", "--outputs", "{.}.o", "true", ":::", "a.c", expect=1)

    (unit,) = manifest(project, "m")["units"]
    assert unit["verdict"] == "bad-output"


@POSIX
def test_a_line_with_outputs_does_again_what_is_missing_also_with_more_inputs(project):
    line = ["--outputs", "out/{/}", "sh", "-c", 'echo "$1" >>log; echo x >"out/$1"', "x", ":::"]
    run_map(project, *line, "a", "b")
    take_log(project)
    os.remove(project.folder / "out" / "a")

    run_map(project, *line, "n", "a", "b")

    assert take_log(project) == ["a", "n"]
    assert len(list_unnamed(project)) == 1
    run_map(project, *line, "b")
    assert take_log(project) == []


@POSIX
@pytest.mark.parametrize("other", ["a", "b"])
def test_a_live_run_is_left_alone_and_taken_up_only_by_resume(project, other):
    with Gate() as gate:
        gated = [PYTHON, "-S", str(PROGRAMS / "gated.py"), str(gate.port), "{}"]
        line = ["map", "-q", "--outputs", "{}.o", "sh", "-c", '"$@" && echo x >"$5.o"', "x", *gated]
        first = project.start(*line, ":::", "a")
        a = gate.meet("a")
        second = project.start(*line, ":::", other)
        gate.meet(other).exit(0)
        assert finish(second)[1] == ""
        third = project.call("map", "--resume", *line[1:], ":::", "a")
        a.exit(0)
        finish(first)

    assert (first.returncode, second.returncode) == (0, 0)
    assert (third.returncode, "in use by" in third.stderr) == (EXIT_OF[other], other == "b")
    assert len(list_unnamed(project)) == 2


EXIT_OF = {"a": 0, "b": 75}  # the second line is the last one with these inputs, and has ended


@POSIX
def test_an_earlier_run_that_another_line_takes_in_this_moment_is_left_to_it(project):
    line = ["--outputs", "{}.o", "sh", "-c", 'echo x >"$1.o"', "x", ":::"]
    run_map(project, *line, "a")
    (earlier,) = list_unnamed(project)

    with Sitting.open(RunDir(project.folder / ".procsup" / earlier), at=0.0):
        done = run_map(project, *line, "b")  # while that one starts

    assert len(list_unnamed(project)) == 2
    assert "succeeded: 1 succeeded" in done.stderr


@POSIX
@pytest.mark.parametrize("name", ["a*b", "[a]", "!a", "a?{x}", "a;b c"])
def test_an_input_is_no_pattern_in_an_output(project, name):
    project.write(f"{name}.c", "x")
    line = ["--name", "m", "--outputs", "{.}.o", "--outputs", "{.}.p*", "sh", "-c"]

    run_map(project, *line, 'cp "$1" "$2.o"; cp "$1" "$2.p1"', "x", "{}", "{.}", ":::", f"{name}.c")

    (unit,) = manifest(project, "m")["units"]
    made = sorted(os.path.basename(one["path"]) for one in unit["outputs"])
    assert made == [f"{name}.o", f"{name}.p1"]


@POSIX
def test_several_inputs_of_a_unit_are_several_outputs(project):
    line = ["--name", "m", "-n", "2", "--outputs", "{}.o", "sh", "-c"]
    run_map(project, *line, 'for i; do echo x >"$i.o"; done', "x", ":::", *"abc")

    made = [len(unit["outputs"]) for unit in manifest(project, "m")["units"]]
    assert made == [2, 1]


@POSIX
def test_outputs_stand_in_the_run_file_of_a_line(project):
    line = ["--outputs", "{1.}.o", "--outputs", "{2}-{#}", "sh", "-c", "x=1", "x"]
    made = run_map(project, "--as-run-file", "-N", "2", *line, ":::", "a.c", "b.c").stdout

    project.write("run.toml", made)
    assert 'outputs = ["{in1_bare}.o", "{in2}-{number}"]' in made
    assert "map/a.c b.c: bad-output" in project.run(expect=1).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--outputs", "{foo}", "true"], "{foo} in '{foo}' is no placeholder of map"),
        (["--outputs", "{%}", "true"], "--outputs: {%} is not known before a unit starts"),
        (["--outputs", "o", "true"], "`map/a` and `map/b` write the same file, o"),
        (["--resume", "--name", "m", "true"], "with --name the same line goes on by itself"),
        (["--as-run-file", "-n2", "--outputs", "{}", "true"], "no output that stands for several"),
        (["--as-run-file", "--fresh", "true"], "leave out --resume and --fresh"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_started(project, words, said):
    assert said in run_map(project, *words, ":::", "a", "b", expect=2).stderr

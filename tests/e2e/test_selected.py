"""Selectors with real children: what runs, what is stopped, and the errors for unknown words."""

import json
import os
import sys

import pytest

from procsup import UsageError, run
from tests.e2e.test_keeping import RUN, WORKER, made, ran  # noqa: F401 - a fixture
from tests.e2e.test_retry import wait_for_ends
from tests.support.gate import Gate
from tests.support.projects import PROGRAMS, Project, finish, kill, wait_for

LATE = """
jobs = 1
[stage.first]
script = "first.py"
outputs = ["names.txt"]
[stage.later]
script = "later.py"
after = ["first"]
matrix.name.lines = "names.txt"
args = ["{name}"]
outputs = ["out-{name}.txt"]
[stage.other]
script = "later.py"
args = ["o{n}"]
outputs = ["out-o{n}.txt"]
matrix.n = [1, 2]
"""
FIRST = "open('names.txt', 'w').write('a\\nb\\n')"
LATER = "import sys; open('out-' + sys.argv[1] + '.txt', 'w').write('x')"


@pytest.fixture
def late(tmp_path):
    project = Project(tmp_path, LATE)
    project.write("first.py", FIRST)
    project.write("later.py", LATER)
    return project


def test_only_runs_units_whose_program_has_changed(made):  # noqa: F811
    made.write("worker.py", WORKER + "# mended\n")

    done = made.run("--only", "shout,!name=c")  # same outputs: no dependent unit runs

    assert ran(made) == ["shout/name=a", "shout/name=b"]
    assert "2 to run: 2 program changed" in done.stderr
    rows = made.call("status", "run", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(row)["id"] for row in rows if json.loads(row)["stale"]] == ["shout/name=c"]


def test_only_keeps_what_is_selected_and_as_it_was(made):  # noqa: F811
    made.run("--only", "shout")

    assert ran(made) == []


@pytest.mark.parametrize("fresh", [(), ("--fresh",)])
def test_only_vouches_for_no_other_unit_whose_outputs_are_gone(made, fresh):  # noqa: F811
    (made.folder / "out/a.txt").unlink()

    made.run(*fresh, "--only", "name=b", expect=3)

    assert ran(made) == (["shout/name=b"] if fresh else [])


@pytest.mark.parametrize("ended", ["skipped", "interrupted"])
def test_a_unit_that_was_to_run_afresh_and_did_not_is_not_kept_by_the_next_run(tmp_path, ended):
    write = "import sys; open(sys.argv[1], 'w').write('x')"
    project = Project(tmp_path, """
        jobs = 1
        [stage.first]
        script = "first.py"
        args = ["first.txt"]
        outputs = ["first.txt"]
        [stage.second]
        script = "second.py"
        after = ["first"]
        args = ["second.txt"]
        outputs = ["second.txt"]
        """)  # fmt: skip
    project.write("first.py", write)
    project.write("second.py", write)
    project.run()
    if ended == "skipped":
        project.write("first.py", "import sys; sys.exit(3)")
        project.run("--fresh", "--only", "first", "--only", "second", expect=1)
    else:
        project.write("first.py", "import threading as t; open('begun', 'w'); t.Event().wait(60)")
        child = project.start("run", "run.toml", "--fresh", "--only", "first", "--only", "second")
        wait_for(project, "begun")
        kill(project.supervisor_pid)
        finish(child)
    project.write("first.py", write)

    project.run()

    assert ran(project) == ["first", "second"]


def test_only_takes_units_of_a_stage_that_is_known_late(late):
    late.run("--only", "first", "--only", "name=b", expect=3)

    assert ran(late) == ["first", "later/name=b"]


@pytest.mark.parametrize("word", ["name=c", "later/name=c", "later/name=c*", "!later/name=c"])
def test_what_means_no_unit_of_a_late_stage_is_an_error_as_soon_as_that_is_known(late, word):
    done = late.run("--only", "first", "--only", "later", "--only", word, expect=2)

    assert f"{word!r} selects no unit" in done.stderr
    assert ran(late) == ["first"]
    late.run()  # successful units are kept
    assert "first" not in ran(late)


@pytest.mark.parametrize("word", ["typo", "name=c", "later/name=c*", "@failed", "!typo"])
def test_a_dry_run_knows_late_stages_if_all_before_them_are_kept(late, word):
    late.run()

    done = late.run("--dry-run", "--only", word, expect=2)

    assert f"--only {word!r} selects no unit" in done.stderr
    assert "that is known" not in done.stderr
    late.run("--dry-run", "--only", "name=b")


@pytest.mark.parametrize("word", ["typo", "name=c", "later/name=c"])
def test_what_means_nothing_until_the_end_is_said_there(late, word):
    known_when = "the units of stage later are known when first has run"
    done = late.run("--only", word, expect=3)
    assert done.stderr.splitlines()[-1].startswith(f"procsup: {word!r}")
    assert done.stderr.splitlines()[-1].endswith(known_when)

    late.write("first.py", "import sys; sys.exit(3)")
    done = late.run("--only", "first", "--only", word, "--only", "other", expect=1)
    said = done.stderr.splitlines()[-1]
    assert said.endswith("the units of stage later are not known: stage first did not succeed")


def test_the_library_raises_it(late, monkeypatch):
    monkeypatch.chdir(late.folder)
    with pytest.raises(UsageError, match="'name=c' selects no unit"):
        run("run.toml", only=["first", "name=c"], progress="none")
    with pytest.raises(UsageError, match="expected a list of selectors"):
        run("run.toml", only="first", progress="none")


def test_a_retry_of_what_is_known_late_is_checked_then_too(late):
    late.run()

    done = late.call("retry", "run", "first", "name=c")

    assert done.returncode == 2, done.stderr
    assert "'name=c' selects no unit" in done.stderr


def test_a_stage_that_cannot_be_planned_hides_no_unit_of_others(late):
    late.run()
    (late.folder / "names.txt").unlink()

    done = late.call("retry", "run", "n=1", "--here")
    assert done.returncode == 0, done.stderr
    done = late.call("retry", "run", "name=a", "--here")
    assert done.returncode == 2
    assert "'name=a' selects no unit that is known: the units of stage later" in done.stderr
    assert "`names.txt` cannot be read" in done.stderr


def test_only_may_ask_what_became_of_units(made):  # noqa: F811
    made.write("worker.py", "import sys\nif 'b' in sys.argv[1]: sys.exit(3)\n" + WORKER)
    made.write("in/b.txt", "b2\n")
    made.write("in/c.txt", "c2\n")
    made.run(expect=1)
    made.write("worker.py", WORKER)

    made.run("--only", "@failed", expect=3)

    assert ran(made) == ["shout/name=b"]
    done = made.run("--only", "@lost", expect=2)
    assert "'@lost' selects no unit" in done.stderr


def test_an_id_that_looks_like_a_pattern_means_itself_when_tried_again(tmp_path):
    project = Project(tmp_path, "")
    project.write("fails.py", "import sys; sys.exit(3)")
    text = "[stage.a]\nscript = 'fails.py'\nmatrix.s = ['a', 'b', '[ab]']\n"
    project.write("run.toml", text)
    project.run(expect=1)

    project.call("retry", "run", "a/s=[ab]")

    assert ran(project) == ["a/s=[ab]"]
    project.call("retry", "run", "s=[ab]")
    assert ran(project) == ["a/s=[ab]"]


def make_gated(tmp_path, gate):
    program = json.dumps([sys.executable, str(PROGRAMS / "gated.py"), str(gate.port), "{n}"])
    text = f"jobs = 2\n[stage.s]\ncommand = {program}\nmatrix.n = ['a', 'b', '[ab]', 'd']\n"
    return Project(tmp_path, text)


def test_single_units_of_a_live_run_are_stopped_and_the_others_go_on(tmp_path):
    with Gate() as gate:
        project = make_gated(tmp_path, gate)
        child = project.start("run", "run.toml")
        first, second = gate.meet("a"), gate.meet("b")

        wrong = project.call("stop", "run", "n=c")
        waiting = project.call("stop", "run", "n=[ab]")
        running = project.call("stop", "run", "@running,n=a", "--json")
        assert first.ends_within(0.1)  # it was gone before the verb returned

        second.exit(0)
        gate.meet("d").exit(0)
        _out, err = finish(child)

    assert (wrong.returncode, "'n=c' selects no unit" in wrong.stderr) == (2, True)
    assert (waiting.returncode, waiting.stderr) == (0, "1 waiting unit cancelled\n")
    assert (running.returncode, running.stderr) == (0, "stopping 1 running unit\n")
    assert json.loads(running.stdout)["directory"] == str(project.rundir)
    assert child.returncode == 1, err
    assert project.verdicts == {
        "s/n=a": "cancelled",
        "s/n=b": "succeeded",
        "s/n=[ab]": "cancelled",
        "s/n=d": "succeeded",
    }
    assert os.listdir(project.rundir / "control") == []


def test_a_live_run_tries_again_the_very_unit_that_is_meant(tmp_path):
    with Gate() as gate:
        project = make_gated(tmp_path, gate)
        child = project.start("run", "run.toml", "-q")
        for name in ("a", "b", "[ab]"):
            gate.meet(name).exit(3)
        wait_for_ends(project, "s/n=[ab]", 1)

        asked = project.call("retry", "run", "n=[ab]")
        gate.meet("d").exit(0)
        gate.meet("[ab]").exit(0)
        finish(child)

    assert (asked.returncode, asked.stderr) == (0, "1 unit queued again\n")
    assert project.verdicts["s/n=[ab]"] == "succeeded"


def test_columns_of_parameters_stand_in_the_rows_of_a_run_that_is_not_final(tmp_path):
    text = "[stage.s]\nscript = 'w.py'\nmatrix = { n = [0.10, 2], s = ['x'] }\n"
    project = Project(
        tmp_path, text + "[stage.t]\nscript = 'w.py'\nafter = ['s']\nmatrix.k = [1]\n"
    )
    project.write("w.py", "import sys; sys.exit(3)")
    project.run("--only", "n=2", expect=3)

    unfinished = project.call("status", "run", "--format", "csv").stdout.splitlines()
    project.run(expect=1)
    final = project.call("status", "run", "--format", "jsonl").stdout.splitlines()

    assert unfinished[0].split(",")[-3:] == ["parameters.n", "parameters.s", "parameters.k"]
    assert [line.split(",")[-3:] for line in unfinished[1:]] == [
        ["0.1", "x", ""],
        ["2", "x", ""],
        ["", "", "1"],
    ]
    rows = [json.loads(line) for line in final]
    assert [row.get("parameters.n") for row in rows] == [0.1, 2, None]


def test_parameters_are_known_without_the_run_file(tmp_path):
    project = Project(tmp_path, "[stage.s]\nscript = 'w.py'\nmatrix.n = [1, 2]\n")
    project.write("w.py", "import sys; sys.exit(3)")
    project.run("--only", "n=2", expect=3)
    (tmp_path / "run.toml").rename(tmp_path / "away.toml")

    rows = project.call("status", ".procsup/run", "--format", "jsonl")
    asked = project.call("status", ".procsup/run", "n=2", "--format", "jsonl")

    assert [json.loads(line)["parameters.n"] for line in rows.stdout.splitlines()] == [1, 2]
    assert [json.loads(line)["id"] for line in asked.stdout.splitlines()] == ["s/n=2"]

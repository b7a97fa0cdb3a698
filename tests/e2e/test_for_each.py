"""Units that follow units, for real."""

import json
import sys

import pytest

from tests.support.gate import Gate
from tests.support.projects import PROGRAMS, Project, finish, kill

STEP = """
import sys
source, target, *bad = sys.argv[1:]
if bad and bad[0] in source:
    sys.exit(7)
open(target, "w").write(open(source).read() + target + "\\n")
"""

RUN = """
vars = {{ bad = "nothing" }}
[defaults]
script = "step.py"
{more}
[stage.a]
matrix.source.glob = "in/{{name:*}}.txt"
args = ["{{source}}", "{{outputs.out}}", "{{bad}}"]
outputs = {{ out = "a/{{name}}.txt" }}
[stage.b]
for-each = "a"
args = ["{{a.outputs.out}}", "{{outputs[0]}}"]
inputs = ["{{a.outputs.out}}"]
outputs = ["b/{{name}}.txt"]
[stage.c]
for-each = "b"
args = ["{{b.outputs[0]}}", "{{outputs[0]}}"]
outputs = ["c/{{name}}.txt"]
"""


UNIT = 'command = [{{python}}, {{program}}, "{{port}}", "{}-{{{{x}}}}"]\n'
GATED = "[stage.a]\nmatrix.x = [1, 2]\n" + UNIT.format("a") + '[stage.b]\nfor-each = "a"\n'
GATED += UNIT.format("b")


def make_gated(folder, gate, text):
    """A project whose units report at the gate, as STAGE-X."""
    names = {"python": sys.executable, "program": str(PROGRAMS / "gated.py")}
    quoted = {key: json.dumps(value) for key, value in names.items()}
    return Project(folder, text.format(port=gate.port, **quoted))


def project_of(folder, *names, more=""):
    project = Project(folder, RUN.format(more=more))
    project.write("step.py", STEP)
    for name in names:
        project.write(f"in/{name}.txt", f"{name}\n")
    return project


def starts_of_last(project):
    lines = (project.rundir / "journal.jsonl").read_text().splitlines()
    records = [json.loads(line.split(" ", 2)[2]) for line in lines]
    begin = max(n for n, record in enumerate(records) if record["t"] == "begin")
    return [record["unit"] for record in records[begin:] if record["t"] == "start"]


def test_a_chain_of_three_gives_the_files_of_the_last(tmp_path):
    project = project_of(tmp_path, "x", "y")

    project.run()

    assert (tmp_path / "c/y.txt").read_text() == "y\na/y.txt\nb/y.txt\nc/y.txt\n"
    assert set(project.verdicts.values()) == {"succeeded"}
    (unit,) = [u for u in project.manifest["units"] if u["id"] == "c/name=x"]
    assert unit["parameters"] == {"source": "in/x.txt", "name": "x"}


def test_the_last_stage_starts_while_the_first_one_runs(tmp_path):
    with Gate() as gate:
        project = make_gated(
            tmp_path, gate, GATED + '[stage.c]\nfor-each = "b"\n' + UNIT.format("c")
        )
        child = project.start("run", "run.toml", "--jobs", "2")
        gate.meet("a-1").exit(0)
        gate.meet("b-1").exit(0)
        gate.meet("c-1").exit(0)
        gate.meet("a-2").exit(0)
        gate.meet("b-2").exit(0)
        gate.meet("c-2").exit(0)
        finish(child)

    assert child.returncode == 0


def test_a_failed_unit_skips_only_what_depends_on_it(tmp_path):
    project = project_of(tmp_path, "x", "y", "z")

    project.run("--var", "bad=y", expect=1)

    assert {unit for unit, verdict in project.verdicts.items() if verdict != "succeeded"} == {
        "a/name=y", "b/name=y", "c/name=y"
    }  # fmt: skip
    assert project.manifest["stages"]["c"]["skipped"] == 1

    project.write("step.py", STEP.replace("sys.exit(7)", "pass"))
    project.run("--var", "bad=y")

    assert sorted(starts_of_last(project)) == ["a/name=y", "b/name=y", "c/name=y"]
    assert project.manifest["status"] == "succeeded"


def test_only_what_depends_on_a_changed_input_runs_again(tmp_path):
    project = project_of(tmp_path, "x", "y", "z")
    project.run()

    project.run()
    assert starts_of_last(project) == []

    project.write("in/y.txt", "new\n")
    project.run()

    assert starts_of_last(project) == ["a/name=y", "b/name=y", "c/name=y"]
    assert (tmp_path / "c/y.txt").read_text().startswith("new\n")


def test_a_lost_output_in_the_middle_is_made_again_alone(tmp_path):
    project = project_of(tmp_path, "x", "y")
    project.run()

    (tmp_path / "b/x.txt").unlink()
    project.run()

    assert starts_of_last(project) == ["b/name=x"]  # its content is the same: no other unit runs


def test_a_dry_run_tells_the_whole_chain(tmp_path):
    project = project_of(tmp_path, "x", "y")
    project.run()
    project.write("in/y.txt", "new\n")

    said = project.run("--dry-run").stdout

    run = [line.split()[-1] for line in said.splitlines() if line.startswith("  run")]
    assert run == ["a/name=y", "b/name=y", "c/name=y"]


def test_an_input_that_no_unit_makes_is_missed_before_its_stage_starts(tmp_path):
    project = project_of(tmp_path, "x")
    text = (tmp_path / "run.toml").read_text()
    (tmp_path / "run.toml").write_text(
        text.replace('inputs = ["{a.', 'depends = ["nowhere"]\ninputs = ["{a.')
    )

    said = project.run(expect=1)

    assert "nowhere" in said.stderr
    assert project.verdicts["a/name=x"] == "succeeded"
    assert project.verdicts["b/name=x"] == "not-started"
    assert project.verdicts["c/name=x"] == "skipped"


BUILD = """
import os, sys
with open(sys.argv[1], "w") as file:
    file.write("#!/bin/sh\\nexit 0\\n")
os.chmod(sys.argv[1], 0o755)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")
def test_a_program_may_be_what_the_followed_unit_builds(tmp_path):
    project = Project(
        tmp_path,
        """
[stage.build]
script = "build.py"
args = ["{outputs[0]}"]
matrix.x = ["p", "q"]
outputs = ["bin/{x}"]
[stage.test]
for-each = "build"
command = ["{build.outputs[0]}"]
""",
    )
    project.write("build.py", BUILD)

    project.run()

    assert project.manifest["stages"]["test"]["succeeded"] == 2


def test_a_late_chain_goes_unit_by_unit_too(tmp_path):
    late = GATED.replace("matrix.x = [1, 2]", 'after = ["make"]\nmatrix.x.lines = "names"')
    make = '[stage.make]\nscript = "make.py"\noutputs = ["names"]\n'
    with Gate() as gate:
        project = make_gated(tmp_path, gate, late + make)
        project.write("make.py", 'open("names", "w").write("u\\nv\\n")')
        child = project.start("run", "run.toml", "--jobs", "2")
        gate.meet("a-u").exit(0)
        gate.meet("b-u").exit(0)
        gate.meet("a-v").exit(0)
        gate.meet("b-v").exit(0)
        finish(child)

    assert child.returncode == 0
    assert project.manifest["stages"]["b"]["planned"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="ends the supervisor by a signal")
def test_killed_in_mid_chain_it_goes_on_there(tmp_path):
    with Gate() as gate:
        project = make_gated(tmp_path, gate, GATED)
        child = project.start("run", "run.toml", "--jobs", "2")
        gate.meet("a-1").exit(0)
        gate.meet("a-2")
        gate.meet("b-1")
        kill(project.supervisor_pid)
        finish(child)

        child = project.start("run", "run.toml", "--jobs", "2")
        for name in ("a-2", "b-1", "b-2"):
            gate.meet(name).exit(0)
        finish(child)

    assert child.returncode == 0
    assert project.starts().count("a/x=1#1") == 1
    assert sorted(starts_of_last(project)) == ["a/x=2", "b/x=1", "b/x=2"]

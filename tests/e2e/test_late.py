"""`{cpus}`, `{memory}`, `{attempt}`, `{slot}`: set for each attempt, and no part of identity."""

import json
import sys

import pytest

from tests.runfile.builders import check_problems, early, unit
from tests.support.projects import Project

RUN = """
jobs = 2
[stage.s]
script = "w.py"
args = ["{cpus}", "{memory}", "{attempt}", "{slot}", "-j{cpus}/{attempt}"]
env = { OWN = "{slot}-{cpus}" }
cpus = CPUS
memory = "MEMORY"
retries = { times = 1, memory = "x2" }
matrix.n = [1]
outputs = ["o"]
[stage.t]
after = ["s"]
SHELL
stdout = "shell"
scratch = true
"""
WORKER = """
import json, os, sys
with open("said", "a") as log:
    log.write(json.dumps([sys.argv[1:], os.environ["OWN"], os.environ["PROCSUP_CPUS"]]) + "\\n")
open("o", "w").write("x")
sys.exit(sys.argv[3] == "1")
"""


def project(tmp_path, cpus=2, memory="1M"):
    line = "echo {cpus}:{attempt}:{slot} {scratch} x{cpus}y"
    shell = f'shell = "{line}"' if sys.platform != "win32" else 'command = ["cmd", "/c", "echo"]'
    text = RUN.replace("CPUS", str(cpus)).replace("MEMORY", memory).replace("SHELL", shell)
    made = Project(tmp_path, "capacity = { cpus = 4 }\n" + text)
    made.write("w.py", WORKER)
    return made


def read_said(made):
    return [json.loads(line) for line in (made.folder / "said").read_text().splitlines()]


def test_each_attempt_is_told_what_it_is_given(tmp_path):
    made = project(tmp_path)

    made.run()

    meg = 1 << 20
    assert read_said(made) == [
        [["2", str(meg), "1", "1", "-j2/1"], "1-2", "2"],
        [["2", str(2 * meg), "2", "1", "-j2/2"], "1-2", "2"],
    ]
    argv = made.manifest["units"][0]["argv"]
    assert argv[-5:] == ["{cpus}", "{memory}", "{attempt}", "{slot}", "-j{cpus}/{attempt}"]
    if sys.platform != "win32":
        words = (tmp_path / "shell").read_text().split()
        assert (words[0], words[2]) == ("1:1:1", "x1y")


def test_other_amounts_are_no_reason_to_run_again(tmp_path):
    made = project(tmp_path)
    made.run()

    done = project(tmp_path, cpus=1, memory="3M").run()

    assert "kept 2 of 2" in done.stderr
    assert len(read_said(made)) == 2


def test_units_that_live_at_once_have_other_slots(tmp_path):
    text = """
    jobs = 3
    [stage.s]
    script = "w.py"
    matrix.n = { range = "1..9" }
    args = ["{n}", "{slot}"]
    """
    made = Project(tmp_path, text)
    # Each unit creates a file named after its slot, which must not exist yet.
    code = (
        "import os, sys\np = 'slot-' + sys.argv[2]\nos.close(os.open(p, os.O_CREAT | os.O_EXCL))\n"
    )
    made.write("w.py", code + "print(p)\nos.unlink(p)\n")

    made.run()

    printed = [
        json.loads(line)["text"]
        for line in made.call("logs", "run", "--stdout", "--json").stdout.splitlines()
    ]
    assert len(printed) == 9
    assert set(printed) <= {"slot-1\n", "slot-2\n", "slot-3\n"}


def test_they_are_filled_in_for_a_unit_run_here_too(tmp_path):
    made = project(tmp_path)
    made.run()

    line = made.call("retry", "run", "s", "--here", "--dry-run")

    assert line.returncode == 0, line.stderr
    assert line.stdout.rstrip().endswith(f"2 {1 << 20} 3 1 -j2/3")
    assert "OWN=1-2" in line.stdout


@pytest.mark.parametrize("name", ["cpus", "memory", "slot"])
def test_a_variable_of_such_a_name_wins_as_it_always_has(name, tmp_path):
    stage = f'[stage.a]\nmodule = "m"\nargs = ["{{{name}}}"]\n'

    (made,) = early(tmp_path, f"vars.{name} = 7\n{stage}")["a"]

    assert made.argv[-1] == "7"


def test_the_fingerprint_does_not_hold_amounts(tmp_path):
    made = [
        unit(tmp_path, f'args = ["-t{{cpus}}"]\ncpus = {n}').fingerprint for n in (1, 2, '"all"')
    ]
    other = unit(tmp_path, 'args = ["-t2"]\ncpus = 2').fingerprint

    assert len(set(made)) == 1
    assert other not in made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('args = ["{cpus:03d}"]', "args[0]: {cpus:03d}: it is known when an attempt starts"),
        ('args = ["{memory}"]', "args[0]: {memory}: the stage declares no memory"),
        ('args = ["{slot.name}"]', "args[0]: {slot.name}: it is known when an attempt starts"),
        ('outputs = ["o/{attempt}"]', "outputs[0]: {attempt}: only what is started knows it"),
        ('cwd = "{slot}"', "cwd: {slot}: only what is started knows it"),
        ('id = "{cpus}"', "id: {cpus}: only what is started knows it"),
    ],
)
def test_where_it_is_not_known_that_is_said(text, said, tmp_path):
    check_problems(tmp_path, text, [f"3: stage.a.{said}"])

import json
import os
import signal
import subprocess
import sys

import pytest

from procsup.core.quantities import count_jobs
from procsup.host.machine import make_capacity
from tests.support.gate import Gate
from tests.support.projects import LIMIT_S, PROGRAMS, ROOT, Project, finish

POSIX = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX signals and pipes")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def run_map(project, *words, stdin="", expect=0):
    done = subprocess.run(
        [sys.executable, "-m", "procsup", "map", *words],
        cwd=str(project.folder),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=stdin,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=LIMIT_S,
    )
    assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def manifest(project, name):
    return json.loads((project.folder / ".procsup" / name / "manifest.json").read_text())


def test_a_command_is_run_for_each_input_behind_it(project):
    done = run_map(project, "--name", "m", "-j2", "-k", "echo", "-n", "hi", ":::", "a\n", "b c")

    assert done.stdout == "hi a\nhi b c"
    assert "m succeeded: 2 succeeded" in done.stderr
    units = manifest(project, "m")["units"]
    assert [(unit["id"], unit["parameters"]) for unit in units] == [
        ("map/a\\n", {"input": "a\n"}),
        ("map/b c", {"input": "b c"}),
    ]
    assert project.call("status", "m").returncode == 0


def test_inputs_come_by_stdin_one_a_line(project):
    done = run_map(project, "-q", "-k", "echo", "<{}>", "{}{}", stdin="a\n\nb c\n\udce9")

    assert done.stdout == "<a> aa\n<b c> b cb c\n<\udce9> \udce9\udce9\n"
    assert done.stderr == ""


def test_options_behind_the_command_are_the_command_s(project):
    done = run_map(project, "-q", "echo", "--jobs", "--help", "-q", ":::", "--json")

    assert done.stdout == "--jobs --help -q --json\n"


def test_what_units_write_is_never_mixed_and_goes_to_its_own_stream(project):
    script = "for i in 1 2 3; do echo $1; echo e$1 >&2; done"

    done = run_map(project, "-q", "-j4", "sh", "-c", script, "x", ":::", *"abcd")

    lines = done.stdout.split()
    assert [lines[at : at + 3] for at in range(0, 12, 3)] == [[c] * 3 for c in lines[::3]]
    assert sorted(lines[::3]) == list("abcd")
    errors = done.stderr.split()
    assert sorted(errors[::3]) == ["ea", "eb", "ec", "ed"]


@POSIX
def test_output_is_kept_in_the_order_of_the_inputs_if_asked_for(project):
    with Gate() as gate:
        gated = [sys.executable, "-S", str(PROGRAMS / "gated.py"), str(gate.port), "{}"]
        child = project.start("map", "-k", "-q", "-j2", "sh", "-c", 'echo "$@"; exec "$@"', "x",
                              *gated, ":::", "a", "b")  # fmt: skip
        first, second = gate.meet("a"), gate.meet("b")
        second.exit(0)
        first.exit(0)
        out, _ = finish(child)

    assert [line.split()[-1] for line in out.splitlines()] == ["a", "b"]


def test_failures_are_told_with_exit_1_and_tried_again_if_asked_for(project):
    done = run_map(project, "--name", "m", "--retries", "2", "false", ":::", "a", expect=1)

    assert "map/a: failed, exit 1 (attempt 2" in done.stderr
    assert "procsup retry m" in done.stderr
    assert "kept" not in done.stderr
    assert project.call("run", ".procsup/m/plan.jsonl").returncode == 1  # as it says


def test_a_time_limit_holds_for_each_unit(project):
    code = "import signal; signal.pause()"
    words = ["--timeout", "0.2s", "--name", "m", sys.executable, "-S", "-c", code]

    run_map(project, *words, ":::", "a", expect=1)

    assert manifest(project, "m")["units"][0]["verdict"] == "timed-out"


def test_json_is_one_object_about_the_end(project):
    done = run_map(project, "--json", "-q", "echo", ":::", "a")

    body = json.loads(done.stdout)
    assert (body["status"], body["exit_code"]) == ("succeeded", 0)


def test_a_dry_run_prints_the_commands_and_writes_nothing(project):
    done = run_map(project, "--dry-run", "gzip", "-9", ":::", "a b", "{}")

    assert done.stdout == "gzip -9 'a b'\ngzip -9 '{}'\n"
    assert list(project.folder.iterdir()) == []


@pytest.mark.parametrize("value", ["200%", "+1", "-1", "0", "3"])
def test_the_number_of_jobs_may_go_by_the_cpus(project, value):
    run_map(project, "-q", "--name", "m", "-j", value, "true", ":::", *"abcde")

    project.rundir = project.folder / ".procsup" / "m"
    (begin,) = project.records("begin")
    cpus = int(make_capacity(cpus=None, memory_bytes=None, jobs=None).cpus)
    assert begin["jobs"] == (5 if value == "0" else count_jobs(value, cpus))


def test_no_input_is_no_work(project):
    assert run_map(project, "-q", "false").stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there is no command: write it before the inputs"),
        ([":::", "a"], "or --shell if the inputs are commands (procsup map --shell ::: 'echo a'"),
        (["true", "::::"], "nothing stands behind ::::, expected files"),
        (["true", "::::", "none"], "none: expected a file that can be read: No such file"),
        (["-a", "-", "true", "::::", "-"], "stdin is two of the sources"),
        (["--glob", "*.none", "true"], "--glob: `*.none` matches no file"),
        (["-d", "", "true", ":::", "a"], "--delimiter: a delimiter has at least one character"),
        (["--colsep", "(", "true", ":::", "a"], "--colsep: '(' is no regular expression"),
        (["--csv", "true", ":::", '"a"b'], "line 1 is no CSV"),
        (["--csv", "--colsep", "ab", "true", ":::", "a"], "with --csv expected one character"),
        (["--header", ":", "true", ":::", "x", ":::", "x"], "the name 'x' occurs twice"),
        (["--header", ":", "true", ":::"], "inputs behind :::: the first input is the header"),
        (["-I", "", "true", ":::", "a"], "-I: expected a text that stands for the input"),
        (["-j", "many", "true", ":::", "a"], "--jobs: expected a number such as 4, 200%, +2 or -1"),
        (["--retries", "0", "true", ":::", "a"], "0 is not in the range x>=1"),
        (["--shell", 'echo "{}"', ":::", "a"], "{} stands in quotes"),
        (["--timeout", "soon", "true", ":::", "a"], "timeout: expected seconds or a duration"),
        (["--name", "a/b", "true", ":::", "a"], "name: the run's name names a folder"),
        (["no-such-program-at-all", ":::", "a"], "is not found on PATH"),
        (
            ["echo {}", ":::", "a"],
            "one text with blanks in it: write the program and its arguments",
        ),
        (["./no such {}", ":::", "a"], "as words, or --shell before the text"),
        (["--bogus", "true", ":::", "a"], "No such option"),
    ],
)
def test_a_wrong_command_line_is_said_and_nothing_is_started(project, words, said):
    assert said in run_map(project, *words, expect=2).stderr


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_group_that_is_no_placeholder_is_refused_in_one_sentence(project, more):
    done = run_map(project, *more, "echo", "{}", "{foo}.jpg", ":::", "a", "b", expect=2)

    sentence, _ = done.stderr.splitlines()  # the other says where the help is
    assert sentence.startswith("procsup: {foo} in '{foo}.jpg' is no placeholder of map, which has")
    assert list(project.folder.iterdir()) == []


@pytest.mark.survives("F21")
@POSIX
def test_a_closed_stdout_stops_the_run_and_procsup_dies_by_sigpipe(project):
    child = project.start("map", "-q", "--name", "m", "-j1", "sh", "-c",
                          "echo $1; read x < gate", "x",
                          ":::", "a", "b", "c")  # fmt: skip
    os.mkfifo(project.folder / "gate")
    with open(project.folder / "gate", "w"):
        pass  # the first unit ends
    assert child.stdout.readline() == "a\n"
    child.stdout.close()
    with open(project.folder / "gate", "w"):
        pass  # the second one, too: nobody reads what it wrote

    assert child.wait(LIMIT_S) == -signal.SIGPIPE
    child.stderr.close()
    project.rundir = project.folder / ".procsup" / "m"
    (closed,) = project.records("closed")
    assert closed["reason"] == "the reader of its stdout has gone"


@POSIX
def test_ctrl_c_ends_the_units_and_procsup_dies_by_it(project):
    with Gate() as gate:
        gated = [sys.executable, "-S", str(PROGRAMS / "gated.py"), str(gate.port), "{}"]
        child = project.start("map", *gated, ":::", "a")
        unit = gate.meet("a")
        child.send_signal(signal.SIGINT)
        finish(child)

        assert child.returncode == -signal.SIGINT
        assert unit.ends_within(0)


def test_a_full_stdout_is_told_and_the_work_goes_on(project):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    command = [sys.executable, "-m", "procsup", "map", "--name", "m", "echo", ":::", "a", "b"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command,
            cwd=str(project.folder),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
        )

    assert (done.returncode, "No space left" in done.stderr) == (74, True)

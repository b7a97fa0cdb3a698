"""`--halt` of `procsup map` with GNU Parallel's words, and the key `enough`."""

import pytest

from tests.cli.test_map import POSIX, manifest, run_map
from tests.support.gate import Gate
from tests.support.projects import PROGRAMS, PYTHON, Project, finish

pytestmark = POSIX
COUNTED = ["sh", "-c", 'exit "$1"', "x", ":::"]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def verdicts(project, name="m"):
    return [unit["verdict"] for unit in manifest(project, name)["units"]]


@pytest.mark.parametrize(
    ("why", "codes", "code", "expected"),
    [
        ("soon,fail=2", "01010", 1, "succeeded failed succeeded failed skipped"),
        ("soon,success=2", "10100", 0, "failed succeeded failed succeeded skipped"),
        ("soon,done=2", "000", 0, "succeeded succeeded skipped"),
        ("soon,done=2", "010", 1, "succeeded failed skipped"),
        ("soon,fail=50%", "1100", 1, "failed failed skipped skipped"),
        ("now,success=50%", "1001", 0, "failed succeeded succeeded skipped"),
        ("soon,success=5", "00", 0, "succeeded succeeded"),
        ("soon,success=2", "011", 1, "succeeded failed failed"),
        ("1", "010", 1, "succeeded failed skipped"),
        ("-1", "100", 0, "failed succeeded skipped"),
        ("never", "1100", 1, "failed failed succeeded succeeded"),
    ],
)
def test_the_rest_is_not_run_once_so_many_units_have_ended_so(project, why, codes, code, expected):
    run_map(project, "-q", "-j1", "--name", "m", "--halt", why, *COUNTED, *codes, expect=code)

    assert verdicts(project) == expected.split()


def test_now_ends_what_runs_and_the_run_says_why_it_has_succeeded(project):
    with Gate() as gate:
        gated = [PYTHON, "-S", str(PROGRAMS / "gated.py"), str(gate.port), "{}"]
        child = project.start("map", "-j2", "--name", "m", "--halt", "now,success=1", *gated,
                              ":::", *"abc")  # fmt: skip
        first, other = gate.meet("a"), gate.meet("b")
        first.exit(0)
        _, said = finish(child)
        assert other.ends_within(0)

    assert child.returncode == 0
    assert "m succeeded: 1 succeeded, 1 cancelled, 1 skipped" in said
    assert "map: enough: 1 unit succeeded" in said
    whole = manifest(project, "m")
    assert (whole["status"], whole["stages"]["map"]["enough"]) == (
        "succeeded",
        "enough: 1 unit succeeded",
    )
    causes = [unit["cause"] for unit in whole["units"]]
    assert causes[1].startswith("stopped, enough: 1 unit succeeded (")
    assert causes[2] == "not needed, enough: 1 unit succeeded"
    project.rundir = project.folder / ".procsup" / "m"
    assert project.records("stage-final")[0]["enough"] == "enough: 1 unit succeeded"
    for verb in ("verify", "wait", "status"):
        done = project.call(verb, "m")
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_line_again_is_enough_at_once(project):
    line = ["-j1", "--name", "m", "--halt", "soon,success=1", *COUNTED, *"100"]
    run_map(project, *line)

    run_map(project, *line)

    project.rundir = project.folder / ".procsup" / "m"
    assert project.starts() == ["map/1#1", "map/0#1"]


@pytest.mark.parametrize("why", ["now,success=1", "soon,fail=10%", "soon,done=3"])
def test_a_run_file_says_the_same(project, why):
    line = ["-j1", "--halt", why, *COUNTED, *"10100"]
    text = run_map(project, "--as-run-file", *line).stdout
    project.write("run.toml", text)
    code = run_map(project, "--name", "m", *line, expect=0 if "success" in why else 1).returncode

    assert project.call("run", "run.toml").returncode == code
    assert verdicts(project, "map") == verdicts(project)


@pytest.mark.parametrize("why", ["now", "fail=1", "now,fail", "soon,fail=0", "now,lost=1", "3",
                                 "soon,fail=101%", "now,fail=1.5"])  # fmt: skip
def test_what_is_no_policy_is_refused(project, why):
    said = run_map(project, "--halt", why, "true", ":::", "a", expect=2).stderr

    assert f"--halt: '{why}': expected now or soon, a comma, and fail, success or done" in said
    assert list(project.folder.iterdir()) == []

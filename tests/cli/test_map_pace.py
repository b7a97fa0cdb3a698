"""`--delay`, `--memfree`, `--load` and a `--timeout` in percent: how `procsup map` says them."""

import json

import pytest

from tests.cli.test_map import POSIX, run_map
from tests.support.projects import Project

pytestmark = POSIX
OPTIONS = ["--delay", "1m", "--memfree", "1K", "--timeout", "200%"]
SETTINGS = {"pace": {"delay": "1m", "memory": "1K"}, "timeout": "200%"}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_they_become_keys_of_the_stage(project):
    run_map(project, "-q", "--name", "m", *OPTIONS, "true", ":::", "a")

    with open(project.rundir.parent / "m" / "plan.jsonl") as plan:
        assert json.loads(plan.readline())["settings"] == SETTINGS


def test_a_run_file_has_them(project):
    text = run_map(project, "--as-run-file", *OPTIONS, "--load", "100%", "true", ":::", "a").stdout

    assert 'timeout = "200%"\npace = { delay = "1m", memory = "1K", load = "100%" }\n' in text
    project.write("written.toml", text)
    assert project.call("run", "--dry-run", "written.toml").returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--delay", "1mauto"], "pace.delay: expected seconds or a duration"),
        (["--memfree", "4000T"], "its pace waits for 4000 TB of free memory, and the machine has"),
        (["--memfree", "much"], "pace.memory: expected bytes or a size"),
        (["--load", "0"], 'pace.load: expected a number above 0 such as 4, or a share of the CPUs'),
        (["--timeout", "100%"], "expected a share of the median of more than 100%"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_started(project, options, message):
    done = run_map(project, *options, "touch", "made", ":::", "a", expect=2)

    assert message in done.stderr
    assert not (project.folder / "made").exists()

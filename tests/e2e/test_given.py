"""What a unit is given, in real runs: threads, the caller's locale, its share of a machine."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

from procsup.attempt.environment import THREAD_CAPS
from procsup.host import machine
from tests.support.projects import LIMIT_S, ROOT, Project

posix = pytest.mark.skipif(os.name == "nt", reason="programs of POSIX")
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
SHOWN = json.dumps([sys.executable, "-S", "-c", SHOW])  # a command in TOML
LOCALE = "echo LC_CTYPE: ${LC_CTYPE-unset}"  # a Python would set its own
PROCSUP = f"{shlex.quote(sys.executable)} -m procsup"


def call(project: Project, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run procsup with this environment, a PATH and nothing else."""
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "procsup", *words],
        cwd=project.folder,
        env=given,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )


def printed_by(project: Project, unit: str) -> str:
    (record,) = [one for one in project.manifest["units"] if one["id"] == unit]
    return (project.rundir / record["stdout_path"]).read_text()


def attempt_of(project: Project, unit: str) -> Dict[str, Any]:
    (record,) = [one for one in project.manifest["units"] if one["id"] == unit]
    attempt: Dict[str, Any] = record["attempts"][-1]
    return attempt


def test_units_are_told_their_threads_and_the_record_says_whose_they_are(tmp_path: Path) -> None:
    text = f"""
    capacity = {{ cpus = 6 }}
    jobs = 2
    defaults.command = {SHOWN}
    [stage.share]
    [stage.granted]
    cpus = 4
    env = {{ MKL_NUM_THREADS = "7" }}
    """
    project = Project(tmp_path, text)

    call(project, "run", "run.toml", OMP_NUM_THREADS="5", OPENBLAS_NUM_THREADS="secret")

    share, granted = (json.loads(printed_by(project, name)) for name in ("share", "granted"))
    assert (share["GOMAXPROCS"], granted["GOMAXPROCS"]) == ("3", "4")
    assert (granted["MKL_NUM_THREADS"], granted["OMP_NUM_THREADS"]) == ("7", "5")
    caps = project.manifest["thread_caps"]
    theirs = {name for name in caps if caps[name] == "environment"}
    assert theirs == {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
    assert set(caps) == set(THREAD_CAPS)
    assert [attempt_of(project, name)["threads"] for name in ("share", "granted")] == [3, 4]
    assert project.records("begin")[-1]["thread_caps"] == caps
    assert not any(b"secret" in path.read_bytes() for path in project.rundir.glob("*.json*"))


@posix
@pytest.mark.parametrize(
    ("given", "found"),
    [({}, "unset"), ({"LC_CTYPE": "C"}, "C"), ({"LC_CTYPE": "C.UTF-8"}, "C.UTF-8")],
)
@pytest.mark.parametrize("way", ["run", "detached", "by hand"])
def test_the_locale_is_the_callers(tmp_path: Path, way: str, given: Any, found: Any) -> None:
    line = LOCALE.replace("{", "{{").replace("}", "}}")
    project = Project(tmp_path, f"[stage.a]\ncommand = ['sh', '-c', '{line}']")

    run = call(project, "run", "run.toml", *(["--detach"] if way == "detached" else []), **given)
    if way == "detached":
        call(project, "wait", run.stdout.strip())
    if way == "by hand":
        said = call(project, "retry", "run", "a", "--here", **given).stdout
    else:
        said = printed_by(project, "a")

    assert said == f"LC_CTYPE: {found}\n"


@posix
def test_a_program_that_uses_the_library_hands_on_what_it_has(tmp_path: Path) -> None:
    code = f"""
import os, sys
import procsup
os.environ.pop("LC_CTYPE", None)
os.environ.update(word.split("=") for word in sys.argv[1:])
procsup.run_units([procsup.Unit(["sh", "-c", {LOCALE!r}], id="a")], name="run", progress="none")
"""
    project = Project(tmp_path)
    for words in ([], ["LC_CTYPE=C.UTF-8"]):
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-c", code, *words]
        subprocess.run(argv, cwd=tmp_path, env=environment, timeout=LIMIT_S, check=True)

        found = words[0].partition("=")[2] if words else "unset"
        assert printed_by(project, "units/a") == f"LC_CTYPE: {found}\n"


@posix
def test_a_run_inside_a_unit_has_the_units_cpus_for_its_machine(tmp_path: Path) -> None:
    line = f"{PROCSUP} map --name inner -j \"$0\" sh -c 'echo $PROCSUP_CPUS $GOMAXPROCS' x ::: 1"
    plain = line.replace('-j "$0" ', "")
    text = f"""
    capacity = {{ cpus = 8 }}
    [stage.plain]
    command = ["sh", "-c", {json.dumps(plain)}]
    cpus = 1
    [stage.jobs]
    command = ["sh", "-c", {json.dumps(line.replace("inner", "other"))}, "3"]
    cpus = 3
    """
    project = Project(tmp_path, text)

    project.run()

    units = {unit["id"]: unit for unit in project.manifest["units"]}
    said = (project.rundir / units["plain"]["stderr_path"]).read_text()
    told = "inside a unit of another run, which has 1 of "
    usable = len(machine.read_affinity(os.getpid()) or ()) or os.cpu_count() or 1
    assert said.count(told) == (usable > 1)
    assert (project.rundir / units["plain"]["stdout_path"]).read_text() == "1 1\n"
    assert told not in (project.rundir / units["jobs"]["stderr_path"]).read_text()


@posix
def test_more_than_the_outer_unit_has_is_refused_and_the_reason_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path, "[stage.a]\ncommand = ['true']\ncpus = 2\n")

    with pytest.raises(subprocess.CalledProcessError) as caught:
        call(project, "run", "run.toml", PROCSUP_CPUS="1", PROCSUP_RUN="outer")

    assert caught.value.returncode == 2
    assert (
        "needs 2 cpus of 1: ask for less, or raise `capacity` (the unit that" in caught.value.stderr
    )


@posix
def test_who_detaches_a_run_inside_a_unit_is_told_that_it_ends_with_it(tmp_path: Path) -> None:
    project = Project(tmp_path, "[stage.a]\ncommand = ['true']\n")
    warning = "inside a unit of another run: the detached run ends with that unit"

    inside = call(project, "run", "run.toml", "--detach", "-q", PROCSUP_RUN="outer")
    outside = call(project, "run", "run.toml", "--detach", "-q")

    assert (warning in inside.stderr, warning in outside.stderr) == (True, False)
    call(project, "wait", outside.stdout.strip())

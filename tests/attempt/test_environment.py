"""What a unit finds in its environment: whose thread caps, and which job server of make."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import pytest

from procsup.attempt.context import RunContext
from procsup.attempt.environment import THREAD_CAPS, Environments, find_thread_cap_origins
from procsup.attempt.jobserver import remove_dead_server
from procsup.core.outcome import AttemptId
from procsup.core.slots import make_placement
from procsup.core.spec import UnitSpec
from procsup.core.task import Rules, Task
from procsup.host import system

posix = pytest.mark.skipif(os.name == "nt", reason="FIFOs of POSIX")


def environment_of(inherited: Dict[str, str], *, cpus: float = 1.0, **unit: Any) -> Dict[str, str]:
    """Return what a unit of these settings finds; `rules` may be among them."""
    rules = Rules(**unit.pop("rules", {}))
    context = RunContext("run", inherited, lambda *_: ("", ""), Path())
    spec = UnitSpec("s/u", "s", 0, ("x",), "/", "f", **unit)
    return Environments(context).of(
        Task(AttemptId("s/u", 1), spec, make_placement("here", cpus), rules)
    )


def caps_of(env: Dict[str, str]) -> Dict[str, str]:
    return {name: env[name] for name in THREAD_CAPS}


# --- thread caps ---------------------------------------------------------------------------


@pytest.mark.parametrize("is_python", [True, False])
def test_any_unit_may_start_as_many_threads_as_it_has_cpus(is_python: bool) -> None:
    env = environment_of({}, cpus=3.9, rules={"is_python": is_python})

    assert set(caps_of(env).values()) == {env["PROCSUP_THREADS"]} == {"3"}


def test_a_unit_that_says_nothing_of_cpus_may_start_its_share_of_threads() -> None:
    assert set(caps_of(environment_of({}, threads=4)).values()) == {"4"}


def test_less_than_a_cpu_is_a_thread() -> None:
    assert set(caps_of(environment_of({}, cpus=0.25)).values()) == {"1"}


def test_the_run_file_wins_then_the_caller_then_procsup() -> None:
    inherited = {"OMP_NUM_THREADS": "5", "MKL_NUM_THREADS": "5"}

    env = environment_of(inherited, cpus=2.0, env={"MKL_NUM_THREADS": "7"})

    found = [env[f"{name}_NUM_THREADS"] for name in ("MKL", "OMP", "OPENBLAS")]
    assert found == ["7", "5", "2"]


def test_it_is_known_whose_they_are_and_not_what_they_are() -> None:
    found = find_thread_cap_origins({"OMP_NUM_THREADS": "secret"})

    assert found == {**dict.fromkeys(THREAD_CAPS, "procsup"), "OMP_NUM_THREADS": "environment"}


def test_a_thread_cap_of_an_outer_run_does_not_count_as_the_user_s() -> None:
    outer = environment_of({"GOMAXPROCS": "3"}, cpus=8.0, env={"OMP_NUM_THREADS": "5"})

    env = environment_of(outer, cpus=2.0)

    assert caps_of(env) == {
        **dict.fromkeys(THREAD_CAPS, "2"),
        "GOMAXPROCS": "3",
        "OMP_NUM_THREADS": "5",
    }


def test_only_python_gets_python_habits() -> None:
    python, other = (environment_of({}, rules={"is_python": value}) for value in (True, False))

    habits = {"PYTHONUNBUFFERED", "PYTHONFAULTHANDLER"}
    assert (habits & python.keys(), habits & other.keys()) == (habits, set())


def test_python_units_of_windows_write_utf8_unless_the_user_wants_another(monkeypatch) -> None:
    monkeypatch.setattr(system, "PYTHON_DEFAULTS", {"PYTHONIOENCODING": "utf-8"})
    rules = {"is_python": True}

    assert environment_of({}, rules=rules)["PYTHONIOENCODING"] == "utf-8"
    assert environment_of({"PYTHONIOENCODING": "a"}, rules=rules)["PYTHONIOENCODING"] == "a"
    env = {"PYTHONIOENCODING": "b"}
    assert environment_of({}, rules=rules, env=env)["PYTHONIOENCODING"] == "b"
    assert "PYTHONIOENCODING" not in environment_of({}, rules={"is_python": False})


# --- make ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (" -j4 --jobserver-auth=3,4", ""),
        ("w -j3 --jobserver-auth=3,4", "w"),
        ("-j --jobserver-fds=8,9 --jobserver-auth=8,9", ""),
        ("ks -j --jobserver-fds=3,4", "ks"),
        ("k -j4 --jobserver-auth=-2,-2 -- J=-j4", "k -- J=-j4"),
        (" -j4 --jobserver-auth=fifo:/nowhere/at/all -- FOO=a\\ b", "-- FOO=a\\ b"),
        (" --jobserver-auth=3,4 --jobs=5 -l3 --no-print-directory", " -l3 --no-print-directory"),
        ("w -j3 --jobserver-auth=3,4 -- X=\\ --\\ -j3", "w -- X=\\ --\\ -j3"),
    ],
)
def test_a_job_server_that_units_cannot_reach_is_not_told_of(flags: str, left: str) -> None:
    assert remove_dead_server(flags) == left


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "-j8",
        "kj",
        "-- A=--jobserver-auth=3,4",
        "w -- A=--jobserver-auth=3,4 B=-j3",
        " -j2 --jobserver-auth=gmake_semaphore_1",
    ],
)
def test_flags_without_such_a_server_stay_as_they_are(flags: str) -> None:
    assert remove_dead_server(flags) == flags


@posix
def test_a_job_server_that_can_be_opened_is_shared(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    flags = f" -j4 --jobserver-auth=fifo:{fifo}"

    assert remove_dead_server(flags) == flags
    fifo.unlink()
    fifo.write_text("no FIFO")
    assert remove_dead_server(flags) == ""


def test_each_variable_that_tells_of_a_server_is_looked_at() -> None:
    flags = "-j4 --jobserver-auth=3,4"
    names = ("MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS")

    env = environment_of({**dict.fromkeys(names, flags), "MAKELEVEL": "1"})
    own = environment_of({"MAKEFLAGS": flags}, env={"MAKEFLAGS": flags})

    assert [env[name] for name in (*names, "MAKELEVEL")] == ["", "", "", "1"]
    assert own["MAKEFLAGS"] == flags


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("recursive", ["", "+"])
def test_make_below_procsup_below_make_is_not_surprised(tmp_path: Path, recursive: str) -> None:
    run = f"{sys.executable} -m procsup map --name inner make"
    (tmp_path / "Makefile").write_text(f"all:\n\t{recursive}@{run} $(J) -C ::: in\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Makefile").write_text("all: a b\na b:\n\t@echo 'made $@ [$(V)]'\n")
    root = str(Path(__file__).resolve().parents[2])

    for jobs in ("", "J=-j2"):
        done = subprocess.run(
            ["make", "-j3", "V=x  y", *filter(None, [jobs])],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        said = done.stdout.decode()
        assert done.returncode == 0, said
        assert ("made a [x  y]" in said, "made b [x  y]" in said) == (True, True), said
        assert "jobserver" not in said

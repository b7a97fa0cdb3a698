"""What we were started with, and not what our own interpreter made of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from procsup.host import inherited, machine, nested

ROOT = str(Path(__file__).resolve().parents[2])
CODE = (
    "from procsup.host.inherited import get_inherited_environment as e;print(e().get('LC_CTYPE'))"
)
posix = pytest.mark.skipif(os.name == "nt", reason="PEP 538 is for POSIX")


@posix
@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ({}, None),
        ({"LANG": ""}, None),
        ({"LANG": "xx_YY.UTF-8"}, None),
        ({"LC_CTYPE": "C"}, "C"),
        ({"LC_CTYPE": "C.UTF-8"}, "C.UTF-8"),
        ({"LC_CTYPE": ""}, ""),
        ({"LC_ALL": "C"}, None),
        ({"PYTHONCOERCECLOCALE": "0"}, None),
    ],
)
def test_lc_ctype_is_as_it_was_given(given, passed_on):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOT, **given}

    said = subprocess.check_output([sys.executable, "-c", CODE], env=environment, text=True)

    assert said.strip() == str(passed_on)


@posix
def test_a_fork_knows_what_its_parent_was_given():
    code = f"import os\nif os.fork():\n    os.wait()\nelse:\n    {CODE}"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOT}

    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)

    assert said.strip() == "None"


def test_without_the_first_environment_the_locale_stays(monkeypatch):
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")
    monkeypatch.setattr(inherited, "_find_first_environment", lambda: None)

    assert inherited.get_inherited_environment() == dict(os.environ)


@pytest.mark.parametrize("made_up", ["C.UTF-8", "C.utf8", "UTF-8"])
def test_a_locale_that_was_not_given_is_not_passed_on(monkeypatch, made_up):
    monkeypatch.setenv("LC_CTYPE", made_up)
    monkeypatch.setattr(inherited, "_find_first_environment", dict)

    assert "LC_CTYPE" not in inherited.get_inherited_environment()


def test_a_locale_of_the_user_is_not_asked_about(monkeypatch):
    monkeypatch.setenv("LC_CTYPE", "de_DE.UTF-8")
    monkeypatch.setattr(inherited, "_find_first_environment", dict)

    assert inherited.get_inherited_environment()["LC_CTYPE"] == "de_DE.UTF-8"


def test_psutil_tells_what_this_process_was_started_with():
    found = machine.read_first_environment()

    assert found is not None
    assert found["PATH"]


@pytest.mark.parametrize(
    ("run", "cpus", "granted"),
    [
        ("r", "2", 2.0),
        ("r", "1.5", 1.5),
        ("r", "0.25", 1.0),  # a unit of one CPU must fit
        (None, "2", None),
        ("", "2", None),
        ("r", None, None),
        ("r", "many", None),
        ("r", "inf", None),
        ("r", "nan", None),
        ("r", "-1", None),
        ("r", "0", None),
    ],
)
def test_a_unit_s_cpus_are_the_machine_of_a_run_in_it(monkeypatch, run, cpus, granted):
    for name, value in (("PROCSUP_RUN", run), ("PROCSUP_CPUS", cpus)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)

    assert nested.read_granted_cpus() == granted


def test_the_capacity_is_not_more_than_what_was_granted_unless_it_is_given(monkeypatch):
    monkeypatch.setenv("PROCSUP_RUN", "r")
    monkeypatch.setenv("PROCSUP_CPUS", "1")

    def cpus(**wishes):
        options = {"cpus": None, "memory_bytes": None, "jobs": None, **wishes}
        return machine.make_capacity(**options).cpus

    assert [cpus(), cpus(jobs=3), cpus(cpus=5.0), cpus(jobs=1)] == [1.0, 3.0, 5.0, 1.0]
    whole = cpus(cpus=None)
    monkeypatch.setenv("PROCSUP_CPUS", "1000000")
    assert whole <= cpus() <= (os.cpu_count() or 1)

"""Where Pythons of a version are found, and the message if there is none."""

import os
import sys

import pytest

from procsup.host.names import find_python_command
from procsup.host.pythons import find_version, search
from tests.runfile.builders import load_text
from tests.support.projects import Project
from tests.support.users import EVE, give, root_only

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="other folders on Windows")


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def env(home, **more):
    return {"HOME": str(home), "PATH": str(home / "path"), **more}


def test_what_path_has_is_left_to_the_unit_to_find(home):
    put(home / "path/python3.77")
    put(home / ".pyenv/versions/3.77.1/bin/python3.77")

    assert search("3.77", env(home)).argv == ("python3.77",)


def test_the_newest_of_pyenv_counts_where_path_has_but_a_shim(home):
    put(home / "shims/python3.77")
    put(home / ".pyenv/versions/3.77.9/bin/python3.77")
    newest = put(home / ".pyenv/versions/3.77.10/bin/python3.77")
    put(home / ".pyenv/versions/3.7.12/bin/python3.7")

    assert search("3.77", env(home, PATH=str(home / "shims"))).argv == (newest,)
    elsewhere = put(home / "root/versions/3.77.1/bin/python3.77")
    assert search("3.77", env(home, PYENV_ROOT=str(home / "root"))).argv == (elsewhere,)


def test_uv_and_conda_are_looked_at(home):
    of_conda = put(home / "forge/envs/x/bin/python3.77")
    put(home / "forge/envs/x/conda-meta/python-3.77.2-h1.json")
    (home / ".conda").mkdir()
    (home / ".conda/environments.txt").write_text(f"{home}/gone\n{home}/forge/envs/x\n")
    assert search("3.77", env(home)).argv == (of_conda,)

    of_uv = put(home / ".local/share/uv/python/cpython-3.77.1-linux-x86_64-gnu/bin/python3.77")
    assert search("3.77", env(home)).argv == (of_uv,)
    other = put(home / "uv/cpython-3.77.1-x/bin/python3.77")
    assert search("3.77", env(home, UV_PYTHON_INSTALL_DIR=str(home / "uv"))).argv == (other,)


@root_only
def test_a_python_that_another_user_could_replace_is_left_out(home):
    """After `sudo`, HOME may be that of the user who called it."""
    own = put(home / "uv/cpython-3.77.1-x/bin/python3.77")
    settings = env(home, UV_PYTHON_INSTALL_DIR=str(home / "uv"))
    put(home / ".pyenv/versions/3.77.1/bin/python3.77")
    give(home / ".pyenv", EVE)

    found = search("3.77", settings)

    assert found.argv == (own,)
    assert (
        f"{home}/.pyenv/versions, where {home}/.pyenv belongs to an unknown user" in found.explained
    )
    os.chown(own, EVE, EVE)
    assert f"{own} belongs to an unknown user" in search("3.77", settings).explained
    give(home, EVE)
    assert search("3.77", settings).argv == ("python3.77",)


def test_every_place_is_named_where_there_is_none(home):
    shim = put(home / "shims/python3.77")
    found = search("3.77", env(home, PATH=str(home / "shims")))

    assert found.argv == ("python3.77",)
    assert found.explained == (
        f"looked on PATH ({shim} is a shim of pyenv), pyenv ({home}/.pyenv/versions),"
        f" uv ({home}/.local/share/uv/python),"
        f" conda (the environments of {home}/.conda/environments.txt)"
    )


def test_a_version_is_told_from_other_commands():
    assert find_version(find_python_command("3.12")) == "3.12"
    assert find_version((*find_python_command("3"), "-m")) == "3"
    for command in ((), ("python",), ("/usr/bin/python3.12",), ("tool", "python3.12")):
        assert find_version(command) is None


def test_a_run_says_where_it_has_looked(tmp_path, home):
    project = Project(tmp_path, '[stage.s]\nscript = "w.py"\npython = "3.77"\n')
    project.write("w.py", "")
    done = project.call("run", "run.toml", env={"HOME": str(home), "PYENV_ROOT": ""})

    assert done.returncode == 2
    said = f"command python3.77 is not found (looked on PATH, pyenv ({home}/.pyenv/versions), uv ("
    assert said in done.stderr


def test_a_python_that_a_tool_has_runs_the_unit_and_is_no_part_of_its_identity(
    tmp_path, home, monkeypatch
):
    real = home / ".pyenv/versions/3.77.1/bin/python3.77"
    real.parent.mkdir(parents=True)
    real.symlink_to(sys.executable)
    project = Project(tmp_path, '[stage.s]\nscript = "w.py"\npython = "3.77"\nstdout = "o"\n')
    project.write("w.py", "print(1)")
    project_env = {"HOME": str(home), "PYENV_ROOT": ""}
    assert project.call("run", "run.toml", env=project_env).returncode == 0
    before = project.manifest["units"][0]["fingerprint"]

    real.rename(home / "python3.77")
    path = {"PATH": f"{home}{os.pathsep}{os.environ['PATH']}"}
    done = project.call("run", "run.toml", env={**project_env, **path})

    assert "kept 1 of 1" in done.stderr
    assert project.manifest["units"][0]["fingerprint"] == before


@pytest.mark.parametrize("more", ['prefix = ["env"]', 'env = { PATH = "/x" }'])
def test_what_has_pythons_of_its_own_is_left_alone(more, tmp_path, home, monkeypatch):
    put(home / ".pyenv/versions/3.77.1/bin/python3.77")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    text = f'[stage.a]\nmodule = "m"\npython = "3.77"\n{more}\n'

    assert load_text(tmp_path, text).spec.stages[0].interpreter == ("python3.77",)

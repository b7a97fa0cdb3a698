"""Which Python runs a `.py`: real virtual environments, and the layouts of pipx, uv and conda."""

import json
import os
import subprocess
import sys

import pytest

from procsup.host import default_python
from procsup.host.default_python import choose
from tests.support.projects import LIMIT_S, ROOT
from tests.support.users import EVE, give, root_only

posix = pytest.mark.skipif(sys.platform == "win32", reason="other folders on Windows")
OWN = (sys.executable,)


def put(path, text="#!/bin/sh\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def choose_in(tmp_path, **environment):
    return choose({"PATH": str(tmp_path / "path"), **environment}, str(tmp_path / "own"))


@posix
def test_the_active_virtual_environment_comes_before_procsup_s_own(tmp_path):
    python = put(tmp_path / "venv/bin/python")

    chosen = choose_in(tmp_path, VIRTUAL_ENV=str(tmp_path / "venv"))

    assert chosen == ((python,), "from the virtual environment that is active")


def test_procsup_s_own_environment_is_no_news(tmp_path):
    (tmp_path / "own").mkdir()

    assert choose_in(tmp_path, VIRTUAL_ENV=str(tmp_path / "own")) == (OWN, "")
    assert choose_in(tmp_path) == (OWN, "")


@posix
def test_conda_s_base_is_always_active_and_says_nothing(tmp_path):
    python = put(tmp_path / "conda/bin/python")
    conda = {"CONDA_PREFIX": str(tmp_path / "conda")}

    assert choose_in(tmp_path, **conda, CONDA_DEFAULT_ENV="base") == (OWN, "")
    chosen = choose_in(tmp_path, **conda, CONDA_DEFAULT_ENV="work")
    assert chosen == ((python,), "from the conda environment that is active")


@posix
def test_of_two_active_environments_the_first_in_path_counts(tmp_path):
    pythons = [put(tmp_path / name / "bin/python") for name in ("venv", "conda")]
    active = {"VIRTUAL_ENV": str(tmp_path / "venv"), "CONDA_PREFIX": str(tmp_path / "conda")}
    folders = [os.path.dirname(python) for python in pythons]

    for path, python in ((folders, pythons[0]), (folders[::-1], pythons[1]), ([], pythons[0])):
        chosen = choose({**active, "PATH": os.pathsep.join(path)}, str(tmp_path))
        assert chosen.argv == (python,)


def test_an_environment_without_a_python_is_left_out_and_that_is_said(tmp_path):
    chosen = choose_in(tmp_path, VIRTUAL_ENV=str(tmp_path / "gone"))

    assert chosen.argv == OWN
    assert chosen.why.startswith("not from the virtual environment that is active: there is no ")


@posix
@pytest.mark.parametrize(
    ("tool", "receipt"), [("pipx", "pipx_metadata.json"), ("uv", "uv-receipt.toml")]
)
def test_the_python_of_a_tool_gives_way_to_that_of_path(tmp_path, tool, receipt):
    put(tmp_path / "own" / receipt)
    assert choose_in(tmp_path) == (OWN, f"PATH has no other: procsup's own is {tool}'s")

    python = put(tmp_path / "path/python3")
    assert choose_in(tmp_path) == ((python,), f"from PATH: procsup's own is {tool}'s")
    active = put(tmp_path / "venv/bin/python")
    assert choose_in(tmp_path, VIRTUAL_ENV=str(tmp_path / "venv")).argv == (active,)


@root_only
def test_root_runs_no_python_that_another_user_could_replace(tmp_path):
    """As after `sudo -E`."""
    put(tmp_path / "venv/bin/python")
    give(tmp_path / "venv", EVE)

    chosen = choose_in(tmp_path, VIRTUAL_ENV=str(tmp_path / "venv"))

    assert chosen.argv == OWN
    assert f"{tmp_path}/venv belongs to an unknown user" in chosen.why


def test_windows_has_other_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(default_python, "_IS_WINDOWS", True)
    venv, conda = put(tmp_path / "venv/Scripts/python.exe"), put(tmp_path / "conda/python.exe")

    assert choose_in(tmp_path, VIRTUAL_ENV=str(tmp_path / "venv")).argv == (venv,)
    assert choose_in(tmp_path, CONDA_PREFIX=str(tmp_path / "conda")).argv == (conda,)


# --- whole runs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def venv(tmp_path_factory):
    folder = tmp_path_factory.mktemp("venv") / "env"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=LIMIT_S
    )
    return folder


def call(tmp_path, *words, program=sys.executable, **environment):
    script = tmp_path / "prefix.py"
    if not script.exists():  # a unit may be reading it
        script.write_text("import sys; print(sys.prefix)\n")
    inherited = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    done = subprocess.run(
        [program, *words],
        cwd=str(tmp_path),
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_map_runs_a_file_in_the_active_environment_says_it_and_records_it(tmp_path, venv):
    map_it = ["-m", "procsup", "map", "--name", "m", "prefix.py", ":::", "a"]

    done = call(tmp_path, *map_it, VIRTUAL_ENV=str(venv))

    assert os.path.samefile(done.stdout.strip(), venv)
    assert f"Python of the units: {venv}" in done.stderr
    assert "(from the virtual environment that is active)\n" in done.stderr
    manifest = json.loads((tmp_path / ".procsup/m/manifest.json").read_text())
    assert manifest["units"][0]["argv"][0].startswith(str(venv))
    own = call(tmp_path, *map_it[:-1], "b")
    assert os.path.samefile(own.stdout.strip(), sys.prefix)
    assert "Python of the units" not in own.stderr


@pytest.mark.parametrize("more", [[], ["--detach"]])
def test_stages_run_there_too_and_one_that_names_its_python_does_not(tmp_path, venv, more):
    (tmp_path / "procsup.toml").write_text(
        '[stage.a]\nscript = "prefix.py"\n[stage.b]\nmodule = "prefix"\n'
        f'[stage.c]\nscript = "prefix.py"\npython = {json.dumps(sys.executable)}\n'
    )

    call(tmp_path, "-m", "procsup", "run", *more, VIRTUAL_ENV=str(venv))
    call(tmp_path, "-m", "procsup", "wait", "procsup")

    said = call(tmp_path, "-m", "procsup", "logs", "procsup", "--json", "--stdout").stdout
    prefixes = {line["unit"]: line["text"].strip() for line in map(json.loads, said.splitlines())}
    assert os.path.samefile(prefixes["a"], venv)
    assert os.path.samefile(prefixes["b"], venv)
    assert os.path.samefile(prefixes["c"], sys.prefix)


def test_a_program_that_uses_the_library_runs_them_itself(tmp_path, venv):
    code = "import procsup; procsup.map('prefix.py', ['a'], name='m', progress='none')"

    call(tmp_path, "-c", code, VIRTUAL_ENV=str(venv))

    manifest = json.loads((tmp_path / ".procsup/m/manifest.json").read_text())
    assert manifest["units"][0]["argv"][0] == sys.executable


@posix
def test_procsup_in_pipx_runs_a_file_with_python3_of_path(tmp_path, venv):
    """A faked layout: an environment with the receipt of pipx, and procsup's own packages."""
    packages = [one for one in sys.path if one.endswith("site-packages")]
    (venv / "pipx_metadata.json").write_text("{}")
    try:
        done = call(
            tmp_path, "-m", "procsup", "map", "prefix.py", ":::", "a",
            program=str(venv / "bin/python"),
            PYTHONPATH=os.pathsep.join([str(ROOT), *packages]),
            PATH=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
        )  # fmt: skip
    finally:
        (venv / "pipx_metadata.json").unlink()

    assert os.path.samefile(done.stdout.strip(), sys.prefix)
    assert f"Python of the units: {os.path.dirname(sys.executable)}" in done.stderr
    assert "(from PATH: procsup's own is pipx's)\n" in done.stderr

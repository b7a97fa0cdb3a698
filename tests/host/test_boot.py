"""How another procsup is started: with which interpreter, and from where."""

import json
import os
import re
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

import procsup
from procsup.host import boot
from tests.support.projects import LIMIT_S, ROOT


def start(**options):
    return boot.make_command_line(["run"], entry="", **options)


@pytest.mark.parametrize(
    ("executable", "frozen", "said"),
    [
        (None, False, "it has no `sys.executable`"),
        ("", False, "it has no `sys.executable`"),
        ("/usr/bin/blender", False, "its `sys.executable` is no Python: /usr/bin/blender"),
        (sys.executable, True, "it is frozen, and would start itself"),
    ],
)
def test_a_program_that_is_no_python_is_not_started_again(monkeypatch, executable, frozen, said):
    monkeypatch.delenv(boot.PYTHON, raising=False)
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)

    with pytest.raises(procsup.UsageError, match=re.escape(said)) as refused:
        start()

    assert f"PROCSUP_PYTHON to the path of a Python in which procsup {procsup.__version__}" in str(
        refused.value
    )


@pytest.mark.parametrize(
    "name", ["python", "Python3.12.exe", "pythonw.exe", "pypy3", "graalpy", "linked"]
)
def test_an_interpreter_is_known_by_its_name_or_by_that_of_what_it_links_to(
    monkeypatch, tmp_path, name
):
    (tmp_path / "python3").write_text("")
    if name == "linked":
        try:
            (tmp_path / name).symlink_to("python3")
        except OSError:
            pytest.skip("no links here")
    monkeypatch.setattr(sys, "executable", str(tmp_path / name))

    assert start()[0] == str(tmp_path / name)


def test_what_procsup_needs_is_what_its_package_says():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)

    assert sorted(boot.NEEDS) == sorted(re.findall(r'"(\w+)>=', listed.group(1)))


HOST = """
import sys
sys.path.insert(0, "lib")
import procsup
code = "import sys; print([path for path in sys.path if path.endswith('lib')])"
unit = procsup.run_units([[sys.executable, "-c", code]], progress="none").units[0]
print(unit.stdout())
"""


def test_what_only_this_program_can_find_is_found_and_is_no_concern_of_units(tmp_path):
    """As after `pip install --target lib procsup`."""
    venv.create(tmp_path / "v", symlinks=os.name != "nt")
    (tmp_path / "lib").mkdir()
    try:
        for name in ("procsup", *boot.NEEDS):
            spec = find_spec(name)
            if spec is not None:
                path = Path(spec.origin)
                path = path.parent if spec.submodule_search_locations else path
                (tmp_path / "lib" / path.name).symlink_to(path)
    except OSError:
        pytest.skip("no links here")
    (tmp_path / "host.py").write_text(HOST)
    bin_folder = "Scripts" if os.name == "nt" else "bin"
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}

    done = subprocess.run(
        [tmp_path / "v" / bin_folder / "python", "host.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_named_interpreter_needs_the_same_procsup(tmp_path, monkeypatch):
    monkeypatch.setenv(boot.PYTHON, sys.executable)
    entry = "import os; print(os.environ.get('PROCSUP_PYTHON'), sys.argv[1:])"
    same = boot.make_command_line(["a", "b"], entry=entry)
    monkeypatch.setattr(boot, "__version__", "0.0.7")
    other = boot.make_command_line(["a", "b"], entry=entry)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def answer(argv):
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.strip(), done.stderr

    assert answer(same) == (0, "None ['a', 'b']", "")
    code, said, _ = answer(other)
    assert (code, json.loads(said)["error"]["message"]) == (
        2,
        f"PROCSUP_PYTHON names {sys.executable}, whose procsup is {procsup.__version__}:"
        " install procsup 0.0.7 there",
    )

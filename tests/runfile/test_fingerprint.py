"""What makes a unit the same unit."""

import hashlib
import json
import shutil

import pytest

from procsup.runfile.units.fingerprint import Identity
from procsup.runfile.units.fingerprint import compute_fingerprint as make
from tests.runfile.builders import grow, unit

BASE = """
matrix.x = ["v"]
matrix.s.glob = "d/*.py"
args = ["{x}", "{s}", "{inputs}"]
inputs = ["in"]
depends = ["dep"]
outputs = ["out/{x}"]
env = { A = "1" }
cwd = "d"
python = "bin/python"
"""


def fingerprint(folder, text):
    grow(folder, "d/f.py")
    return unit(folder, text).fingerprint


def test_it_is_32_digits_and_always_the_same(tmp_path):
    first = fingerprint(tmp_path, BASE)

    assert first == fingerprint(tmp_path, BASE)
    assert len(first) == 32
    assert set(first) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('matrix.x = ["v"]', 'matrix.x = ["w"]'),
        ('args = ["{x}"', 'args = ["-{x}"'),
        ('inputs = ["in"]', 'inputs = ["in2"]'),
        ('depends = ["dep"]', 'depends = ["dep2"]'),
        ('env = { A = "1" }', 'env = { A = "2" }'),
        ('env = { A = "1" }', ""),
        ('cwd = "d"', ""),
        ('python = "bin/python"', 'python = "bin/python3"'),
        ('python = "bin/python"', ""),
        ('python = "bin/python"', 'python = "bin/python"\nstdin = "x"'),
        ('python = "bin/python"', 'python = "bin/python"\nprefix = ["nice"]'),
    ],
)
def test_what_changes_it(old, new, tmp_path):
    assert fingerprint(tmp_path, BASE) != fingerprint(tmp_path, BASE.replace(old, new))


@pytest.mark.parametrize(
    "more",
    [
        "timeout = 5",
        "retries = 3",
        "cpus = 2",
        'memory = "1G"',
        'secrets = ["T"]',
        'keep = "never"',
        "scratch = true",
        "linger = 0",
        'stop-signal = "INT"',
        'stop-to = "main"',
        'stop-command = ["stop", "{pid}", "{x}"]',
        'stdout = "log"',
        'pythonpath = ["src"]',
    ],
)
def test_what_leaves_it_alone(more, tmp_path):
    assert fingerprint(tmp_path, BASE) == fingerprint(tmp_path, f"{BASE}\n{more}")


@pytest.mark.parametrize(
    "text", [BASE, 'inputs = ["x"]\nargs = ["{inputs.file}"]', '[stage.a]\nscript = "x.py"']
)
def test_a_project_that_moves_keeps_its_fingerprints(text, tmp_path):
    here = tmp_path / "here"
    grow(here, "d/f.py")
    first = unit(here, text).fingerprint

    there = tmp_path / "there" / "deeper"
    shutil.copytree(here, there)

    assert unit(there, text).fingerprint == first


def test_another_python_that_runs_procsup_does_not_change_it(tmp_path, monkeypatch):
    first = fingerprint(tmp_path, "")
    monkeypatch.setattr("sys.executable", "/other/python")

    found = unit(tmp_path, "")

    assert found.argv[0] == "/other/python"
    assert found.fingerprint == first


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "caf\u00e9",
        'a "quoted" one',
        "a\\b",
        "a\tb\x01",
        "\x7f",
        "\udce9",
        "\U0001f600",
        "",
    ],
)
def test_it_is_made_of_json_in_ascii_whatever_the_text(text):
    content = [["a", text], [["x", text], ["y", [text, "1"]]], [], ".", [], [], None]
    wanted = json.dumps(content, separators=(",", ":")).encode("ascii")
    identity = Identity(["a", text], {"x": text, "y": (text, 1)}, {}, ".", [], [], None)

    assert make(identity) == hashlib.sha256(wanted).hexdigest()[:32]

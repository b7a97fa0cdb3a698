"""The figures of the house: what counts as a function, an import in one, a circle."""

import subprocess

import house
import pytest

FIRST = """
from typing import TYPE_CHECKING
from procsup import second
if TYPE_CHECKING:
    from procsup.lone import thing

class Room:
    @property
    def door(self):
        import os

        def inner():
            from procsup.lone import thing
            return thing
        return os, inner
"""
PACKAGE = {
    "procsup/__init__.py": "",
    "procsup/first.py": FIRST,
    "procsup/second/__init__.py": "def f():\n    from procsup.second import inner\n",
    "procsup/second/inner.py": "import procsup.first\n",
    "procsup/lone.py": "from procsup.first import Room\nthing = 1\n",
    "procsup/third.py": "x = 1\n" * 50,
}


def test_the_figures_of_a_small_house():
    figures = house.survey(PACKAGE).figures

    assert figures == {
        "modules": "6",
        "lines": "70",
        "files under 50 lines": "4",
        "lines of the median file": "2",
        "lines of the largest file": "50",
        "functions": "3",
        "lines of the median function": "3",
        "largest function": "7 (procsup.first: door)",
        "imports in functions": "3",
        "circles of modules": "1",
        "modules in circles": "4",
    }


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}}, [["a", "b"]]),
        ({"a": {"b"}, "b": {"a"}, "c": {"a", "d"}, "d": {"c"}}, [["a", "b"], ["c", "d"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}}, [["a", "b", "c"]]),
    ],
)
def test_a_circle_is_a_set_of_modules_that_lead_to_each_other(graph, found):
    assert house.circles(graph) == found


def test_the_package_is_read_as_it_is_and_as_it_was_in_a_commit(tmp_path, monkeypatch):
    def git(*words):
        name = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *name, *words], check=True)

    file = tmp_path / "procsup" / "one.py"
    file.parent.mkdir()
    file.write_text("x = 1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    file.write_text("x = 2\n")
    monkeypatch.setattr(house, "ROOT", tmp_path)

    assert house.at_revision("HEAD") == {"procsup/one.py": "x = 1\n"}
    assert house.now() == {"procsup/one.py": "x = 2\n"}


def test_the_house_itself_is_shown_as_a_table(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["house.py"])

    assert house.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["|  | now |", "| --- | --- |"]
    assert int(lines[2].split(" | ")[1].rstrip(" |")) > 100


def test_no_modules_of_the_package_import_each_other():
    assert house.survey(house.now()).circles == []

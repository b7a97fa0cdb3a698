"""Files given as a run file that are something else: what they are, and what to do."""

import os

import pytest

from procsup.core.text import quote_word
from procsup.errors import RunFileError
from procsup.runfile.load import load

NO_RUN_FILE = {
    "x.py": (b"import os\nprint(1)\n", "is a Python program", "`procsup map python x.py ::: INPUT"),
    "a b.sh": (b"echo a\n", "is a shell script", "`procsup map sh 'a b.sh' ::: INPUT..."),
    "x.yaml": (b"stages:\n  - s\n", "is YAML", "`procsup init` writes one"),
    "x.yml": (b"a: 1\n", "is YAML", "`procsup init` writes one"),
    "config.json": (b'{"a": 1}', "is JSON", "`procsup init` writes one"),
    "no-suffix": (b' {"a": 1}', "is JSON", "`procsup init` writes one"),
    "manifest.json": (b'{"schema": 1}', "is the manifest of a run", "`procsup status .`"),
    "Makefile": (b"all:\n\ttrue\n", "is a Makefile", "`procsup help coming-from`"),
    "rules.mk": (b"all:\n", "is a Makefile", "`procsup help coming-from`"),
    "Snakefile": (b"rule a:\n", "is a Snakefile", "`procsup help coming-from`"),
    "tool": (
        b"#!/usr/bin/env python3\nx()\n",
        "is a script",
        "`procsup map python3 tool ::: INPUT",
    ),
    "{x}": (b"#!/bin/sh\nx()\n", "is a script", "`procsup map sh '{x}' ::: INPUT"),
    "program": (b"\x7fELF\0\0\xff\xfe", "is a binary file", "`procsup init` writes one"),
    "names.txt": (b"a\nb\n", "is text", "`procsup map COMMAND < names.txt`"),
    "units.csv": (b"a,b\n1,2\n", "is a table", 'units = { csv = "units.csv" }'),
    "old.ipynb": (b'{"cells": []}', "is a notebook", "`procsup init` writes one"),
}


def find_problem(path):
    with pytest.raises(RunFileError) as caught:
        load(path)
    (only,) = caught.value.problems
    return only


@pytest.mark.parametrize("name", NO_RUN_FILE)
def test_another_file_is_named_for_what_it_is_with_a_cure(name, tmp_path, monkeypatch):
    content, kind, cure = NO_RUN_FILE[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)

    found = find_problem(name)

    assert found.startswith(f"{name}: {kind}, expected a run file (TOML): ")
    assert cure in found


def test_a_run_file_with_a_mistake_keeps_its_line(tmp_path):
    for name in ("run.toml", "run"):
        (tmp_path / name).write_text("a = 1\nb c = 2\n", encoding="utf-8")
        assert find_problem(tmp_path / name).startswith(f"{tmp_path / name}:2: not TOML: ")


def test_toml_of_another_program_is_one_problem(tmp_path):
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "x"\n[tool.ruff]\nfix = true\n', encoding="utf-8")

    assert find_problem(file) == (
        f"{file}: describes a Python project (`project`, `tool`), expected a run file, with a table"
        " [stage.NAME]: `procsup init` writes one"
    )


@pytest.mark.parametrize("key", ["stages", "comand", "jobs", "command", "job"])
def test_one_key_of_a_run_file_tells_that_it_is_meant_as_one(key, tmp_path):
    file = tmp_path / "x.toml"
    file.write_text(f'[tool]\na = 1\n[{key}]\nb = "c"\n', encoding="utf-8")

    with pytest.raises(RunFileError, match=f"x.toml:3: {key}: "):
        load(file)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("survey", "survey.toml"), ("surve.toml", "survey.toml"), ("othre", "other.toml")],
)
def test_a_name_that_is_nearly_right_is_mended(asked, meant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("survey.toml", "other.toml", "pyproject.toml"):
        (tmp_path / name).write_text("", encoding="utf-8")

    assert find_problem(asked) == f"{asked}: there is no such file (did you mean {meant}?)"


def test_the_run_files_that_are_there_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("survey.toml", "pyproject.toml"):
        (tmp_path / name).write_text("", encoding="utf-8")

    assert find_problem("procsup.toml") == (
        "procsup.toml: there is no such file: name another one (survey.toml), or `procsup init`"
        " writes one (`procsup init --list` names the kinds)"
    )


def test_an_empty_folder_has_its_cure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert find_problem("procsup.toml") == (
        "procsup.toml: there is no such file: `procsup init` writes one"
        " (`procsup init --list` names the kinds)"
    )
    assert find_problem("nowhere/x.toml").endswith("the folder nowhere does not exist")


def test_a_folder_is_answered_with_its_run_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()

    assert find_problem("in") == (
        "in: is a folder, expected a run file (it holds none: `procsup init` writes one)"
    )

    (tmp_path / "in" / "survey.toml").touch()
    inside = os.path.join("in", "survey.toml")

    assert (
        find_problem("in") == f"in: is a folder, expected a run file (such as {quote_word(inside)})"
    )

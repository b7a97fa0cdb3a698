"""The pages of documentation and the examples that ship with the package."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import procsup
from procsup.cli import init
from tests.support.projects import ROOT
from tests.support.schemas import check

DOCS = Path(procsup.__file__).parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
PROCESSES = (DOCS / "processes.md").read_text(encoding="utf-8")
FILES = (DOCS / "files.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.+?)^```$", PROCESSES + FILES, re.MULTILINE | re.DOTALL)


EXAMPLE_FILES = {
    f"examples/{name}/{file}"
    for name, example in init.EXAMPLES.items()
    for file in (init.RUN_FILE, *example.files)
}


def test_there_are_pages():
    assert PAGES


def test_every_page_is_package_data():
    patterns = re.search(
        r"^procsup = \[(.+)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert patterns is not None
    assert '"docs/*.md"' in patterns.group(1)


@pytest.mark.slow
def test_a_wheel_has_them_and_the_examples(tmp_path):
    source = tmp_path / "source"  # a build leaves things behind, which the next one takes up
    shutil.copytree(ROOT / "procsup", source / "procsup")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    argv = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(tmp_path), str(source)]
    done = subprocess.run(argv, capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode != 0 and "Could not find a version that satisfies" in said:
        pytest.skip("nowhere to get setuptools from")
    assert done.returncode == 0, said

    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"procsup/docs/{page.name}" for page in PAGES} <= set(names)
    assert {f"procsup/{name}" for name in EXAMPLE_FILES} <= set(names)


@pytest.mark.slow
def test_a_source_distribution_has_them_and_the_examples(tmp_path):
    pytest.importorskip("setuptools", minversion="64")  # as pyproject.toml has it
    source = tmp_path / "source"
    shutil.copytree(ROOT / "procsup", source / "procsup")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    code = f"import setuptools.build_meta as build; build.build_sdist({str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=str(source), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr

    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/procsup/")[2] for name in packed.getnames()}
    assert {f"docs/{page.name}" for page in PAGES} <= names
    assert not EXAMPLE_FILES - names


@pytest.mark.parametrize("key", ["linger", "stop-signal", "stop-to", "stop-command"])
def test_each_key_has_an_example(key):
    assert any(re.search(rf"^{key} *=", example, re.MULTILINE) for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_of_the_schema(example):
    check(example)


def test_what_real_programs_get_is_a_table_of_what_the_script_tries():
    section = PROCESSES.partition("## What each program gets")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| \*\*", section, re.MULTILINE)
    programs = (ROOT / "scripts" / "ends" / "programs.py").read_text(encoding="utf-8")

    assert len(rows) >= 25
    assert [row for row in rows if row not in programs] == []


def test_each_path_that_the_page_for_contributors_names_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:procsup|tests|scripts)/[\w./-]*\w|[A-Z]+\.md", text))
    new = {"procsup/cli/where.py"}  # of an example

    assert len(named) >= 40
    assert {name for name in named - new if not (ROOT / name).exists()} == set()

"""What the README shows can be typed: the blocks marked as tested are run as they stand there."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIMIT_S = 60

WORK = 'import sys; open(sys.argv[2], "w").write(open(sys.argv[1]).read().upper())\n'
TRAIN = 'import sys; open(sys.argv[3], "w").write(" ".join(sys.argv[1:3]))\n'
TRIM = '#!/bin/sh\ncat "$@"\n'
ALIGN = '#!/bin/sh\ncp "$3" "$4"\n'


def block(name):
    """The language and the text of a marked block."""
    found = re.findall(rf"<!-- tested: {name} -->\n```(\w+)\n(.*?)```", README, re.DOTALL)
    assert len(found) == 1, f"{name} is marked {len(found)} times"
    return found[0]


def run(folder, name):
    """Run a marked block in a folder and return what it wrote to stdout."""
    language, text = block(name)
    program = folder / {"python": "pipeline.py", "toml": "procsup.toml"}[language]
    program.write_text(text, encoding="utf-8")
    argv = [str(program)] if language == "python" else ["-m", "procsup", "run", "-q", "-j4"]
    done = subprocess.run(
        [sys.executable, *argv], cwd=str(folder), stdin=subprocess.DEVNULL, timeout=LIMIT_S,
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    files = {"work.py": WORK, "train.py": TRAIN, "in/a.csv": "a\n", "in/b.csv": "b\n"}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "out").mkdir()
    return tmp_path


def test_every_block_that_is_marked_is_tested():
    marked = re.findall(r"<!-- tested: ([\w-]+) -->", README)

    assert sorted(marked) == ["futures", "joblib", "make", "pool", "snakemake"]


def test_from_a_pool(folder):
    said = run(folder, "pool")

    assert [os.path.basename(line) for line in said.split()] == ["a.csv.out", "b.csv.out"]
    assert (folder / "in/b.csv.out").read_text() == "B\n"


def test_from_futures(folder):
    assert run(folder, "futures") == ""
    assert (folder / "in/a.csv.out").read_text() == "A\n"


def test_from_futures_a_failure_is_named(folder):
    (folder / "work.py").write_text("import sys; sys.exit(3 if 'b.csv' in sys.argv[1] else 0)")

    said = run(folder, "futures")

    assert "in/b.csv failed" in said


def test_from_joblib(folder):
    run(folder, "joblib")

    made = sorted(path.name for path in (folder / "models").iterdir())
    assert made == ["0.01-2.json", "0.01-3.json", "0.01-4.json", "0.1-2.json", "0.1-3.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="the shell of this block is bash")
def test_from_make(folder):
    run(folder, "make")

    assert (folder / "report.txt").read_text() == "A\nB\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the shell of this block is bash")
def test_from_snakemake(folder):
    (folder / "raw").mkdir()
    for name in ("x_R1.fq", "x_R2.fq", "y_R1.fq", "y_R2.fq"):
        (folder / "raw" / name).write_text(f"{name}\n")
    for name, text in (("trim.sh", TRIM), ("align.sh", ALIGN)):
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)

    run(folder, "snakemake")

    assert (folder / "bam/y.bam").read_text() == "y_R1.fq\ny_R2.fq\n"
    manifest = json.loads((folder / ".procsup/procsup/manifest.json").read_text())
    assert manifest["status"] == "succeeded"

"""Where a record, a run file or a list is expected, something lies that has no end or no writer."""

import os
import socket
import sys
from pathlib import Path

import pytest

from tests.support.projects import Project

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")

RUN = '[stage.s]\ncommand = ["sh", "-c", "echo out"]\n'
VERBS = (
    ("run", "run.toml"),
    ("run", "run.toml", "--dry-run"),
    ("status", "run"),
    ("logs", "run"),
    ("verify", "run"),
    ("explain", "run", "s"),
    ("retry", "run", "s"),
    ("retry", "run", "s", "--here", "--dry-run"),
    ("wait", "run", "--start-timeout", "0"),
    ("stop", "run"),
    ("list",),
    ("prune", "--yes", "--older-than", "1d"),
)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def listening(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's name is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 42)  # longer than anyone can read


KINDS = [fifo, endless, listening]


@pytest.mark.parametrize("plant", [*KINDS, sparse])
@pytest.mark.parametrize("name", ["journal.jsonl", "manifest.json", "run.lock", "stages/s.json"])
def test_every_verb_ends_with_an_answer(name: str, plant: object, tmp_path: Path) -> None:
    project = Project(tmp_path, RUN)
    project.run()
    (project.rundir / name).unlink()
    plant(project.rundir / name)  # type: ignore[operator]

    for verb in VERBS:
        done = project.call(*verb)

        assert done.returncode in range(5) or done.returncode in (74, 75), (verb, done.stderr)
        assert "Traceback" not in done.stderr, (verb, done.stderr)
        if name == "journal.jsonl" and verb[0] in ("run", "status", "logs", "verify"):
            said = ("not a regular file", "symbolic link", "only 0 are on the disk")
            assert any(one in done.stderr for one in said), done


@pytest.mark.parametrize("name", ["journal.jsonl", "manifest.json", "stages/s.json"])
def test_a_hole_behind_good_records_is_not_read_to_its_end(name: str, tmp_path: Path) -> None:
    project = Project(tmp_path, RUN)
    project.run()
    os.truncate(project.rundir / name, 1 << 42)

    for verb in VERBS:
        done = project.call(*verb)

        assert done.returncode in (0, 1, 2, 3, 4, 74), (verb, done.stderr)
        if name == "journal.jsonl" and verb[0] in ("run", "status", "logs", "verify"):
            assert "it is no record" in done.stderr + done.stdout, (verb, done)


@pytest.mark.parametrize("plant", KINDS)
def test_a_log_that_is_none_is_named_and_the_others_are_printed(
    plant: object, tmp_path: Path
) -> None:
    project = Project(tmp_path, RUN + '[stage.t]\ncommand = ["echo", "other"]\n')
    project.run()
    log = project.rundir / "logs" / "s" / "@s.1.out"
    log.unlink()
    plant(log)  # type: ignore[operator]

    done = project.call("logs", "run", "--stdout")

    assert done.returncode == 74
    assert "other" in done.stdout
    assert f"{log}: it is a" in done.stderr


@pytest.mark.parametrize("plant", KINDS)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "lines"])
def test_a_list_that_is_no_file_is_refused(kind: str, plant: object, tmp_path: Path) -> None:
    key = "matrix.x" if kind == "lines" else "units"
    project = Project(tmp_path, f'[stage.s]\ncommand = ["true"]\n{key} = {{ {kind} = "list" }}\n')
    plant(tmp_path / "list")  # type: ignore[operator]

    done = project.run(expect=2)

    assert "`list` cannot be read: it is a" in done.stderr


@pytest.mark.parametrize("kind", ["csv", "jsonl", "lines"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_list_with_a_line_without_end_is_refused(kind: str, begun: bool, tmp_path: Path) -> None:
    start = '{"a": 1}\n' if kind == "jsonl" else "a\n"
    key = "matrix.x" if kind == "lines" else "units"
    project = Project(tmp_path, f'[stage.s]\ncommand = ["true"]\n{key} = {{ {kind} = "list" }}\n')
    (tmp_path / "list").write_text(start if begun else "")
    os.truncate(tmp_path / "list", 1 << 42)

    done = project.run(expect=2)

    assert f"list:{1 + begun}: expected lines of at most 16,777,216 characters" in done.stderr
    assert "write longer values into files" in done.stderr


def test_a_row_of_a_list_without_end_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path, '[stage.s]\ncommand = ["true"]\nunits = { csv = "list" }\n')
    (tmp_path / "list").write_text("a\n" + '"\n",' * 6_000_000)

    done = project.run(expect=2)

    assert "expected rows of at most 16,777,216 characters" in done.stderr


def test_the_end_of_a_log_with_a_hole_is_printed_and_not_looked_for_to_its_start(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path, RUN)
    project.run()
    os.truncate(project.rundir / "logs" / "s" / "@s.1.out", 1 << 42)

    done = project.call("logs", "run", "--stdout", "--tail", "2")

    assert done.returncode == 0
    assert len(done.stdout) == 1 << 24
    assert "of a line of more than 16 MB only the end is shown" in done.stderr


@pytest.mark.parametrize("plant", KINDS)
def test_a_script_or_program_that_is_no_file_is_not_started(plant: object, tmp_path: Path) -> None:
    project = Project(tmp_path, '[stage.s]\nscript = "x.py"\n[stage.t]\ncommand = ["./x.py"]\n')
    plant(tmp_path / "x.py")  # type: ignore[operator]

    project.run(expect=2)

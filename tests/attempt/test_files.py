"""What is made in the run directory for the start of one unit."""

import os
import stat
from pathlib import Path

import pytest

from procsup.core.outcome import AttemptId
from procsup.errors import RecordError
from procsup.host import system
from tests.support.engines import Bench

posix_only = pytest.mark.skipif(os.name == "nt", reason="modes are POSIX")


@posix_only
def test_what_is_made_for_a_unit_is_for_its_owner_only(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir(0o750)
    lists = {str(run / "lists" / "s" / "inputs.list"): ("one",)}
    before = os.umask(0o022)
    try:
        with Bench(tmp_path, stage={"unit_file": True, "scratch": True}) as bench:
            bench.wait_for(bench.misbehave("u", "exit_with", "1", lists=lists))
    finally:
        os.umask(before)

    made = [path for name in ("lists", "scratch", "unit-files") for path in (run / name).rglob("*")]
    assert {path.name for path in made} == {"s", "inputs.list", "s.u.1", "s.u.1.json"}
    for path in (*made, run / "lists", run / "scratch", run / "unit-files"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@posix_only
@pytest.mark.parametrize("name", ["logs/s", "scratch", "unit-files", "lists", "lists/s"])
def test_a_planted_folder_is_refused_and_nothing_is_written_there(
    tmp_path: Path, name: str
) -> None:
    elsewhere, run = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.mkdir()
    lists = {str(run / "lists" / "s" / "inputs.list"): ("one",)}
    with Bench(tmp_path, stage={"unit_file": True, "scratch": True}) as bench:
        planted = Path(bench.log_paths(AttemptId("s/u", 1), "s")[0]).parent
        if name != "logs/s":
            planted = run / name
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.symlink_to(elsewhere)
        with pytest.raises(RecordError, match="symbolic link: refused"):
            bench.misbehave("u", "exit_with", "0", lists=lists)

    assert list(elsewhere.iterdir()) == []


def test_a_log_that_is_cut_under_its_writer_goes_on_without_a_hole(tmp_path: Path) -> None:
    path = str(tmp_path / "logs" / "s" / "u.1.out")
    log = system.open_log(path)
    try:
        os.write(log, b"before\n")
        os.truncate(path, 0)  # as a rotation that copies and cuts does
        os.write(log, b"after\n")
    finally:
        os.close(log)

    assert Path(path).read_bytes() == b"after\n"

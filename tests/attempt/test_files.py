"""What is made in the run directory for the start of one unit."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Dict

import pytest

from procsup.attempt.outputs import name_temporary_output
from procsup.attempt.private_files import Scratch
from procsup.attempt.start import Starter
from procsup.core.outcome import AttemptId, Exited, NotStarted
from procsup.core.spec import OutputSpec
from procsup.errors import RecordError
from procsup.host import system
from procsup.host.opened import Folder
from tests.support.engines import Bench
from tests.support.mounts import bound
from tests.support.users import EVE, give, root_only

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


@posix_only
def test_a_start_that_failed_removes_nothing_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Bench(tmp_path) as bench:
        log = Path(bench.log_paths(AttemptId("u", 1), "s")[0])

        def planted_after_the_look(_starter: object, folder: str) -> None:
            Path(folder).parent.mkdir(parents=True, exist_ok=True)
            Path(folder).symlink_to(elsewhere)

        monkeypatch.setattr(Starter, "_check_log_folder", planted_after_the_look)
        (elsewhere / log.name).write_text("theirs")
        bench.wait_for(bench.misbehave("u", "exit_with", "0"))

    assert log.parent.is_symlink()
    assert (elsewhere / log.name).read_text() == "theirs"


@posix_only
@pytest.mark.survives("F87")
@pytest.mark.parametrize("kind", ["link", pytest.param("foreign", marks=root_only)])
@pytest.mark.parametrize("streams", [{}, {"stdout": "out.txt"}, {"stderr": "err.txt"}])
def test_no_folder_of_logs_is_made_in_what_has_the_place_of_the_run_directory(
    tmp_path: Path, kind: str, streams: Dict[str, str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    files = {name: str(tmp_path / file) for name, file in streams.items()}
    with Bench(tmp_path) as bench:
        bench.run_dir.rename(tmp_path / "before")
        if kind == "link":
            bench.run_dir.symlink_to(other)
        else:
            other.rename(bench.run_dir)
            give(bench.run_dir, EVE)
        with suppress(RecordError):
            attempt = bench.misbehave("u", "exit_with", "0", **files)
            assert isinstance(bench.wait_for(attempt).exit, NotStarted)

    assert list(bench.run_dir.iterdir()) == []


def test_a_folder_of_logs_that_was_removed_is_made_again(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        bench.wait_for(bench.misbehave("u", "exit_with", "0"))
        log = Path(bench.log_paths(AttemptId("v", 1), "s")[0])
        shutil.rmtree(log.parent)
        ended = bench.wait_for(bench.misbehave("v", "exit_with", "0"))

    assert ended.exit == Exited(0)
    assert log.exists()


@pytest.mark.survives("F19")
def test_a_log_that_is_cut_under_its_writer_goes_on_without_a_hole(tmp_path: Path) -> None:
    path = str(tmp_path / "u.1.out")
    log = system.open_log(path)
    try:
        os.write(log, b"before\n")
        os.truncate(path, 0)  # as a rotation that copies and cuts does
        os.write(log, b"after\n")
    finally:
        os.close(log)

    assert Path(path).read_bytes() == b"after\n"


# --- scratch folders ------------------------------------------------------------------------


def scratch(folder: Path) -> Scratch:
    (folder / "run").mkdir()
    return Scratch.make(str(folder / "run" / "scratch" / "s.u.1"), str(folder / "run"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis").write_text("years")
    return tmp_path / "victim"


@pytest.mark.survives("F84")
def test_a_mount_left_in_a_scratch_folder_is_named_and_left_as_it_is(
    tmp_path: Path, victim: Path
) -> None:
    made = scratch(tmp_path)
    (Path(made.path) / "data").mkdir()
    (Path(made.path) / "large").touch()
    with bound(victim, Path(made.path) / "data"):
        remark = made.remove()

        assert remark == (
            f"scratch folder: {made.path}/data could not be removed: it is a mount point:"
            " unmount it first"
        )
        assert os.listdir(made.path) == ["data"]
    assert os.listdir(str(victim)) == ["thesis"]


def test_a_unit_that_leaves_a_mount_behind_succeeds_with_a_remark(
    tmp_path: Path, victim: Path
) -> None:
    (tmp_path / "probe").mkdir()
    with bound(victim, tmp_path / "probe"):
        pass  # it may be mounted here
    line = 'mkdir "$PROCSUP_SCRATCH/m" && mount --bind "$0" "$PROCSUP_SCRATCH/m"'
    with Bench(tmp_path, stage={"scratch": True}) as bench:
        attempt = bench.start("u", ("sh", "-c", line, str(victim)))
        found = bench.wait_until(lambda: bench.inspection_of(attempt))
    left = str(tmp_path / "run" / "scratch" / "s.u.1" / "m")
    subprocess.run(["umount", "-l", left], check=True)

    assert found.problem == ""
    (remark,) = found.remarks
    assert left in remark
    assert "unmount it first" in remark
    assert os.listdir(str(victim)) == ["thesis"]


@posix_only
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_a_unit_puts_in_the_place_of_its_scratch_folder_stays(
    tmp_path: Path, victim: Path, kind: str
) -> None:
    made = scratch(tmp_path)
    os.rename(made.path, tmp_path / "mine")
    if kind == "folder":
        os.rename(victim, made.path)
    else:
        os.symlink(str(victim), made.path)

    remark = made.remove()

    assert f"{made.path} could not be removed: " in remark
    assert os.listdir(made.path) == ["thesis"]


def test_a_scratch_folder_that_its_unit_removed_is_no_remark(tmp_path: Path) -> None:
    made = scratch(tmp_path)
    os.rmdir(made.path)

    assert made.remove() == ""


def test_a_scratch_folder_is_empty_whatever_a_killed_supervisor_left_under_its_name(
    tmp_path: Path,
) -> None:
    made = scratch(tmp_path)
    (Path(made.path) / "half").write_text("x")

    again = Scratch.make(made.path, str(tmp_path / "run"))

    assert os.listdir(again.path) == []
    assert again.remove() == ""
    assert os.listdir(os.path.dirname(again.path)) == []


# --- files for stdout and stderr that the user named ----------------------------------------


@pytest.mark.survives("F85")
@posix_only
def test_a_planted_file_for_stdout_is_replaced_so_that_its_planter_changes_nothing(
    tmp_path: Path,
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    target = str(shared / "out.txt")
    planted = Path(name_temporary_output(target, AttemptId("u", 1)))
    planted.write_text("planted")
    planted.chmod(0o666)
    with planted.open("r+") as held, Bench(tmp_path) as bench:
        attempt = bench.start("u", ("sh", "-c", "echo result"), stdout=target)
        bench.wait_until(lambda: bench.inspection_of(attempt))
        held.write("changed afterwards")

    assert Path(target).read_text() == "result\n"
    assert stat.S_IMODE(os.stat(target).st_mode) & 0o022 == 0


@posix_only
def test_a_planted_link_for_stdout_is_replaced(tmp_path: Path, victim: Path) -> None:
    target = str(tmp_path / "out.txt")
    os.symlink(str(victim / "thesis"), name_temporary_output(target, AttemptId("u", 1)))
    with Bench(tmp_path) as bench:
        attempt = bench.start("u", ("sh", "-c", "echo result"), stdout=target)
        bench.wait_until(lambda: bench.inspection_of(attempt))

    assert Path(target).read_text() == "result\n"
    assert (victim / "thesis").read_text() == "years"


SWAP = (
    "import os, sys; os.rename(sys.argv[1], sys.argv[1] + '~'); open(sys.argv[1], 'w').write('x')"
)


@posix_only
@pytest.mark.parametrize("mode", [0o777, 0o700])
def test_a_file_that_replaced_a_written_one_is_published_only_where_others_may_not_write(
    tmp_path: Path, mode: int
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    target = str(shared / "out.txt")
    temporary = name_temporary_output(target, AttemptId("u", 1))
    with Bench(tmp_path) as bench:
        argv = (sys.executable, "-S", "-c", SWAP, temporary)
        attempt = bench.start("u", argv, stdout=target, outputs=(OutputSpec(target),))
        found = bench.wait_until(lambda: bench.inspection_of(attempt))

    if mode == 0o700:
        assert found.problem == ""
        return
    assert "out.txt: another file has the place of the one that was written" in found.problem
    assert not Path(target).exists()


@root_only
def test_a_failed_unit_s_file_is_not_moved_to_another_user_s_folder(tmp_path: Path) -> None:
    target = str(tmp_path / "out.txt")
    with Bench(tmp_path) as bench:
        log = Path(bench.log_paths(AttemptId("u", 1), "s")[0])
        attempt = bench.start("u", ("sh", "-c", "exit 1"), stdout=target)
        give(log.parent, EVE)
        ended = bench.wait_for(attempt)

    assert ended.stdout_path == name_temporary_output(target, attempt)
    assert not log.exists()


@posix_only
def test_what_took_the_place_of_a_failed_unit_s_file_does_not_become_its_log(
    tmp_path: Path,
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    target = str(shared / "out.txt")
    temporary = name_temporary_output(target, AttemptId("u", 1))
    with Bench(tmp_path) as bench:
        argv = (sys.executable, "-S", "-c", f"{SWAP}; sys.exit(3)", temporary)
        attempt = bench.start("u", argv, stdout=target)
        assert bench.wait_for(attempt).exit == Exited(3)
        assert not Path(bench.log_paths(attempt, "s")[0]).exists()

    assert Path(temporary).read_text() == "x"


@posix_only
@pytest.mark.parametrize("planted", ["link", "file", "folder", "fifo"])
@pytest.mark.parametrize("far", [False, True])
def test_what_is_put_in_its_place_after_the_look_does_not_become_the_log(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch, planted: str, far: bool
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    target = str(shared / "out.txt")
    temporary = Path(name_temporary_output(target, AttemptId("u", 1)))
    take = Folder.take

    def and_plant(folder: Folder, source: Folder, name: str, new: str) -> None:
        if source.path == str(shared):
            plant()
        if far:
            raise OSError(errno.EXDEV, "another file system")
        take(folder, source, name, new)

    def plant() -> None:
        temporary.rename(shared / "away")
        if planted == "link":
            temporary.symlink_to(victim / "thesis")
        elif planted == "folder":
            temporary.mkdir()
        elif planted == "fifo":
            os.mkfifo(temporary)
        else:
            temporary.write_text("planted")

    monkeypatch.setattr(Folder, "take", and_plant)
    with Bench(tmp_path) as bench:
        attempt = bench.start("u", ("sh", "-c", "echo half; exit 3"), stdout=target)
        ended = bench.wait_for(attempt)
        log = Path(bench.log_paths(attempt, "s")[0])

    assert ended.exit == Exited(3)
    assert not os.path.lexists(log)
    assert (victim / "thesis").read_text() == "years"


@posix_only
@pytest.mark.parametrize("mode", [0o777, 0o700])
def test_a_file_that_was_not_published_is_the_log_also_on_another_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    target = str(shared / "out.txt")

    def far(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(Folder, "take", far)
    with Bench(tmp_path) as bench:
        attempt = bench.start("u", ("sh", "-c", "echo half; exit 3"), stdout=target)
        bench.wait_for(attempt)
        log = Path(bench.log_paths(attempt, "s")[0])

    assert log.read_text() == "half\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert os.listdir(shared) == []

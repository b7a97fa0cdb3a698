"""What an attempt without a good end left is moved into the run directory, and nothing else."""

import os
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest
from msgspec.structs import replace

from procsup.attempt import aside
from procsup.attempt.aside import put_aside
from procsup.attempt.outputs import name_temporary_output
from procsup.core.events import Start
from procsup.core.outcome import AttemptId, NotStarted, Reading
from procsup.core.slots import make_placement
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.core.task import Aside, Rules, Task
from procsup.errors import RecordError
from procsup.paths.identity import read_file
from tests.support.engines import Bench
from tests.support.files import needs_links, written
from tests.support.users import BOB, EVE, as_user, give, open_folder, root_only

LONG_AGO = 1.0
LATER = time.time() + 3600


class Trial:
    """A unit in a folder whose attempt 1 has failed."""

    def __init__(self, folder: Path, *outputs: str, **fields: Any) -> None:
        self.folder = folder
        self.place = folder / "run" / "failed" / "s" / "a.1"
        declared = tuple(self._declared(path) for path in outputs)
        self.unit = UnitSpec("s/a", "s", 0, ("x",), str(folder), "f", outputs=declared, **fields)

    def _declared(self, path: str) -> OutputSpec:
        kind = "glob" if "*" in path else "folder" if path.endswith("/") else "file"
        return OutputSpec(f"{self.folder}/{path}".replace("/", os.sep), kind=kind)

    def put(self, *vouched: Reading, since: float = LONG_AGO, **rules: Any) -> Sequence[str]:
        told = Aside(1, since)
        task = Task(
            AttemptId("s/a", 2),
            self.unit,
            make_placement("here", 1.0),
            Rules(folder=str(self.folder), **rules),
            told,
            vouched,
        )
        run_dir = self.folder / "run"
        run_dir.mkdir(exist_ok=True)
        return put_aside(task, self.place, str(run_dir))

    def moved(self) -> List[str]:
        return files_in(self.place)

    def left(self) -> List[str]:
        return [one for one in files_in(self.folder) if not one.startswith("run/")]


def files_in(folder: Path) -> List[str]:
    found = (Path(at) / name for at, _, names in os.walk(str(folder)) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def reading(path: str) -> Reading:
    found = read_file(path, checksum="auto")
    assert found is not None
    return found


def test_files_of_all_kinds_of_outputs_are_moved_by_their_paths(tmp_path):
    trial = Trial(tmp_path, "out/", "*.log", "one", "never")
    for name in ("out/a", "out/sub/b", "x.log", "one", "other"):
        written(tmp_path / name, name)

    said = trial.put()

    assert trial.moved() == ["one", "out/a", "out/sub/b", "x.log"]
    assert trial.left() == ["other"]
    assert (trial.place / "out" / "sub" / "b").read_text() == "out/sub/b"
    assert said == (
        "moved 4 files that attempt 1 left to run/failed/s/a.1: out/a, out/sub/b, x.log and 1 more",
    )
    assert trial.put() == ()


def test_what_was_there_before_the_attempt_stays(tmp_path):
    trial = Trial(tmp_path, "out/")
    written(tmp_path / "out" / "notes")

    assert trial.put(since=LATER) == ()
    assert trial.left() == ["out/notes"]


def test_what_the_last_success_vouches_for_stays_while_it_is_intact(tmp_path):
    trial = Trial(tmp_path, "out/")
    paths: Dict[str, str] = {n: written(tmp_path / "out" / n) for n in ("kept", "same", "grown")}
    vouched = [reading(path) for path in paths.values()]
    written(tmp_path / "out" / "grown", "longer than before")
    written(tmp_path / "out" / "fresh")
    os.unlink(paths["same"])
    written(tmp_path / "out" / "same")  # made again, with the same content

    trial.put(*vouched)

    assert trial.moved() == ["out/fresh", "out/grown"]
    assert trial.left() == ["out/kept", "out/same"]


def test_what_the_unit_reads_stays_but_not_all_outputs_in_a_folder_that_it_reads(tmp_path):
    paths = [written(tmp_path / name) for name in ("out/db", "in/x", "conf")]
    fields = {"inputs": (paths[0], str(tmp_path / "in")), "depends": (paths[2],)}
    trial = Trial(tmp_path, "out/", "in/x", "conf", **fields)

    trial.put()

    assert trial.moved() == ["in/x"]
    assert trial.left() == ["conf", "out/db"]


@needs_links
def test_a_link_to_nothing_is_moved_too(tmp_path):
    trial = Trial(tmp_path, "out/")
    written(tmp_path / "out" / "a")
    os.symlink("nowhere", str(tmp_path / "out" / "latest"))

    trial.put()

    assert os.path.islink(str(trial.place / "out" / "latest"))
    assert os.listdir(str(tmp_path / "out")) == []


def test_streams_that_were_never_published_are_moved_too(tmp_path):
    target = str(tmp_path / "out.txt")
    trial = Trial(tmp_path, stdout=target)
    written(Path(name_temporary_output(target, AttemptId("s/a", 1))), "half")
    written(Path(name_temporary_output(target, AttemptId("s/a", 7))), "another's")

    trial.put()

    assert trial.moved() == [".out.txt.procsup-1"]


def test_outputs_outside_of_the_run_files_folder_have_a_place_too(tmp_path):
    (tmp_path / "project").mkdir()
    trial = Trial(tmp_path / "project", "../far/x")
    path = written(tmp_path / "far" / "x")
    trial.unit = UnitSpec("s/a", "s", 0, ("x",), "/", "f", outputs=(OutputSpec(path),))

    trial.put()

    (moved,) = trial.moved()
    assert moved.startswith("@/")
    assert moved.endswith("/far/x")


def test_what_cannot_be_moved_is_left_and_named(tmp_path, monkeypatch):
    trial = Trial(tmp_path, "out/", "one")
    for name in ("out/a", "one"):
        written(tmp_path / name)
    rename = os.rename

    def refusing(source: str, target: str, **folder: int) -> None:
        if source.endswith("one"):
            raise OSError(18, "Invalid cross-device link")
        rename(source, target, **folder)

    monkeypatch.setattr(aside.os, "rename", refusing)
    assert trial.put() == (
        "moved 1 file that attempt 1 left to run/failed/s/a.1: out/a",
        "could not move 1 file that attempt 1 left: one (Invalid cross-device link)",
    )
    assert trial.left() == ["one"]
    written(tmp_path / "out" / "a", "again")
    assert "out/a (" in trial.put()[0]
    assert (tmp_path / "out" / "a").read_text() == "again"


@needs_links
def test_a_link_that_was_made_is_moved_and_what_it_leads_to_stays(tmp_path):
    trial = Trial(tmp_path, "out/")
    written(tmp_path / "data")
    (tmp_path / "out").mkdir()
    os.symlink(str(tmp_path / "data"), str(tmp_path / "out" / "link"))

    trial.put()

    assert trial.moved() == ["out/link"]
    assert trial.left() == ["data"]


@root_only
@pytest.mark.parametrize("whose", [EVE, BOB])
def test_a_link_of_another_user_leads_to_no_file_that_is_moved(whose):
    with open_folder() as folder:
        trial = Trial(folder, "shared/*/result.txt")
        written(folder / "private" / "result.txt")
        written(folder / "shared" / "own" / "result.txt")
        give(folder, BOB)
        (folder / "private").chmod(0o700)
        (folder / "shared").chmod(0o777)
        link = folder / "shared" / "x"
        as_user(EVE, lambda: link.symlink_to("../private"))
        os.lchown(link, whose, whose)

        said = as_user(BOB, trial.put)

        moved = ["shared/own/result.txt"] + ["shared/x/result.txt"] * (whose == BOB)
        assert trial.moved() == moved
        assert (folder / "private" / "result.txt").exists() == (whose == EVE)
    if whose == EVE:
        assert "could not move 1 file that attempt 1 left: shared/x/result.txt" in said[1]
        assert f"({link} is a link that belongs to an unknown user (uid {EVE}))" in said[1]


@root_only
def test_a_folder_that_is_exchanged_for_a_link_after_the_look_leads_nowhere(monkeypatch):
    with open_folder() as folder:
        trial = Trial(folder, "shared/own/result.txt")
        written(folder / "private" / "result.txt")
        written(folder / "shared" / "own" / "result.txt")
        look = aside._find_left

        def and_swap(*args: Any) -> Any:
            found = list(look(*args))
            (folder / "shared" / "own").rename(folder / "shared" / "away")
            (folder / "shared" / "own").symlink_to("../private")
            os.lchown(folder / "shared" / "own", EVE, EVE)
            return found

        monkeypatch.setattr(aside, "_find_left", and_swap)

        (said,) = trial.put()

        assert "could not move 1 file" in said
        assert (folder / "private" / "result.txt").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_a_place_that_leads_elsewhere_ends_the_run_and_nothing_is_moved(tmp_path):
    trial = Trial(tmp_path, "one")
    written(tmp_path / "one")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "failed").mkdir(parents=True)
    (tmp_path / "run" / "failed" / "s").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(RecordError, match="failed/s is a symbolic link: refused"):
        trial.put()

    assert os.listdir(str(tmp_path / "elsewhere")) == []
    assert (tmp_path / "one").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_the_place_is_for_the_owner_only(tmp_path):
    trial = Trial(tmp_path, "one")
    written(tmp_path / "one")

    trial.put()

    for folder in (tmp_path / "run" / "failed", tmp_path / "run" / "failed" / "s"):
        assert folder.stat().st_mode & 0o077 == 0


def test_an_attempt_begins_without_them_and_says_so_also_if_an_earlier_start_was_refused(tmp_path):
    written(tmp_path / "half")
    declared = (OutputSpec(str(tmp_path / "half")),)
    told = Aside(1, LONG_AGO)

    with Bench(tmp_path) as bench:
        for number, argv in [(2, ("/nowhere/at/all",)), (3, (sys.executable, "-c", "pass"))]:
            order = bench.order("s/a", argv, number=number, outputs=declared)
            bench.engine.start(Start(replace(order.task, aside=told)))
            ended = bench.wait_for(AttemptId("s/a", number))
            assert isinstance(ended.exit, NotStarted) == (number == 2)

    assert not (tmp_path / "half").exists()
    said = "moved 1 file that attempt 1 left to run/failed/s/a.1: half"
    assert ended.remarks == (said,)

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from procsup.attempt import outputs
from procsup.attempt.outputs import inspect, name_temporary_output, take_stamps
from procsup.core.events import Inspected
from procsup.core.keep import Change
from procsup.core.outcome import AttemptId, LeftoverFiles, Reading, Verdict
from procsup.core.records import End
from procsup.core.slots import make_placement
from procsup.core.spec import OutputSpec, RunSpec, StageSpec, UnitSpec
from procsup.core.task import Task, make_rules
from procsup.host import leases, readings
from procsup.host.opened import Identity, make_identity
from procsup.paths import identity
from tests.support.files import needs_links

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")

ATTEMPT = AttemptId("s/a", 3)
STAGE = StageSpec("s")
UNWRITTEN = "was not written (unchanged since before the start)"
EMPTY = "is empty (if that is right, declare it with empty = true)"


class Trial:
    """A unit in a folder: `before` it starts, then what it does, then what is `found`."""

    def __init__(self, folder: Path, *declared: OutputSpec, **fields: object) -> None:
        self.folder = folder
        self.unit = UnitSpec("s/a", "s", 0, ("x",), str(folder), "f", outputs=declared, **fields)
        self.checksum = "auto"
        self.sync = False
        self.before = take_stamps(self.unit)
        self.written: Dict[str, Identity] = {}
        self.last: Tuple[Reading, ...] = ()  # the outputs of the last success

    def again(self) -> None:
        """The attempt succeeds, and another one begins."""
        found = self.inspect()
        assert found.problem == ""
        self.last = found.outputs
        self.before = take_stamps(self.unit)

    def inspect(self) -> Inspected:
        spec = RunSpec(
            name="r",
            file=None,
            folder=str(self.folder),
            directory=str(self.folder),
            stages=(STAGE,),
            checksum=self.checksum,
            sync_outputs=self.sync,
        )
        rules = make_rules(spec, STAGE)
        task = Task(ATTEMPT, self.unit, make_placement("here", 1.0), rules, vouched=self.last)
        return inspect(task, self.before, self.written)

    def problem(self) -> str:
        found = self.inspect()
        assert bool(found.problem) != bool(found.outputs)
        return found.problem

    def vouched(self) -> List[str]:
        found = self.inspect()
        assert found.problem == ""
        return [os.path.relpath(r.path, str(self.folder)).replace("\\", "/") for r in found.outputs]


@pytest.fixture
def put(tmp_path):
    def write(name: str, text: str = "data") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def one(folder: Path, name: str = "out/a.json", **fields: object) -> Trial:
    kind = "glob" if "*" in name else "folder" if name.endswith("/") else "file"
    path = os.path.join(str(folder), *name.split("/")) if kind == "file" else f"{folder}/{name}"
    return Trial(folder, OutputSpec(path, kind=kind, **fields))


# --- one file: written by the attempt, or not ---


def test_an_output_made_by_the_attempt_is_vouched_for(tmp_path, put):
    trial = one(tmp_path)
    path = put("out/a.json")

    found = trial.inspect()

    assert found.problem == ""
    (reading,) = found.outputs
    assert (os.path.normpath(reading.path), reading.size) == (path, 4)
    assert reading.mtime_ns == os.stat(path).st_mtime_ns
    assert reading.sha256 is not None


def test_an_output_that_was_not_made_is_a_problem(tmp_path):
    assert one(tmp_path).problem() == "output out/a.json: was not made"


def test_a_stale_output_is_a_problem(tmp_path, put):
    put("out/a.json")

    assert one(tmp_path).problem() == f"output out/a.json: {UNWRITTEN}"


def test_an_output_removed_by_the_attempt_is_a_problem(tmp_path, put):
    path = put("out/a.json")
    trial = one(tmp_path)
    os.unlink(path)

    assert trial.problem() == "output out/a.json: was not made"


@pytest.mark.survives("F54")
def test_the_same_size_at_the_same_time_is_still_a_write(tmp_path, put):
    path = put("out/a.json", "old!")
    was = os.stat(path)
    trial = one(tmp_path)
    fresh = put("out/fresh", "new!")
    os.replace(fresh, path)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))

    assert os.stat(path).st_mtime_ns == was.st_mtime_ns
    assert trial.vouched() == ["out/a.json"]


@needs_links
@pytest.mark.parametrize("target", ["raw/x", "raw"])
def test_a_link_made_again_with_the_same_target_is_written(tmp_path, put, target):
    put("raw/x")
    (tmp_path / "out").mkdir()
    link = tmp_path / "out/link"
    link.symlink_to(tmp_path / target)
    stale, trial = one(tmp_path, "out/link"), one(tmp_path, "out/link")
    assert stale.problem() == f"output out/link: {UNWRITTEN}"

    (tmp_path / "out/new").symlink_to(tmp_path / target)  # as `ln -sfn` does
    os.replace(tmp_path / "out/new", link)

    assert trial.vouched() == ["out/link" if target == "raw/x" else "out/link/x"]


@needs_links
def test_a_file_written_through_a_link_that_stays_is_written(tmp_path, put):
    path = put("raw/x")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link").symlink_to(path)
    trial = one(tmp_path, "out/link")
    put("raw/x", "other")

    assert trial.vouched() == ["out/link"]


def test_a_rewrite_in_place_is_a_write(tmp_path, put):
    path = put("out/a.json", "old")
    os.utime(path, ns=(0, 0))
    trial = one(tmp_path)
    put("out/a.json", "new")

    assert trial.vouched() == ["out/a.json"]


def test_deleting_and_making_again_is_a_write(tmp_path, put):
    path = put("out/a.json")
    trial = one(tmp_path)
    os.utime(path, ns=(0, 0))
    os.unlink(path)
    put("out/a.json")

    assert trial.vouched() == ["out/a.json"]


def test_a_touch_is_a_write(tmp_path, put):
    path = put("out/a.json")
    trial = one(tmp_path)
    os.utime(path, ns=(0, 0))

    assert trial.vouched() == ["out/a.json"]


def test_an_empty_output_is_a_problem_unless_declared_so(tmp_path, put):
    strict, lenient = one(tmp_path), one(tmp_path, empty=True)
    put("out/a.json", "")

    assert strict.problem() == f"output out/a.json: {EMPTY}"
    assert lenient.vouched() == ["out/a.json"]


def test_an_unchanged_output_is_fine_where_declared_so(tmp_path, put):
    put("out/a.json")

    assert one(tmp_path, unchanged=True).vouched() == ["out/a.json"]


def test_a_missing_optional_output_is_fine(tmp_path):
    assert one(tmp_path, optional=True).vouched() == []


def test_an_old_optional_output_is_not_vouched_for(tmp_path, put):
    put("out/a.json")

    assert one(tmp_path, optional=True).vouched() == []


def test_an_output_without_a_stamp_from_before_the_start_is_a_problem(tmp_path, put):
    trial = one(tmp_path)
    trial.before = {}
    put("out/a.json")

    assert "so that its writer is unknown" in trial.problem()


def test_an_output_that_could_not_be_looked_at_before_is_left_out(tmp_path, put, monkeypatch):
    def refuse(_path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", _path)

    put("out/a.json")
    with monkeypatch.context() as patch:
        patch.setattr(identity, "read_stamp", refuse)
        trial = one(tmp_path)

    assert trial.before == {}
    assert "so that its writer is unknown" in trial.problem()


def test_an_unreadable_output_is_a_problem_and_no_exception(tmp_path, put, monkeypatch):
    def refuse(path: str, *_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    trial = one(tmp_path)
    put("out/a.json")
    monkeypatch.setattr(identity, "_read_content", refuse)

    assert trial.problem() == "output out/a.json: Permission denied"


def test_all_problems_are_told_at_once_the_first_five_in_words(tmp_path):
    trial = Trial(tmp_path, *(OutputSpec(f"{tmp_path}/{n}") for n in "abcdefg"))

    problem = trial.problem()

    assert problem.startswith("output a: was not made; output b: was not made; ")
    assert problem.endswith("; and 2 more")
    assert problem.count("was not made") == 5


def test_a_path_outside_of_the_run_files_folder_is_shown_whole(tmp_path):
    trial = Trial(tmp_path / "project", OutputSpec(str(tmp_path / "elsewhere")))

    assert trial.problem() == f"output {(tmp_path / 'elsewhere').as_posix()}: was not made"


# --- links and other kinds of file ---


@needs_links
def test_a_link_to_a_written_file_is_an_output(tmp_path, put):
    trial = one(tmp_path)
    put("store/blob")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.json").symlink_to("../store/blob")

    assert trial.vouched() == ["out/a.json"]


@needs_links
def test_a_link_to_an_old_file_that_stays_is_no_write(tmp_path, put):
    put("store/blob")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.json").symlink_to("../store/blob")

    assert one(tmp_path).problem() == f"output out/a.json: {UNWRITTEN}"


@needs_links
def test_a_dangling_link_is_a_problem(tmp_path):
    trial = one(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.json").symlink_to("nowhere")

    assert trial.problem() == "output out/a.json: is a link to nothing"


@pytest.mark.survives("F48")
@needs_posix
def test_a_fifo_is_no_output(tmp_path):
    trial = one(tmp_path, "fifo", empty=True)
    os.mkfifo(str(tmp_path / "fifo"))

    assert trial.problem() == "output fifo: is not a regular file"


def test_an_empty_folder_where_a_file_was_declared_is_a_problem(tmp_path):
    trial = one(tmp_path)
    (tmp_path / "out/a.json").mkdir(parents=True)

    assert trial.problem() == "output out/a.json: has no files in it"


# --- folders and globs ---


def test_what_the_attempt_did_not_write_is_counted_and_the_first_of_it_named(tmp_path, put):
    declared = [
        OutputSpec(f"{tmp_path}/out/", kind="folder"),
        OutputSpec(f"{tmp_path}/*.log", kind="glob", optional=True),
        OutputSpec(os.path.join(str(tmp_path), "bin")),
        OutputSpec(os.path.join(str(tmp_path), "kept"), unchanged=True),
        OutputSpec(os.path.join(str(tmp_path), "out", "note"), unchanged=True),
    ]
    for name in ("out/z", "out/note", "out/sub/a", "x.log", "bin/tool", "kept", "other"):
        put(name)
    trial = Trial(tmp_path, *declared)
    for name in ("out/new", "bin/fresh"):
        put(name)

    found = trial.inspect()

    left = LeftoverFiles(4, ("bin/tool", "out/sub/a", "out/z"))
    assert (found.problem, found.leftover_files) == ("", left)
    assert trial.vouched() == ["out/new", "bin/fresh", "kept", "out/note"]
    for name in ("out/z", "out/sub/a", "x.log", "bin/tool"):
        put(name, "anew")
    assert trial.inspect().leftover_files is None


def test_a_folder_needs_a_new_file_and_is_those_that_were_written(tmp_path, put):
    put("out/old")
    trial = one(tmp_path, "out/")
    assert trial.problem() == f"output out/: {UNWRITTEN}"
    put("out/sub/new")

    assert trial.vouched() == ["out/sub/new"]
    put("out/old", "again")
    assert trial.vouched() == ["out/old", "out/sub/new"]


@pytest.mark.parametrize("name", ["out/", "out", "out/*"])
def test_an_unchanged_folder_is_what_was_written_and_what_the_last_success_has_left(
    tmp_path, put, name
):
    put("out/strange")
    trial = one(tmp_path, name, unchanged=True)
    assert trial.problem().endswith("holds nothing that an earlier success of this unit made")
    for file in ("out/a", "out/b", "out/c", "out/d"):
        put(file)
    trial.again()
    put("out/half")  # of a failed attempt
    put("out/c", "spoilt")
    os.unlink(tmp_path / "out/d")
    trial.before = take_stamps(trial.unit)
    put("out/b", "anew")

    assert trial.vouched() == ["out/a", "out/b"]
    left = trial.inspect().leftover_files
    assert left == LeftoverFiles(3, ("out/c", "out/half", "out/strange"))
    trial.again()
    assert trial.vouched() == ["out/a", "out/b"]
    os.unlink(tmp_path / "out/b")
    put("out/a", "strange now")
    trial.before = take_stamps(trial.unit)
    assert "was not written" in trial.problem()


def test_a_folder_that_must_be_written_holds_nothing_of_the_last_success(tmp_path, put):
    trial = one(tmp_path, "out/")
    put("out/a")
    trial.again()
    assert trial.problem() == f"output out/: {UNWRITTEN}"


def test_a_folder_may_hold_empty_files_but_not_only_those(tmp_path, put):
    trial = one(tmp_path, "out/")
    put("out/done", "")
    assert trial.problem() == f"output out/: {EMPTY}"
    put("out/more", "")
    assert trial.problem().endswith(EMPTY)
    put("out/data")

    assert trial.vouched() == ["out/data", "out/done", "out/more"]


def test_a_folder_that_is_missing_empty_or_a_file_is_a_problem(tmp_path, put):
    trial = one(tmp_path, "out/")
    assert trial.problem() == "output out/: was not made"
    (tmp_path / "out").mkdir()
    assert trial.problem() == "output out/: has no files in it"
    (tmp_path / "out").rmdir()
    put("out")

    assert trial.problem() == "output out/: is a file where a folder was declared"


def test_a_glob_needs_a_match_that_is_new_and_none_that_is_empty(tmp_path, put):
    put("out/1.csv")
    put("out/other.txt")
    trial = one(tmp_path, "out/*.csv")
    assert trial.problem() == f"output out/*.csv: {UNWRITTEN}"
    os.unlink(str(tmp_path / "out/1.csv"))
    assert trial.problem() == "output out/*.csv: no file matches"
    put("out/1.csv")
    put("out/2.csv", "")
    assert trial.problem().endswith(EMPTY)
    put("out/2.csv", "data")

    assert trial.vouched() == ["out/1.csv", "out/2.csv"]


@needs_links
def test_a_link_that_is_called_as_the_glob_answers_for_itself_alone(tmp_path, put):
    put("data")
    put("out/old")
    trial = one(tmp_path, "out/*")
    os.symlink("../data", str(tmp_path / "out" / "*"))

    assert trial.vouched() == ["out/*"]


@needs_links
@pytest.mark.parametrize("declared", ["out/", "out", "link/"])
def test_a_link_to_nothing_in_a_folder_is_a_leftover_file(tmp_path, put, declared):
    trial = one(tmp_path, declared)
    put("out/a")
    os.symlink("nowhere", str(tmp_path / "out" / "latest"))
    os.symlink("nowhere", str(tmp_path / "out" / ".#a"))  # an editor's
    os.symlink("out", str(tmp_path / "link"))
    folder = declared.rstrip("/")

    assert trial.inspect().leftover_files == LeftoverFiles(1, (f"{folder}/latest",))
    assert trial.vouched() == [f"{folder}/a"]
    os.unlink(str(tmp_path / "out" / "a"))
    assert trial.problem() == f"output {declared}: holds nothing but links to nothing (latest)"


def test_a_file_that_two_outputs_stand_for_is_vouched_for_once(tmp_path, put):
    trial = Trial(
        tmp_path,
        OutputSpec(f"{tmp_path}/out/", kind="folder"),
        OutputSpec(os.path.join(str(tmp_path), "out", "a")),
    )
    put("out/a")

    assert trial.vouched() == ["out/a"]


# --- stdout and stderr ---


def printed(path: str, text: str) -> None:
    Path(name_temporary_output(path, ATTEMPT)).write_text(text)


def test_what_was_printed_is_published_and_may_be_empty(tmp_path):
    out, err = str(tmp_path / "out.txt"), str(tmp_path / "err.txt")
    trial = Trial(tmp_path, stdout=out, stderr=err)
    printed(out, "hello")
    printed(err, "")

    assert trial.vouched() == ["out.txt", "err.txt"]
    assert Path(out).read_text() == "hello"
    assert sorted(os.listdir(str(tmp_path))) == ["err.txt", "out.txt"]


def test_one_file_for_both_streams_is_published_once(tmp_path):
    path = str(tmp_path / "both.txt")
    trial = Trial(tmp_path, stdout=path, stderr=path)
    printed(path, "hello")

    assert trial.vouched() == ["both.txt"]


def test_a_declared_stdout_must_not_be_empty(tmp_path):
    path = str(tmp_path / "out.txt")
    Path(path).write_text("of an earlier run")
    trial = Trial(tmp_path, OutputSpec(path), stdout=path)
    printed(path, "")

    assert trial.problem() == f"output out.txt: {EMPTY}"
    assert Path(path).read_text() == "of an earlier run"


@pytest.mark.survives("F85")
@needs_posix
def test_what_is_swapped_while_it_is_published_is_no_success(tmp_path, monkeypatch):
    os.chmod(str(tmp_path), 0o777)
    path = str(tmp_path / "out.txt")
    temporary = name_temporary_output(path, ATTEMPT)
    trial = Trial(tmp_path, OutputSpec(path), stdout=path)
    printed(path, "hello")
    trial.written[temporary] = make_identity(os.lstat(temporary))
    replace = outputs.replace

    def swapped(source: str, target: str) -> None:
        os.rename(source, f"{source}~")
        printed(path, "forged")
        replace(source, target)

    monkeypatch.setattr(outputs, "replace", swapped)
    place = "another file has the place of the one that was written"
    assert trial.problem() == f"output out.txt: {place}"


def test_nothing_is_published_if_another_output_is_not_as_declared(tmp_path):
    out, err = str(tmp_path / "out.txt"), str(tmp_path / "err.txt")
    trial = Trial(tmp_path, OutputSpec(f"{tmp_path}/a.json"), stdout=out, stderr=err)
    printed(out, "hello")
    assert trial.problem() == "output a.json: was not made"
    (tmp_path / "a.json").write_text("data")

    assert trial.problem().startswith("output err.txt: what was written is gone")
    assert not os.path.exists(out)


# --- inputs ---


def kept_inputs(trial: Trial, found: Inspected) -> Optional[Change]:
    end = End("s/a", 3, Verdict.SUCCEEDED, 1.0, outputs=found.outputs, inputs=found.inputs)
    return readings.compare_with_record(trial.unit, end, checksum="auto").inputs


def test_inputs_depends_and_stdin_are_recorded(tmp_path, put):
    paths = {name: put(name) for name in ("used", "library", "stdin")}
    trial = Trial(
        tmp_path, inputs=(paths["used"],), depends=(paths["library"],), stdin=paths["stdin"]
    )

    found = trial.inspect()

    assert [reading.path for reading in found.inputs] == list(paths.values())
    assert all(reading.sha256 for reading in found.inputs)
    assert kept_inputs(trial, found) is None


def changed_in_place(path: str) -> None:
    Path(path).write_text("other")


def replaced_with_its_time_kept(path: str) -> None:
    was = os.stat(path)
    Path(path + ".new").write_text("atad")
    os.replace(path + ".new", path)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


@pytest.mark.parametrize("change", [changed_in_place, replaced_with_its_time_kept, os.unlink])
def test_an_input_changed_during_the_run_is_noticed_by_the_next(tmp_path, put, change):
    path = put("used")
    trial = Trial(tmp_path, inputs=(path,))
    change(path)

    found = trial.inspect()

    assert [reading.sha256 for reading in found.inputs] == [None]
    assert found.problem == ""
    assert kept_inputs(trial, found) is not None


def test_an_input_that_came_during_the_run_is_noticed_by_the_next(tmp_path, put):
    trial = Trial(tmp_path, inputs=(str(tmp_path / "used"),))
    put("used")

    assert kept_inputs(trial, trial.inspect()) is not None


@pytest.mark.parametrize("name", ["data/new", "data/a"])
def test_a_folder_of_inputs_that_changed_is_noticed_by_the_next(tmp_path, put, name):
    put("data/a")
    trial = Trial(tmp_path, inputs=(str(tmp_path / "data"),))
    put(name, "other")

    assert kept_inputs(trial, trial.inspect()) is not None


def test_a_file_removed_from_a_folder_of_inputs_is_noticed_by_the_next(tmp_path, put):
    put("data/a")
    gone = put("data/b")
    trial = Trial(tmp_path, inputs=(str(tmp_path / "data"),))
    os.unlink(gone)

    assert kept_inputs(trial, trial.inspect()) is not None


def test_an_input_that_many_units_share_is_hashed_once(tmp_path, put, monkeypatch):
    path = put("used")
    os.utime(path, ns=(0, 0))
    monkeypatch.setattr(identity, "_SETTLED_NS", -(10**12))
    read: List[str] = []
    real = identity._read_content

    def counted(name: str, link: Optional[identity.Link]) -> Tuple[identity.Stamp, str]:
        read.append(name)
        return real(name, link)

    monkeypatch.setattr(identity, "_read_content", counted)
    trials = [Trial(tmp_path, inputs=(path,)) for _ in range(3)]

    assert len({trial.inspect().inputs for trial in trials}) == 1
    assert read == [path]
    put("used", "other")
    assert Trial(tmp_path, inputs=(path,)).inspect().inputs[0].size == 5


# --- on disk ---


@pytest.fixture
def synced(monkeypatch) -> Dict[str, List[str]]:
    calls: Dict[str, List[str]] = {"file": [], "folder": []}
    monkeypatch.setattr(readings, "sync_file", lambda path: calls["file"].append(path))
    monkeypatch.setattr(readings, "sync_folder", lambda path: calls["folder"].append(path))
    return calls


@pytest.mark.survives("F56")
def test_every_output_and_each_folder_once_is_put_on_disk(tmp_path, put, synced):
    root = str(tmp_path)
    trial = Trial(
        tmp_path,
        OutputSpec(os.path.join(root, "out", "a")),
        OutputSpec(os.path.join(root, "out", "b")),
        OutputSpec(os.path.join(root, "tree"), kind="folder"),
    )
    trial.sync = True
    files = [put(name) for name in ("out/a", "out/b", "tree/x", "tree/sub/y")]

    assert trial.inspect().problem == ""

    assert sorted(synced["file"]) == sorted(os.path.normpath(path) for path in files)
    folders = [os.path.join(root, *parts) for parts in (["out"], ["tree", "sub"], ["tree"], [])]
    assert sorted(synced["folder"]) == sorted(os.path.normpath(path) for path in folders)


def test_nothing_is_synced_where_that_is_off(tmp_path, put, synced):
    trial = one(tmp_path)
    put("out/a.json")

    assert trial.vouched() == ["out/a.json"]
    assert synced == {"file": [], "folder": []}


@pytest.mark.survives("F56")
def test_what_cannot_be_put_on_disk_is_no_success(tmp_path, put, monkeypatch):
    def fail(_path: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(readings, "sync_file", fail)
    trial = one(tmp_path)
    trial.sync = True
    put("out/a.json")

    expected = "output out/a.json: could not be put on disk: Input/output error"
    assert trial.problem() == expected


def lacking(times: int, of: Any) -> Any:
    """Return the function, which at first finds no descriptor."""
    left = [times]

    def call(*args: Any, **settings: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.EMFILE, "Too many open files", args[0])
        return of(*args, **settings)

    return call


@pytest.mark.parametrize(
    ("of", "name"),
    [(identity, "read_file"), (readings, "sync_file"), (readings, "sync_folder")],
)
def test_descriptors_that_are_lacking_for_a_while_do_not_spoil_an_output(
    tmp_path, put, monkeypatch, of, name
):
    pauses: List[float] = []
    monkeypatch.setattr(outputs, "_sleep", pauses.append)
    monkeypatch.setattr(of, name, lacking(3, getattr(of, name)))
    trial = one(tmp_path)
    trial.sync = True
    put("out/a.json")

    assert trial.vouched() == ["out/a.json"]
    assert pauses == [0.05, 0.1, 0.2]


def test_descriptors_that_stay_away_are_a_problem(tmp_path, put, monkeypatch):
    monkeypatch.setattr(outputs, "_sleep", lambda _pause_s: None)
    monkeypatch.setattr(identity, "read_file", lacking(99, identity.read_file))
    trial = one(tmp_path)
    put("out/a.json")

    assert trial.problem() == "output out/a.json: Too many open files"


def test_a_real_sync_works_on_this_system(tmp_path, put):
    trial = one(tmp_path, "out/")
    trial.sync = True
    put("out/sub/a")

    assert trial.vouched() == ["out/sub/a"]


# --- nobody writes to it any more ---


@pytest.mark.survives("F72")
@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux'")
def test_a_file_that_a_process_has_open_for_writing_is_not_vouched_for(tmp_path, put, monkeypatch):
    pauses: List[float] = []
    monkeypatch.setattr(outputs, "_sleep", pauses.append)
    trial = one(tmp_path)
    path = put("out/a.json")

    with open(path, "ab"):
        problem = trial.problem()

    me = f"(pid {os.getpid()})"
    assert problem.startswith("output out/a.json: is still open for writing by ")
    assert me in problem
    assert sum(pauses) == 1.0
    assert trial.vouched() == ["out/a.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux'")
def test_a_file_that_is_open_for_reading_only_is_vouched_for(tmp_path, put):
    trial = one(tmp_path)

    with open(put("out/a.json"), "rb"):
        assert trial.vouched() == ["out/a.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux'")
def test_a_file_system_whose_leases_tell_nothing_refuses_nothing(tmp_path, put, monkeypatch):
    monkeypatch.setattr(leases, "_works", {})
    monkeypatch.setattr(leases, "_try_own", lambda _folder: False)
    trial = one(tmp_path)

    with open(put("out/a.json"), "ab"):
        assert trial.vouched() == ["out/a.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux'")
def test_who_opens_a_file_while_a_lease_is_held_does_not_end_us(tmp_path):
    path = tmp_path / "busy"
    path.write_text("x")
    line = f"while :; do : >> {path}; done"
    hammer = subprocess.Popen(["bash", "-c", line])
    try:
        seen = {leases.is_written(str(path)) for _ in range(20_000)}
    finally:
        hammer.kill()
        hammer.wait()

    assert seen <= {True, False}


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux'")
def test_a_file_that_may_not_be_opened_tells_nothing(monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "refused")

    monkeypatch.setattr(leases.os, "open", refuse)

    assert leases.is_written("/any") is None


@pytest.mark.parametrize("name", ["x" * 251, "x" * 255, "\u4e2d" * 85, "x" * 10])
def test_a_name_as_long_as_the_system_allows_may_be_published(name, tmp_path):
    temporary = Path(name_temporary_output(str(tmp_path / name), ATTEMPT))

    temporary.write_text("x")  # the system accepts the name
    assert (
        temporary.name != Path(name_temporary_output(str(tmp_path / f"{name[:-1]}y"), ATTEMPT)).name
    )
    assert temporary.name.startswith(".")
    assert temporary.name.endswith(f".procsup-{ATTEMPT.number}")
    os.replace(temporary, tmp_path / name)

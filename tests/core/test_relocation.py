"""Paths in records are relative to the run file's folder, which may have moved."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procsup.core.ends import NO_ENDS, add, pack, unpack
from procsup.core.outcome import Exited, Reading, Verdict
from procsup.core.records import JOURNAL_VERSION, Begin, End, Kept, Seen
from procsup.core.relocation import RebasedPaths, Root, make_places, relocate_end
from procsup.core.replay import History
from procsup.core.rooted import find_folder, join_folder, strip_folder

NAMES = st.text("ab. /\\:", min_size=1, max_size=12).map(lambda text: text.strip("/\\") or "a")


def reading(path):
    return Reading(path, 1, 2, "ab", 3, 4)


def end(*, outputs=(), inputs=(), **fields):
    return End(
        "s/a",
        1,
        Verdict.SUCCEEDED,
        1.0,
        exit=Exited(0),
        outputs=tuple(map(reading, outputs)),
        inputs=tuple(map(reading, inputs)),
        **fields,
    )


def begin(version=JOURNAL_VERSION, run_file="/p/r.toml", root="../.."):
    return Begin(version, "r", 1, "n", 0.0, "h", "b", 1, "0", "3", "x", run_file, False, root=root)


@pytest.mark.parametrize(
    ("folder", "path", "relative"),
    [
        ("/p", "/p/a/b", "a/b"),
        ("/p", "/pq/a", None),
        ("/p", "/p", None),
        ("/", "/a", "a"),
        ("C:\\p", "C:\\p\\a\\b", "a\\b"),
        ("C:\\p", "D:\\p\\a", None),
        ("\\\\host\\share", "\\\\host\\share\\a", "a"),
        ("/p", "/p/C:\\odd", "C:\\odd"),
    ],
)
def test_a_path_below_a_folder_is_relative_to_it(folder, path, relative):
    assert strip_folder(folder, path) == relative
    assert join_folder(folder, path if relative is None else relative) == path


def test_an_absolute_path_stays_where_it_is():
    assert join_folder("/p", "/q/a") == "/q/a"
    assert join_folder("C:\\p", "D:\\a") == "D:\\a"
    assert join_folder("C:\\p", "\\\\host\\a") == "\\\\host\\a"


def test_the_folder_of_a_file():
    assert find_folder("/p/r.toml") == "/p"
    assert find_folder("/r.toml") == "/"
    assert find_folder("C:\\p\\r.toml") == "C:\\p"


def test_an_end_is_recorded_relative_and_read_in_its_place():
    original = end(
        outputs=["/p/out/a", "/elsewhere/b"],
        inputs=["/p/in"],
        stdout_path="/p/said/a",
        stderr_path="logs/s/a.1.err",
    )

    recorded = Root("/p", "../..").map_record(original)

    assert [one.path for one in recorded.outputs] == ["out/a", "/elsewhere/b"]
    assert (recorded.inputs[0].path, recorded.stdout_path) == ("in", "../../said/a")
    assert recorded.stderr_path == "logs/s/a.1.err"
    assert relocate_end(recorded, Root("/p", "../..")) == original
    there = relocate_end(recorded, Root("/q/r", "../.."))
    assert [one.path for one in there.outputs] == ["/q/r/out/a", "/elsewhere/b"]
    assert there.stdout_path == "/q/r/said/a"


def test_where_the_run_directory_is_not_below_the_folder_logs_stay_absolute():
    original = end(outputs=["/p/out/a"], stdout_path="/p/said/a")

    recorded = Root("/p", "/p").map_record(original)

    assert (recorded.outputs[0].path, recorded.stdout_path) == ("out/a", "/p/said/a")
    assert relocate_end(recorded, Root("/p", "/p")) == original


def test_windows_is_recorded_and_read_in_the_same_way():
    original = end(outputs=["C:\\p\\out\\a", "D:\\b"], stdout_path="C:\\p\\said\\a")

    recorded = Root("C:\\p", "..\\..").map_record(original)

    assert [one.path for one in recorded.outputs] == ["out\\a", "D:\\b"]
    assert recorded.stdout_path == "..\\..\\said\\a"
    assert relocate_end(recorded, Root("C:\\p", "..\\..")) == original


@given(st.lists(NAMES, max_size=3), NAMES, st.sampled_from(["../..", "/p"]))
def test_whatever_is_recorded_comes_back(names, log, way):
    original = end(outputs=[f"/p/{name}" for name in names], stdout_path=f"/p/{log}")
    root = Root("/p", way)

    assert relocate_end(root.map_record(original), root) == original


def test_newer_stamps_are_recorded_relative_and_other_records_as_they_are():
    root = Root("/p", "../..")

    assert root.map_record(Seen("s/a", (reading("/p/a"),))) == Seen("s/a", (reading("a"),))
    for record in (Kept("s", ["/p/a"]), begin(), end(stdout_path="logs/a")):
        assert root.map_record(record) is record


def test_the_first_form_has_absolute_paths_which_follow_the_run_file():
    places = make_places(begin(2, root=""), "/q")

    assert places == RebasedPaths("/p", "/q")
    there = relocate_end(end(outputs=["/p/a", "/b"], stdout_path="logs/x"), places)
    assert [one.path for one in there.outputs] == ["/q/a", "/b"]
    assert there.stdout_path == "logs/x"


def test_paths_are_as_they_are_where_nothing_moved_or_nothing_is_known():
    assert make_places(begin(2, root=""), "/p") is None
    assert make_places(begin(2, run_file=None, root=""), "/q") is None
    assert make_places(begin(), None) is None


def test_a_history_has_its_files_where_they_are_by_now():
    history = History(folder_now=lambda _begin: "/q")
    records = [
        begin(2, root=""),
        end(outputs=["/p/a", "/p/b"]),
        begin(),
        Seen("s/a", (Reading("b", 1, 2, "ab", 9, 9),)),
    ]
    for seq, record in enumerate(records, 1):
        history.add(seq, record)

    outputs = history.units["s/a"].last.outputs
    assert [(one.path, one.inode) for one in outputs] == [("/q/a", 3), ("/q/b", 9)]


@pytest.mark.parametrize("places", [Root("/q", "../.."), RebasedPaths("/p", "/q")])
@pytest.mark.parametrize("name", ["a", "\udcff"])
def test_an_end_is_packed_where_its_files_are_by_now(places, name):
    read = end(
        outputs=[name, f"/p/{name}"], inputs=["/b"], stdout_path="../../o", stderr_path="/p/e"
    )

    assert unpack(add(NO_ENDS, read, places), "s/a") == (relocate_end(read, places),)
    twice = add(pack([read]), msgspec.structs.replace(read, attempt=2), places)
    assert unpack(twice, "s/a")[1].outputs == relocate_end(read, places).outputs

import os
import sys
from pathlib import Path
from typing import List

import pytest

from procsup.core.keep import Change, FileChanges
from procsup.core.outcome import NO_LEFTOVER_FILES, LeftoverFiles, Verdict
from procsup.core.records import End
from procsup.core.spec import OutputSpec, UnitSpec
from procsup.host import readings
from procsup.host.readings import compare_with_record, find_declared_since, read_output
from procsup.paths.identity import read_file
from procsup.paths.walk import find_home, list_files
from tests.support.files import needs_links, written

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs there")

FINE = FileChanges(leftover_files=NO_LEFTOVER_FILES)


def below(folder: Path, paths: List[str]) -> List[str]:
    return [os.path.relpath(path, str(folder)).replace(os.sep, "/") for path in paths]


# --- which files -------------------------------------------------------------------------------


def test_a_folder_is_every_file_below_sorted(tmp_path):
    for name in ("out/b", "out/sub/deep/c", "out/.hidden", "out/a"):
        written(tmp_path / name)

    for output in (
        OutputSpec(str(tmp_path / "out") + "/", kind="folder"),
        OutputSpec(str(tmp_path / "out")),
    ):
        found = below(tmp_path, list_files(output))
        assert found == ["out/.hidden", "out/a", "out/b", "out/sub/deep/c"]


def test_what_systems_scatter_is_no_part_of_a_folder(tmp_path):
    litter = [".DS_Store", "Thumbs.db", ".nfs00a1", ".a.txt.procsup-3", ".procsup-77-1.part"]
    for name in ["a.txt", *litter]:
        written(tmp_path / "out" / name)

    assert below(tmp_path, list_files(OutputSpec(str(tmp_path / "out")))) == ["out/a.txt"]


def test_a_file_is_not_a_folder(tmp_path):
    path = written(tmp_path / "a")

    assert list_files(OutputSpec(path + "/", kind="folder")) == []
    assert list_files(OutputSpec(path, kind="folder")) == []


@needs_links
def test_linked_folders_are_not_followed(tmp_path):
    written(tmp_path / "elsewhere" / "x.txt")
    written(tmp_path / "out" / "a.txt")
    (tmp_path / "out" / "loop").symlink_to(tmp_path / "out")
    (tmp_path / "out" / "away").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / "dangling").symlink_to("nowhere")

    assert below(tmp_path, list_files(OutputSpec(str(tmp_path / "out")))) == [
        "out/a.txt",
        "out/dangling",
    ]
    pattern = OutputSpec(str(tmp_path / "**" / "*.txt"), kind="glob")
    assert below(tmp_path, list_files(pattern)) == ["elsewhere/x.txt", "out/a.txt"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt", "b.txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
        ("*/*.txt", ["d/c.txt", "e[1]/f.txt"]),
        ("**/*.txt", ["a.txt", "b.txt", "d/c.txt", "d/deep/x.txt", "e[1]/f.txt"]),
        ("d/**", ["d/c.txt", "d/deep/x.txt"]),
        ("**/deep/*", ["d/deep/x.txt"]),
        ("e[[]1]/*.txt", ["e[1]/f.txt"]),
        ("e[[]*/f.txt", ["e[1]/f.txt"]),
        (".h*", [".hidden"]),
        ("d*", []),
        ("none/*", []),
        ("a.txt/*", []),
    ],
)
def test_a_glob_is_its_sorted_matches(tmp_path, pattern, expected):
    for name in ("b.txt", "a.txt", "d/c.txt", "d/deep/x.txt", "e[1]/f.txt", ".hidden", ".h/y.txt"):
        written(tmp_path / name)

    output = OutputSpec(f"{tmp_path}/{pattern}", kind="glob")

    assert below(tmp_path, list_files(output)) == expected
    assert below(tmp_path, [r.path for r in read_output(output, checksum="none")]) == expected


def test_brackets_of_a_plain_name_match_no_other_file(tmp_path):
    written(tmp_path / "a1.txt")

    assert list_files(OutputSpec(str(tmp_path / "a[1].txt"))) == []


@pytest.mark.parametrize(
    ("path", "kind", "home"),
    [
        ("out/a", "file", "out"),
        ("out/a/", "folder", "out"),
        ("out/*/a", "glob", "out"),
        ("out/*", "glob", "out"),
        ("out/e[[]1]/*", "glob", "out/e[1]"),
        ("out/a/b", "glob", "out/a"),
    ],
)
def test_the_home_of_an_output_is_the_folder_it_cannot_do_without(tmp_path, path, kind, home):
    assert Path(find_home(OutputSpec(f"{tmp_path}/{path}", kind=kind))) == tmp_path / home


# --- a unit's files ----------------------------------------------------------------------------


def past(unit: UnitSpec) -> End:
    made = [r for o in readings.list_outputs(unit) for r in read_output(o, checksum="auto")]
    used = [r for i in readings.list_inputs(unit) for r in read_output(i, checksum="auto")]
    return End(unit.id, 1, Verdict.SUCCEEDED, 1.0, outputs=tuple(made), inputs=tuple(used))


def unit_of(folder: Path, *outputs: OutputSpec, **fields: object) -> UnitSpec:
    return UnitSpec("s/a", "s", 0, ("true",), str(folder), "f", outputs=outputs, **fields)


def test_untouched_files_are_intact(tmp_path):
    unit = unit_of(
        tmp_path,
        OutputSpec(written(tmp_path / "out")),
        inputs=(written(tmp_path / "in"),),
        depends=(str(Path(written(tmp_path / "data/x")).parent),),
        stdin=written(tmp_path / "stdin"),
        stdout=written(tmp_path / "stdout", ""),
    )
    end = past(unit)

    assert len(end.inputs) == 3
    assert len(end.outputs) == 2
    assert compare_with_record(unit, end, checksum="auto") == FINE


def test_a_changed_input_a_changed_output_and_a_missing_one_are_told_apart(tmp_path):
    output, used = written(tmp_path / "out"), written(tmp_path / "in")
    unit = unit_of(tmp_path, OutputSpec(output), inputs=(used,))
    end = past(unit)

    written(tmp_path / "in", "changed")
    assert compare_with_record(unit, end, checksum="auto") == FINE._replace(
        inputs=Change(used, "size 4 → 7")
    )
    os.unlink(used)
    assert compare_with_record(unit, end, checksum="auto") == FINE._replace(
        inputs=Change(used, "missing", kind="deleted")
    )
    written(tmp_path / "out", "changed")
    assert compare_with_record(unit, end, checksum="auto").outputs == Change(output, "size 4 → 7")
    os.unlink(output)
    assert compare_with_record(unit, end, checksum="auto").missing


def test_one_file_more_in_a_folder_is_a_change(tmp_path):
    written(tmp_path / "in/a")
    unit = unit_of(tmp_path, inputs=(str(tmp_path / "in"),))
    end = past(unit)
    more = written(tmp_path / "in/b")

    assert compare_with_record(unit, end, checksum="auto") == FINE._replace(
        inputs=Change(more, "new", "new")
    )


def test_an_output_declared_since_is_missing_until_it_is_made(tmp_path):
    end = past(unit_of(tmp_path))
    declared = unit_of(tmp_path, OutputSpec(str(tmp_path / "out")))

    new = Change(str(tmp_path / "out"), "missing", "new")
    assert compare_with_record(declared, end, checksum="auto") == FileChanges(
        outputs=new, missing=True
    )
    written(tmp_path / "out")
    assert compare_with_record(declared, end, checksum="auto").outputs == new._replace(how="new")


@pytest.mark.parametrize("kind", ["file", "folder", "glob"])
def test_an_output_that_was_made_before_is_deleted_and_another_is_new(tmp_path, kind):
    def output(name):
        path = {"file": "a", "folder": os.sep, "glob": "*"}[kind]
        return OutputSpec(f"{tmp_path / name}{path if kind != 'file' else ''}", kind=kind)

    made = written(tmp_path / "old" / "a" if kind == "folder" else tmp_path / "old")
    end = past(unit_of(tmp_path, output("old")))
    assert len(end.outputs) == 1
    os.unlink(made)

    kinds = []
    for name in ("old", "other"):
        found = compare_with_record(unit_of(tmp_path, output(name)), end, checksum="auto").outputs
        kinds.append(found and found.kind)
    assert kinds == ["deleted", "new"]


def test_inputs_that_are_declared_since_and_no_longer_are_told(tmp_path):
    a, b, c = (written(tmp_path / name) for name in ("a", "in/b", "in/deep/c"))
    folder, empty = str(tmp_path / "in"), str(tmp_path / "empty")
    os.mkdir(empty)
    end = past(unit_of(tmp_path, inputs=(a, b)))

    def since(*inputs):
        return find_declared_since(unit_of(tmp_path, inputs=inputs), end)

    assert since(a, b) == since(a, folder) == since(a, b, empty) == ([], [])
    assert since(a, b, c) == ([c], [])
    assert since(b) == ([], [a])
    assert since(str(tmp_path / "later"), b) == ([str(tmp_path / "later")], [a])
    assert since() == ([], [a, b])
    assert find_declared_since(unit_of(tmp_path, inputs=(folder, a)), past(unit_of(tmp_path))) == (
        [folder, a],
        [],
    )


def test_an_old_file_under_an_optional_name_does_not_count(tmp_path):
    unit = unit_of(tmp_path, OutputSpec(str(tmp_path / "out"), optional=True))
    end = past(unit)
    written(tmp_path / "out")

    left = LeftoverFiles(1, ("out",))
    found = compare_with_record(unit, end, checksum="auto", folder=str(tmp_path))
    assert found == FileChanges(leftover_files=left)


# --- on disk -----------------------------------------------------------------------------------


def test_a_recorded_input_that_is_not_declared_any_more_says_nothing(tmp_path):
    paths = [written(tmp_path / name, "x") for name in ("in/a", "in/b", "once/c")]
    before = UnitSpec("u", "s", 0, ("true",), "/", "f", depends=tuple(paths))
    end = End("u", 1, Verdict.SUCCEEDED, 0.0, inputs=tuple(map(read, paths)))
    assert compare_with_record(before, end, checksum="auto") == FINE
    now = UnitSpec("u", "s", 0, ("true",), "/", "f", depends=(str(tmp_path / "in"),))

    written(tmp_path / "once/c", "another")
    assert compare_with_record(now, end, checksum="auto") == FINE
    os.unlink(tmp_path / "once/c")
    assert compare_with_record(now, end, checksum="auto") == FINE
    os.unlink(tmp_path / "in/b")
    found = compare_with_record(now, end, checksum="auto")
    assert found.inputs == Change(paths[1], "missing", kind="deleted")


def read(path):
    reading = read_file(path, checksum="auto")
    assert reading is not None
    return reading

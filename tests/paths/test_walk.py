"""Finding files: they are sorted, only `**` does not follow links, none is dropped silently."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsup.core.globs import parse
from procsup.core.rooted import HOME
from procsup.core.spec import OutputSpec
from procsup.paths.walk import LinkToNothing, find, find_home, list_files, list_files_below
from procsup.store.rundir import RunDir
from tests.runfile.builders import grow


def found(folder, source):
    return list(find(parse(source), str(folder)).matches)


def link(target, path):
    """Make a symbolic link, or skip the test where that fails."""
    try:
        os.symlink(target, path, target_is_directory=os.path.isdir(target))
    except OSError:
        pytest.skip("no symbolic links here")
    if not os.path.islink(path):
        pytest.skip("links that are none")


@pytest.fixture
def tree(tmp_path):
    grow(
        tmp_path,
        *("d/b.py", "d/a.py", "d/.h.py", "d/sub/c.py", "d/sub/deep/d.py", "d/.hid/e.py"),
        *("d/sub.py", "d/empty/", "x.py", "d/sub-a/c.py"),
    )
    return tmp_path


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("*.py", ["x.py"]),
        ("d/*.py", ["d/a.py", "d/b.py", "d/sub.py"]),
        ("d/?.py", ["d/a.py", "d/b.py"]),
        ("d/{a,sub/c,none}.py", ["d/a.py", "d/sub/c.py"]),
        ("d/{x:[b-z]+}.py", ["d/b.py", "d/sub.py"]),
        ("d/*/*.py", ["d/sub-a/c.py", "d/sub/c.py"]),
        (
            "d/{m:**}.py",
            ["d/a.py", "d/b.py", "d/sub-a/c.py", "d/sub.py", "d/sub/c.py", "d/sub/deep/d.py"],
        ),
        ("d/**/d.py", ["d/sub/deep/d.py"]),
        ("**/c.py", ["d/sub-a/c.py", "d/sub/c.py"]),
        ("**/d/**/c.py", ["d/sub-a/c.py", "d/sub/c.py"]),
        ("d/sub/**", ["d/sub/c.py", "d/sub/deep/d.py"]),
        ("d/.hid/*", ["d/.hid/e.py"]),
        ("d/.*.py", ["d/.h.py"]),
        ("**/.hid/e.py", ["d/.hid/e.py"]),
        ("{x:**}/.hid/e.py", ["d/.hid/e.py"]),
        ("d/*/", ["d/empty", "d/sub", "d/sub-a"]),
        ("d/**/", ["d/empty", "d/sub", "d/sub-a", "d/sub/deep"]),
        ("d/*/c.py", ["d/sub-a/c.py", "d/sub/c.py"]),
        ("d/a.py", ["d/a.py"]),
        ("d/sub/", ["d/sub"]),
        ("d/a.py/*", []),
        ("nope/*", []),
        ("d/nope.py", []),
    ],
)
def test_globs_find_files_in_order(source, paths, tree):
    assert found(tree, source) == paths


def test_a_glob_may_start_above_or_anywhere(tree):
    assert found(tree / "d", "../*.py") == ["../x.py"]
    absolute = (tree / "d").as_posix()
    assert found("", f"{absolute}/?.py") == [f"{absolute}/a.py", f"{absolute}/b.py"]


def test_what_is_excluded_is_not_even_entered(tree):
    glob = parse("d/**/*.py").join([parse("*.py")], [parse("d/sub*"), parse("d/b.*")])

    assert list(find(glob, str(tree)).matches) == ["d/a.py", "x.py"]


# --- links ---------------------------------------------------------------------------------------


def test_links_are_followed_where_a_part_stands_for_one_name(tmp_path):
    grow(tmp_path, "samples/A/r.fq", "real/B/r.fq", "real/B/lane/r.fq")
    link(tmp_path / "real" / "B", tmp_path / "samples" / "B")

    assert found(tmp_path, "samples/{s:*}/r.fq") == ["samples/A/r.fq", "samples/B/r.fq"]
    assert found(tmp_path, "samples/B/*.fq") == ["samples/B/r.fq"]
    assert found(tmp_path, "samples/*/") == ["samples/A", "samples/B"]
    assert find(parse("samples/*/r.fq"), str(tmp_path)).left_out == []


@pytest.mark.parametrize("source", ["samples/**/r.fq", "samples/{s:**}/r.fq", "samples/{s:**}.fq"])
def test_links_are_not_followed_by_deep_wildcards_and_that_is_told(source, tmp_path):
    grow(tmp_path, "samples/A/r.fq", "real/B/r.fq")
    link(tmp_path / "real" / "B", tmp_path / "samples" / "B")
    link(tmp_path / "samples", tmp_path / "samples" / "A" / "loop")

    looked = find(parse(source), str(tmp_path))

    assert list(looked.matches) == ["samples/A/r.fq"]
    assert looked.left_out == ["samples/A/loop", "samples/B"]


def test_one_level_after_a_deep_wildcard_follows_links(tmp_path):
    grow(tmp_path, "samples/x/A/r.fq", "real/B/r.fq")
    link(tmp_path / "real" / "B", tmp_path / "samples" / "x" / "B")

    assert found(tmp_path, "samples/**/{s:*}/r.fq") == ["samples/x/A/r.fq", "samples/x/B/r.fq"]


@pytest.mark.parametrize("source", ["d/*.fq", "d/{x:**}.fq", "**/*.fq", "d/gone.fq", "*/gone.fq"])
def test_a_link_to_nothing_that_matches_is_named(source, tmp_path):
    grow(tmp_path, "d/a.fq")
    link(tmp_path / "nothing", tmp_path / "d" / "gone.fq")

    with pytest.raises(LinkToNothing) as caught:
        find(parse(source), str(tmp_path))

    assert caught.value.filename == str(tmp_path / "d" / "gone.fq")
    assert found(tmp_path, "d/a*") == ["d/a.fq"]


def test_a_link_to_nothing_on_the_way_is_named(tmp_path):
    grow(tmp_path, "samples/A/r.fq")
    link(tmp_path / "nothing", tmp_path / "samples" / "B")

    with pytest.raises(LinkToNothing):
        find(parse("samples/*/r.fq"), str(tmp_path))
    glob = parse("samples/*/r.fq").join([], [parse("samples/B")])
    assert list(find(glob, str(tmp_path)).matches) == ["samples/A/r.fq"]


def test_a_linked_folder_in_a_folder_is_followed_once(tmp_path):
    grow(tmp_path, "data/a.csv", "data/real/r.csv", "ext/x.csv", "ext/deep/y.csv")
    link(tmp_path / "ext", tmp_path / "data" / "sub")
    link(tmp_path / "ext", tmp_path / "data" / "sub2")
    link(tmp_path / "data", tmp_path / "ext" / "loop")
    link(tmp_path / "data" / "real", tmp_path / "data" / "alias")
    data = tmp_path / "data"

    followed = [
        Path(p).relative_to(data).as_posix() for p in list_files_below(str(data), follow=True)
    ]

    assert followed == ["a.csv", "real/r.csv", "sub/deep/y.csv", "sub/x.csv"]
    assert len(list_files_below(str(data))) == 2


# --- the files of a declared path ----------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """A project with a run directory beside its run file and another one in `state`."""
    RunDir(tmp_path / "state" / "run").create()
    RunDir(tmp_path / HOME / "run").create()
    for home in ("state", HOME):
        for name in ("run.lock", "units.lock", "manifest.json", "logs/a.csv"):
            (tmp_path / home / "run" / name).write_text("x")
    for path in ("x.csv", "state/y.csv", "state/run.lock", "data/run/z.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    return tmp_path


def test_run_directories_are_no_part_of_a_folder(project):
    seen = [os.path.relpath(path, project) for path in list_files_below(str(project))]

    expected = ["data/run/z.csv", "state/run.lock", "state/y.csv", "x.csv"]
    assert [path.replace(os.sep, "/") for path in seen] == expected


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("**", ["data/run/z.csv", "state/run.lock", "state/y.csv", "x.csv"]),
        ("{x:**}", ["data/run/z.csv", "state/run.lock", "state/y.csv", "x.csv"]),
        ("**/*.json", []),
        ("**/manifest.json", []),
        ("*/run/*", ["data/run/z.csv"]),
        ("state/*/*", []),
        ("state/run/*.json", ["state/run/manifest.json"]),  # it is named in full
        (".procsup/run/logs/*", [".procsup/run/logs/a.csv"]),
    ],
)
def test_run_directories_are_no_matches_unless_they_are_named(source, paths, project):
    assert found(project, source) == paths


def test_a_link_back_to_a_folder_above_is_not_followed(tmp_path):
    (tmp_path / "data").mkdir()
    for path in ("x.csv", "data/y.csv"):
        (tmp_path / path).write_text("x")
    link(tmp_path, tmp_path / "data" / "loop")

    assert list_files_below(str(tmp_path / "data"), follow=True) == [
        str(tmp_path / "data" / "y.csv")
    ]


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not have")
@pytest.mark.parametrize("name", ["exp[1]", "a*", "a?b", "a[0-9]", "{x,y}", "{x}", "[", "a[*]"])
def test_the_name_of_a_folder_is_no_pattern(name, tmp_path):
    from procsup.core.globs import escape

    grow(tmp_path, "exp1/x.txt", "ab/x.txt", "a5/x.txt", "x/x.txt", "axb/x.txt")
    declared = OutputSpec(f"{escape(str(tmp_path / name))}{os.sep}*.txt", kind="glob")

    assert list_files(declared) == []
    assert find_home(declared) == str(tmp_path / name)

    grow(tmp_path, f"{name}/y.txt")
    assert list_files(declared) == [str(tmp_path / name / "y.txt")]


def test_the_home_of_alternatives_is_what_they_have_in_common(tmp_path):
    declared = OutputSpec(f"{tmp_path}{os.sep}out/{{a/*,b/c/*}}", kind="glob")

    assert find_home(declared) == str(tmp_path / "out")


# --- against the standard library, and against itself --------------------------------------------

NAMES = st.sampled_from(["a", "b", "ab", "a-", "b.c"])
TREES = st.sets(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=6)
PARTS = st.lists(st.sampled_from(["a", "b", "*", "?", ".c"]), min_size=1, max_size=3).map("".join)
SOURCES = st.lists(st.one_of(PARTS, st.just("**")), min_size=1, max_size=3).filter(
    lambda parts: parts[-1] != "**" and not any("**" in p for p in parts if p != "**")
)


@settings(max_examples=60, deadline=None)
@given(TREES, SOURCES)
def test_the_walk_finds_what_pathlib_finds_and_what_the_pattern_matches(trees, parts):
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in trees:
            if not any(other[: len(path)] == path for other in trees if other != path):
                folder.joinpath(*path[:-1]).mkdir(parents=True, exist_ok=True)
                folder.joinpath(*path).touch()
        source = "/".join(parts)
        matches = found(folder, source)
        all_files = sorted(
            p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()
        )

        by_pathlib = {
            path.relative_to(folder).as_posix() for path in folder.glob(source) if path.is_file()
        }
        visible = {path for path in by_pathlib if "/." not in f"/{path}"}
        assert set(matches) == visible if ".c" not in parts else set(matches) >= visible
        assert matches == [path for path in all_files if parse(source).match(path) is not None]
